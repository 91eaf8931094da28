//! Pods on a node: the whole ADD of each, as its runtime calls it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    thread,
    time::Duration,
};

use podbond_bench::{Figure, median};
use podbond_lab::Progress;
use podbond_lab_cluster::kubectl::{self, IMAGE, NodeShell};
use serde_json::{Value, json};

use crate::{
    Node,
    error::Error,
    metrics::{self, Operations},
    multus,
    objects::NAMESPACE,
    wait::until,
};

/// The node, and where its containerd tells of itself.
const NODE: &str = "node1";
const METRICS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 168, 77, 11)), 1338);

/// What sorts before podbond's file in the runtime's folder, and before anything of Multus'.
const FIRST: &str = "/etc/cni/net.d/00-00-0-bench.conflist";

/// podbond's file there.
const PODBOND_FILE: &str = "/etc/cni/net.d/00-00-podbond.conflist";

/// How long a runtime may take to see another file there.
const SEEN: Duration = Duration::from_secs(2);

/// How long a pod may take.
const POD_LIMIT: Duration = Duration::from_mins(2);

/// How often a sample is taken again that is not one ADD alone: a runtime tries again where one failed.
const TRIES: u32 = 3;

/// What the pods ask for.
const BOND: &str = "ADD of a pod with a bond, less the primary network";
const PLAIN: &str = "ADD of a pod without networks, less the primary network";

/// The names of subjects in tables.
const PODBOND: &str = "podbond";
const THIN: &str = "Multus thin";
const THICK: &str = "Multus thick";

/// Networks of the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Networks {
    /// The primary one alone.
    Primary,
    /// Two VFs and a bond over them, as documented.
    Bond,
}

/// One whose ADDs are measured.
struct Subject {
    name: &'static str,
    /// The runtime's file that calls it; none where its own file is there.
    file: Option<String>,
    /// The manager of the status that it writes; none of the primary network alone.
    writes_as: Option<&'static str>,
}

/// Measures the primary network alone, then podbond and Multus in turn.
pub(crate) fn measure(arguments: &Node) -> Result<Vec<Figure>, Error> {
    let progress = Progress::on_stderr();
    let file = |dir: &Path, name: &str| dir.join(name).display().to_string();
    kubectl::run(&["apply", "--filename", &file(&arguments.deploy, "crd.yaml")])?;
    kubectl::run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
    for manifest in ["cluster/networks.yaml", "bond-net1.yaml"] {
        kubectl::run(&["apply", "--filename", &file(&arguments.examples, manifest)])?;
    }
    let account = || Ok(kubectl::get(NAMESPACE, "serviceaccount", "default").ok());
    until("the namespace's service account", account)?;
    let node = NodeShell::open(NODE)?;

    let primary = Subject { name: "primary network", file: None, writes_as: None };
    let mut base = Vec::new();
    for run in 0..=arguments.runs {
        progress.begin(format_args!("{} {run} of {}", primary.name, arguments.runs));
        base.push(add(&primary, Networks::Primary)?);
    }
    let base = median(base.into_iter().skip(1));

    progress.begin("installing podbond and what it is compared with");
    kubectl::run(&["apply", "--filename", &file(&arguments.deploy, "agent.yaml")])?;
    until("podbond's configuration", || Ok(node.run(&["test", "-e", PODBOND_FILE]).ok()))?;
    let subjects = subjects(arguments, &node)?;
    let mut samples: Vec<(&Subject, Networks, Vec<f64>)> = Vec::new();
    for subject in &subjects {
        samples.push((subject, Networks::Bond, Vec::new()));
        samples.push((subject, Networks::Primary, Vec::new()));
    }
    for run in 0..=arguments.runs {
        for (subject, networks, times) in &mut samples {
            progress.begin(format_args!("{} {run} of {}", subject.name, arguments.runs));
            select(subject, &node)?;
            times.push(add(subject, *networks)?);
        }
    }
    node.run(&["rm", "-f", FIRST])?;

    let mut figures =
        vec![Figure::of(primary.name, "ADD of the primary network alone", Some(base), "ms")];
    for (networks, what) in [(Networks::Bond, BOND), (Networks::Primary, PLAIN)] {
        for name in [PODBOND, THIN, THICK] {
            let of =
                samples.iter().find(|(subject, of, _)| (subject.name, *of) == (name, networks));
            // The first of each finds nothing warm.
            let value = of.map(|(_, _, times)| median(times.iter().skip(1).copied()) - base);
            figures.push(Figure::of(name, what, value, "ms"));
        }
    }
    Ok(figures)
}

fn subjects(arguments: &Node, node: &NodeShell) -> Result<Vec<Subject>, Error> {
    let mut subjects = vec![Subject { name: PODBOND, file: None, writes_as: Some("podbond") }];
    if arguments.thin || arguments.thick {
        multus::prepare(node)?;
    }
    let writes_as = Some("multus");
    if arguments.thin {
        subjects.push(Subject { name: THIN, file: Some(multus::thin(node)?), writes_as });
    }
    if arguments.thick {
        let writes_as = Some("multus-daemon");
        subjects.push(Subject { name: THICK, file: Some(multus::thick(node, NODE)?), writes_as });
    }
    Ok(subjects)
}

/// Lets the runtime call a subject.
fn select(subject: &Subject, node: &NodeShell) -> Result<(), Error> {
    match &subject.file {
        None => node.run(&["rm", "-f", FIRST])?,
        Some(text) => {
            // A runtime follows a file that is renamed within its folder.
            let half = format!("{FIRST}.tmp");
            multus::write(node, &half, text)?;
            node.run(&["mv", &half, FIRST])?
        }
    };
    thread::sleep(SEEN);
    Ok(())
}

/// Makes a pod and deletes it, and returns how long its plugins took in ms.
fn add(subject: &Subject, networks: Networks) -> Result<f64, Error> {
    for _ in 0..TRIES {
        let before = metrics::operations(METRICS, "set_up_pod")?;
        kubectl::apply(&pod(networks).to_string())?;
        kubectl::wait_until_ready(NAMESPACE, POD, POD_LIMIT)?;
        let after = metrics::operations(METRICS, "set_up_pod")?;
        let made = kubectl::run(&[
            "get",
            "pod",
            "--namespace",
            NAMESPACE,
            POD,
            "--output",
            "json",
            "--show-managed-fields",
        ])?;
        let manager = writer(&serde_json::from_str(&made)?);
        kubectl::run(&["delete", "pod", "--namespace", NAMESPACE, POD])?;
        thread::sleep(SEEN);
        if manager.as_deref() != subject.writes_as {
            let seen = manager.as_deref().unwrap_or("nobody");
            let text = format!("the status of a pod of {} was written by {seen}", subject.name);
            return Err(Error::Unfit(text));
        }
        if let Some(time) = one(before, after) {
            return Ok(time);
        }
    }
    let text = format!("{}: {TRIES} times an ADD failed before one succeeded", subject.name);
    Err(Error::Unfit(text))
}

/// Returns the time of the one operation between two counts, in ms; none where there was not one.
fn one(before: Operations, after: Operations) -> Option<f64> {
    let is_one = (after.count - before.count - 1.0).abs() < 0.1;
    is_one.then_some((after.seconds - before.seconds) * 1000.0)
}

/// Returns the field manager of a pod's network status.
fn writer(pod: &Value) -> Option<String> {
    let fields = pod["metadata"]["managedFields"].as_array()?;
    let of_status = fields.iter().find(|of| {
        !of["fieldsV1"]["f:metadata"]["f:annotations"]["f:k8s.v1.cni.cncf.io/network-status"]
            .is_null()
    });
    of_status?["manager"].as_str().map(str::to_owned)
}

/// The name of the pods.
const POD: &str = "measured";

fn pod(networks: Networks) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": POD, "namespace": NAMESPACE },
        "spec": {
            "nodeName": NODE, "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "c", "image": IMAGE, "command": ["/bin/bash", "-c", "sleep INF"],
            }],
        },
    });
    if networks == Networks::Bond {
        let networks = "demo/sriovnet1, demo/sriovnet2, demo/bond-net1";
        let devices = json!({ "openshift.io/sriovnic1": "1", "openshift.io/sriovnic2": "1" });
        pod["metadata"]["annotations"] = json!({ "k8s.v1.cni.cncf.io/networks": networks });
        pod["spec"]["containers"][0]["resources"] =
            json!({ "requests": devices, "limits": devices });
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_operation_is_no_sample() {
        let at = |count, seconds| Operations { count, seconds };
        assert_eq!(one(at(3.0, 2.0), at(4.0, 2.5)), Some(500.0));
        assert_eq!(one(at(3.0, 2.0), at(5.0, 2.5)), None);
    }

    #[test]
    fn writer_of_the_status_is_found() {
        let of = |manager: &str, annotation: &str| {
            let annotations = json!({ format!("f:{annotation}"): {} });
            json!({ "manager": manager, "fieldsV1": { "f:metadata": { "f:annotations": annotations } } })
        };
        let fields = [of("kubectl", "a"), of("podbond", "k8s.v1.cni.cncf.io/network-status")];
        let pod = json!({ "metadata": { "managedFields": fields } });
        assert_eq!(writer(&pod).as_deref(), Some("podbond"));
        assert_eq!(writer(&json!({})), None);
    }
}
