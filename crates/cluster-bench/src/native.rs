//! The agent on this machine, against an API server that has objects and no nodes.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use podbond_bench::{Figure, median, median_ms};
use podbond_cluster::{Cluster, StatusAnnotations};
use podbond_lab::Progress;
use podbond_lab_cluster::kubectl;
use podbond_names::{ObjectKey, ObjectUid};
use serde_json::Value;

use crate::{
    Native,
    agent::{Agent, Place},
    audit::{self, Requests},
    error::Error,
    objects::{self, NAMESPACE},
    plugin::{self, Netns, Sandbox},
};

/// The service account that the agent is.
const ACCOUNT: (&str, &str) = ("podbond-system", "podbond-agent");

/// The folders that podbond uses on a node, and that are empty here.
const FOLDERS: [&str; 2] = ["/run", "/var/lib"];

/// How long an agent is left alone before its memory is looked at: it has told all it has to tell by then.
const SETTLED: Duration = Duration::from_secs(10);

/// Between two operations: the event of one is written after its answer.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the API may take.
const API_LIMIT: Duration = Duration::from_secs(10);

/// A size of a cluster.
struct Size {
    /// Its node.
    node: &'static str,
    /// In words of the table.
    words: &'static str,
    nads: u32,
    /// Pods of the node.
    pods: u32,
    /// Pods of other nodes.
    elsewhere: u32,
}

const SMALL: Size =
    Size { node: "small", words: "10 NADs, 30 pods", nads: 10, pods: 30, elsewhere: 0 };
const LARGE: Size = Size {
    node: "large",
    words: "5,000 NADs, 250 of 10,000 pods",
    nads: 5000,
    pods: 250,
    elsewhere: 9750,
};

/// Measures all of it.
pub(crate) fn measure(arguments: &Native) -> Result<Vec<Figure>, Error> {
    let progress = Progress::on_stderr();
    empty_folders()?;
    let place = prepare(arguments)?;
    let mut figures = Vec::new();

    progress.begin(format_args!("the agent among {}", SMALL.words));
    fill(&SMALL, &place, &progress)?;
    let agent = Agent::start(&arguments.agent, SMALL.node, &place)?;
    figures.extend(at_rest(&agent, &SMALL, arguments.idle, &place)?);
    progress.begin("what the API adds to an ADD");
    figures.extend(adds(arguments.runs, &place)?);
    drop(agent);

    progress.begin(format_args!("the agent among {}", LARGE.words));
    fill(&LARGE, &place, &progress)?;
    let agent = Agent::start(&arguments.agent, LARGE.node, &place)?;
    let ready = format!("start to ready: {}", LARGE.words);
    figures.push(Figure::of_podbond(&ready, agent.ready_after.as_secs_f64(), "s"));
    figures.extend(at_rest(&agent, &LARGE, arguments.idle, &place)?);
    Ok(figures)
}

/// Lays empty folders over those that podbond uses on a node. This process' mounts must be its own.
fn empty_folders() -> Result<(), Error> {
    let mounts = |process: &str| {
        let path = format!("/proc/{process}/ns/mnt");
        fs::read_link(&path).map_err(Error::file("read", path))
    };
    if mounts("self")? == mounts("1")? {
        let text = "start it with `unshare --mount`: it lays empty folders over the machine's own";
        return Err(Error::Unfit(text.into()));
    }
    for folder in FOLDERS {
        run(Command::new("mount").args(["-t", "tmpfs", "podbond-bench", folder]), "mounting")?;
    }
    Ok(())
}

fn prepare(arguments: &Native) -> Result<Place, Error> {
    let cluster = env::var_os("PODBOND_CLUSTER").map(PathBuf::from);
    let cluster = cluster.ok_or_else(|| Error::Unfit("PODBOND_CLUSTER names no cluster".into()))?;
    let dir = cluster.join("measured");
    let (conf_dir, bin_dir) = (dir.join("net.d"), dir.join("bin"));
    for dir in [&conf_dir, &bin_dir, &dir.join("kubelet")] {
        fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
    }
    let primary = conf_dir.join("10-primary.conflist");
    fs::write(&primary, plugin::primary().to_string()).map_err(Error::file("write", &primary))?;
    plugin::write_nothing(&bin_dir)?;
    for manifest in ["crd.yaml", "agent.yaml"] {
        let path = arguments.deploy.join(manifest).display().to_string();
        kubectl::run(&["apply", "--filename", &path])?;
    }
    kubectl::run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
    kubectl::run(&["create", "namespace", NAMESPACE])?;
    // There is no controller that would make it.
    kubectl::run(&["create", "serviceaccount", "default", "--namespace", NAMESPACE])?;
    let (namespace, account) = ACCOUNT;
    let kubeconfig = dir.join("agent.kubeconfig");
    let text = objects::kubeconfig(namespace, account, &cluster.join("pki/ca.crt"))?;
    fs::write(&kubeconfig, text).map_err(Error::file("write", &kubeconfig))?;
    Ok(Place {
        conf_dir,
        bin_dir,
        kubeconfig,
        podbond: arguments.podbond.clone(),
        audit: cluster.join("logs/audit.log"),
        user: format!("system:serviceaccount:{namespace}:{account}"),
        dir,
    })
}

fn fill(size: &Size, place: &Place, progress: &Progress) -> Result<(), Error> {
    let began = Instant::now();
    let Size { node, .. } = size;
    let nads = (0..size.nads).map(|n| objects::nad(&format!("{node}-{n}")));
    let networks = format!("{node}-0, {node}-1");
    let pods = (0..size.pods).map(|n| objects::pod(&format!("{node}-{n}"), node, Some(&networks)));
    let elsewhere = (0..size.elsewhere).map(|n| {
        objects::pod(&format!("{node}-elsewhere-{n}"), &format!("{node}-{}", n % 40), None)
    });
    let all: Vec<Value> = nads.chain(pods).chain(elsewhere).collect();
    objects::create(&all, &place.dir)?;
    let seconds = began.elapsed().as_secs();
    progress.begin(format_args!("{} objects made in {seconds} s", all.len()));
    Ok(())
}

/// Measures an agent that has nothing to do.
fn at_rest(
    agent: &Agent,
    size: &Size,
    idle: Duration,
    place: &Place,
) -> Result<Vec<Figure>, Error> {
    thread::sleep(SETTLED);
    let (computed, logged) = (agent.computed()?, audit::length(&place.audit)?);
    thread::sleep(idle);
    let computed = agent.computed()?.saturating_sub(computed);
    let load = computed.as_secs_f64() / idle.as_secs_f64() * 100.0;
    let Requests { reads, status_patches, events, others, .. } =
        audit::requests(&place.audit, logged, &place.user)?;
    let memory = agent.memory()?;
    let figure = |what: &str, value, unit| {
        Figure::of_podbond(&format!("{what}: {}", size.words), value, unit)
    };
    Ok(vec![
        figure("agent's resident memory", memory.resident, "MB"),
        figure("of it anonymous", memory.anonymous, "MB"),
        figure("CPU when idle", load, "%"),
        figure(
            &format!("requests but watches, idle {} s", idle.as_secs()),
            f64::from(reads + status_patches + events + others),
            "",
        ),
    ])
}

/// Measures what the API adds to ADDs: each pod is attached twice, without a cluster and by way of the agent, and
/// a bare client writes the status of another pod.
fn adds(runs: u32, place: &Place) -> Result<Vec<Figure>, Error> {
    let name = |n: u32| format!("add-{n}");
    let pods: Vec<Value> =
        (0..2 * runs).map(|n| objects::pod(&name(n), SMALL.node, None)).collect();
    objects::create(&pods, &place.dir)?;
    let list = place.conf_dir.join("00-00-podbond.conflist");
    let list = fs::read_to_string(&list).map_err(Error::file("read", &list))?;
    let (with_api, without) = (plugin::of_list(&list)?, plugin::without_cluster());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::start("the bare client"))?;
    let client = runtime.block_on(Cluster::connect(SMALL.node))?;
    let netns = Netns::new()?;
    let logged = audit::length(&place.audit)?;
    let (mut added, mut patched, mut over) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs {
        let (pod, uid) = (name(2 * run), uid(&name(2 * run))?);
        let sandbox = Sandbox { pod: &pod, uid: &uid, netns: &netns, bin_dir: &place.bin_dir };
        let base = sandbox.call("ADD", &without)?;
        sandbox.call("DEL", &without)?;
        thread::sleep(PAUSE);
        let whole = sandbox.call("ADD", &with_api)?;
        thread::sleep(PAUSE);
        let (key, uid) = key_and_uid(&name(2 * run + 1))?;
        let written = status(&pod)?;
        let began = Instant::now();
        runtime.block_on(client.write_annotations(&key, &uid, &written, API_LIMIT))?;
        let patch = began.elapsed();
        sandbox.call("DEL", &with_api)?;
        thread::sleep(PAUSE);
        // The first of each finds nothing warm.
        if run > 0 || runs == 1 {
            let adds = whole.saturating_sub(base);
            added.push(adds);
            patched.push(patch);
            over.push((adds.as_secs_f64() - patch.as_secs_f64()) * 1000.0);
        }
    }
    thread::sleep(SETTLED);
    let requests = audit::requests(&place.audit, logged, &place.user)?;
    let each = |count: u32| f64::from(count) / f64::from(runs);
    let what = "what the API adds to an ADD";
    Ok(vec![
        Figure::of("a bare client's PATCH", what, Some(median_ms(patched)), "ms"),
        Figure::of_podbond(what, median_ms(added), "ms"),
        Figure::of_podbond("what it adds over a bare client's PATCH", median(over), "ms"),
        Figure::of_podbond("GETs and LISTs for each ADD", each(requests.reads), ""),
        Figure::of_podbond(
            "PATCHes of a pod's status for each ADD",
            each(requests.status_patches),
            "",
        ),
        Figure::of_podbond("events for each ADD", each(requests.events), ""),
        Figure::of_podbond("other requests for each ADD", each(requests.others), ""),
    ])
}

fn uid(pod: &str) -> Result<String, Error> {
    let pod = kubectl::get(NAMESPACE, "pod", pod)?;
    Ok(pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}

fn key_and_uid(pod: &str) -> Result<(ObjectKey, ObjectUid), Error> {
    let unfit = |error: podbond_names::NameError| Error::Unfit(error.to_string());
    let key = ObjectKey::new(NAMESPACE, pod).map_err(unfit)?;
    Ok((key, uid(pod)?.parse().map_err(unfit)?))
}

/// Returns the annotations that the agent has written of a pod.
fn status(pod: &str) -> Result<StatusAnnotations, Error> {
    let pod = kubectl::get(NAMESPACE, "pod", pod)?;
    let annotation = |key: &str| pod["metadata"]["annotations"][key].as_str().map(str::to_owned);
    let network_status = annotation("k8s.v1.cni.cncf.io/network-status");
    let missing = || Error::Unfit("the agent has written no status of a pod".into());
    Ok(StatusAnnotations {
        network_status: network_status.ok_or_else(missing)?,
        bonds: annotation("podbond.dev/bonds"),
    })
}

fn run(command: &mut Command, doing: &str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(Error::start(program))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Program { doing: doing.into(), said })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn folders_that_are_hidden_are_those_of_podbond() {
        let used = ["/run/podbond", "/var/lib/podbond", "/var/lib/cni"];
        assert!(used.iter().all(|path| FOLDERS.iter().any(|dir| Path::new(path).starts_with(dir))));
    }
}
