//! A cluster from its description to its end.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    net::TcpListener,
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use podbond_lab::{Accel, Cache, Kernel, Lab, Progress, Userland, apt};
use serde_json::Value;

use crate::{
    certificates::{Authority, kubeconfig},
    control_plane,
    disk::Disks,
    error::{Error, FileContext},
    forward,
    kubectl::has_condition,
    kubernetes::Kubernetes,
    network,
    node::{Node, RESOURCES},
    podbond::{Applied, Podbond, ready_pods},
    process::{self, Component, tail},
    state::State,
};

/// From the start until every node is Ready, at most. About 90 s under TCG on two cores.
const READY_LIMIT: Duration = Duration::from_mins(6);

/// Between two questions about what is waited for.
const PACE: Duration = Duration::from_millis(500);

/// Where a node's init looks for images to import.
const AGENT_IMAGE: &str = "/lab/files/images/podbond-agent.tar";

/// What is below it in the machine's initramfs is copied into the node's root.
const NODE_FILES: &str = "/lab/files";

/// The variable that tells a command where the cluster's folder is.
const FOLDER: &str = "PODBOND_CLUSTER";

/// A file of this machine that a node gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFile {
    /// The file, with its mode.
    pub host: PathBuf,
    /// Its absolute path on the node. Images in `/images` are imported before the kubelet starts.
    pub node: PathBuf,
}

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Description {
    /// How many nodes.
    pub nodes: u8,
    /// Their kernels; the last of them is also that of the nodes beyond.
    pub kernels: Vec<Kernel>,
    /// How many VFs each PF has from the start.
    pub vfs: u8,
    /// What the machines run under; none: what works.
    pub accel: Option<Accel>,
    /// The static executable of the nodes' device plugin.
    pub device_plugin: PathBuf,
    /// podbond, if the cluster is to have it.
    pub podbond: Option<Podbond>,
    /// Files of this machine that each node gets, and where: what a node has before podbond comes.
    pub files: Vec<NodeFile>,
    /// A folder with Kubernetes' executables.
    pub kubernetes: Option<PathBuf>,
    /// The folder for all that the cluster writes.
    pub state: PathBuf,
}

impl Description {
    /// Fetches and builds what is not in the cache. Needs the machine's own network.
    pub fn prepare(&self, progress: &Progress) -> Result<(), Error> {
        let parts = Parts::prepare(self, progress)?;
        for number in 1..=self.nodes {
            Lab::builder().kernel(self.kernel(number)).accel(self.accel).prepare(progress)?;
        }
        drop(parts);
        Ok(())
    }

    /// Starts the cluster and waits until its nodes are Ready.
    ///
    /// This process must be the first of the namespaces that [`crate::namespaces::command`] makes, and
    /// [`Description::prepare`] must have been here before. All ends with this process.
    pub fn start(&self, progress: &Progress) -> Result<Cluster, Error> {
        let began = Instant::now();
        let state = State::take(&self.state)?;
        let parts = Parts::prepare(self, progress)?;
        let (authority, mut components) = parts.start_server(self.nodes, &state, progress)?;
        let Parts { kubernetes, disks, .. } = parts;
        let image = match &self.podbond {
            Some(podbond) => podbond.write_image(&state)?,
            None => None,
        };
        let mut nodes = Vec::new();
        for number in 1..=self.nodes {
            let node = Node { number, nodes: self.nodes, vfs: self.vfs };
            let mut builder =
                node.describe(self.kernel(number), &self.device_plugin, &authority, &state)?;
            builder = builder.accel(self.accel);
            if let Some(podbond) = &self.podbond {
                builder = builder.podbond(&podbond.executable);
            }
            if let Some(image) = &image {
                builder = builder.add(image, AGENT_IMAGE);
            }
            for NodeFile { host, node } in &self.files {
                builder = builder.add(host, format!("{NODE_FILES}{}", node.display()));
            }
            let lab = builder.prepare(progress)?;
            progress.begin(format_args!("booting {} under {}", node.name(), lab.accel()));
            components.push(node.start(&lab, &disks, &state)?);
            nodes.push(node);
        }
        let mut cluster = Cluster { state, components };
        cluster.wait_until_ready(&kubernetes, &nodes, began, progress)?;
        if let Some(podbond) = self.podbond.as_ref().filter(|it| it.applied == Applied::AtStart) {
            cluster.install(podbond, &nodes, began, progress)?;
        }
        progress.begin(format_args!(
            "{} nodes are Ready after {} s; everything of the cluster is in {}",
            nodes.len(),
            began.elapsed().as_secs(),
            cluster.state.dir().display()
        ));
        Ok(cluster)
    }

    /// Starts etcd and the API server alone, and waits until it answers: for what asks it and needs neither
    /// nodes nor controllers, so that objects of any number stay as they were made. As for
    /// [`Description::start`], this process must be the first of its namespaces.
    pub fn start_api(&self, progress: &Progress) -> Result<Cluster, Error> {
        let began = Instant::now();
        let state = State::take(&self.state)?;
        let parts = Parts::prepare(self, progress)?;
        let (_, components) = parts.start_server(0, &state, progress)?;
        let mut cluster = Cluster { state, components };
        cluster.wait_for_server(began, progress)?;
        Ok(cluster)
    }

    /// Returns the kernel of a node.
    fn kernel(&self, number: u8) -> Kernel {
        let at = usize::from(number - 1);
        self.kernels.get(at).or(self.kernels.last()).copied().unwrap_or_default()
    }
}

/// What every node and the control plane are made of.
struct Parts {
    kubernetes: Kubernetes,
    disks: Disks,
    userland: Userland,
}

impl Parts {
    fn prepare(description: &Description, progress: &Progress) -> Result<Self, Error> {
        let cache = Cache::open()?;
        let kubernetes = Kubernetes::prepare(description.kubernetes.as_deref(), &cache, progress)?;
        let disks = Disks::prepare(&kubernetes.executable("kubelet"), &cache, progress)?;
        Ok(Self { kubernetes, disks, userland: Userland::prepare(&cache, progress)? })
    }

    /// Makes the network of a cluster of so many nodes, and starts etcd and the API server in it.
    fn start_server(
        &self,
        nodes: u8,
        state: &State,
        progress: &Progress,
    ) -> Result<(Authority, Vec<Component>), Error> {
        let kubectl = state.path("bin/kubectl");
        symlink(self.kubernetes.executable("kubectl"), &kubectl).file("make", &kubectl)?;
        let mut ip = apt::unpacked(&self.userland.root(), "usr/bin/ip");
        let commands = network::commands(nodes);
        process::feed(ip.args(["-batch", "-"]), "making the cluster's network", &commands)?;
        progress.begin("starting the control plane");
        let authority = control_plane::prepare(state)?;
        let components = control_plane::start_server(&self.kubernetes, state)?;
        Ok((authority, components))
    }
}

/// A cluster that runs. It ends with this process.
#[derive(Debug)]
pub struct Cluster {
    state: State,
    components: Vec<Component>,
}

impl Cluster {
    /// Runs a command with kubectl and the way to the API server in its environment, and returns its exit
    /// status (128 + n: killed by signal n). A component that ends meanwhile is an error.
    pub fn run(&mut self, command: &[OsString], hidden: &[&str]) -> Result<u8, Error> {
        let program = command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let mut run = Command::new(program);
        run.args(command.get(1..).unwrap_or_default());
        let before = env::var_os("PATH").unwrap_or_default();
        let paths = [self.state.path("bin")].into_iter().chain(env::split_paths(&before));
        if let Ok(path) = env::join_paths(paths) {
            run.env("PATH", path);
        }
        run.env("KUBECONFIG", self.kubeconfig()).env(FOLDER, self.state.dir());
        for name in hidden {
            run.env_remove(name);
        }
        let mut child = run.spawn().map_err(process::cannot_start(&run))?;
        loop {
            if let Some(status) = child.try_wait().file("wait for", PathBuf::from(program))? {
                let code = status.code().or(status.signal().map(|signal| 128 + signal));
                return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
            }
            self.check()?;
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets programs of the host reach the API server by a socket of the host's, and says how. Returns only
    /// when a component has ended.
    pub fn stay(&mut self, listener: TcpListener, progress: &Progress) -> Result<(), Error> {
        let address = listener.local_addr().file("name", "the socket for the API server")?;
        let pki = self.state.path("pki");
        let text = kubeconfig(std::net::Ipv4Addr::LOCALHOST, address.port(), &pki, "admin");
        let path = self.state.write("kubeconfig", &text)?;
        forward::serve(listener);
        progress.begin("the cluster is up; Ctrl-C ends it. In another terminal:");
        let bin = self.state.path("bin");
        eprintln!("export KUBECONFIG={} PATH={}:$PATH", path.display(), bin.display());
        loop {
            self.check()?;
            thread::sleep(PACE);
        }
    }

    /// The way to the API server inside of the cluster's network.
    fn kubeconfig(&self) -> PathBuf {
        self.state.path("admin.kubeconfig")
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new(self.state.path("bin/kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).arg("--request-timeout=5s");
        command
    }

    /// Fails when a component has ended.
    fn check(&mut self) -> Result<(), Error> {
        self.components.iter_mut().try_for_each(Component::check)
    }

    fn wait_for_server(&mut self, began: Instant, progress: &Progress) -> Result<(), Error> {
        let log = self.state.log("kube-apiserver");
        self.wait("the API server", began, progress, &[log], |cluster| {
            let mut ask = cluster.kubectl();
            process::output(ask.args(["get", "--raw", "/readyz"]), "asking").is_ok()
        })
    }

    fn wait_until_ready(
        &mut self,
        kubernetes: &Kubernetes,
        nodes: &[Node],
        began: Instant,
        progress: &Progress,
    ) -> Result<(), Error> {
        self.wait_for_server(began, progress)?;
        self.components.extend(control_plane::start_clients(kubernetes, &self.state)?);
        let mut apply = self.kubectl();
        apply.args(["apply", "--filename", "-"]);
        let access = control_plane::kubelet_access();
        process::feed(&mut apply, "letting the API server reach the kubelets", &access)?;
        for node in nodes {
            let name = node.name();
            let logs = node.logs(&self.state);
            self.wait(&name, began, progress, &logs, |cluster| {
                let mut ask = cluster.kubectl();
                ask.args(["get", "node", &name, "--output", "json"]);
                process::output(&mut ask, "asking").is_ok_and(|json| is_ready(&json, node.vfs))
            })?;
        }
        // Without it the first pod of a namespace is refused.
        let log = self.state.log("kube-controller-manager");
        self.wait("the default service account", began, progress, &[log], |cluster| {
            let mut ask = cluster.kubectl();
            process::output(ask.args(["get", "serviceaccount", "default"]), "asking").is_ok()
        })
    }

    /// Applies podbond's manifests, as a user does, and waits until the agent runs on every node.
    fn install(
        &mut self,
        podbond: &Podbond,
        nodes: &[Node],
        began: Instant,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress.begin("applying podbond's manifests");
        let mut named = Vec::new();
        for manifest in &podbond.manifests {
            named.extend([OsString::from("--filename"), manifest.into()]);
            let mut apply = self.kubectl();
            apply.arg("apply").arg("--filename").arg(manifest);
            process::output(&mut apply, "applying podbond's manifests")?;
        }
        let mut established = self.kubectl();
        established.args(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        process::output(&mut established, "waiting for the definitions of podbond's manifests")?;
        let ready = self.wait("podbond's agent on every node", began, progress, &[], |cluster| {
            let mut ask = cluster.kubectl();
            ask.arg("get").args(&named).args(["--output", "json"]);
            let list = process::output(&mut ask, "asking").unwrap_or_default();
            let (ready, all) = ready_pods(&list, nodes.len() as u64);
            ready == all
        });
        ready.map_err(|error| match error {
            Error::Late { what, limit, .. } => Error::Late { what, limit, tails: self.told() },
            other => other,
        })
    }

    /// Returns what Kubernetes tells of pods that are not ready, and what those of `DaemonSet`s wrote.
    fn told(&self) -> String {
        let ask = |arguments: &[&str]| {
            let told = process::output(self.kubectl().args(arguments), "asking");
            told.unwrap_or_else(|error| error.to_string())
        };
        let events = ask(&["get", "events", "--all-namespaces", "--field-selector=type=Warning"]);
        let sets = ["get", "daemonsets", "--all-namespaces", "--no-headers"];
        let columns = "custom-columns=:metadata.namespace,:metadata.name";
        let sets = ask(&[&sets[..], &["--output", columns]].concat());
        let logs =
            sets.lines().filter_map(|line| line.trim().split_once(' ')).map(|(namespace, name)| {
                let set = format!("daemonset/{}", name.trim());
                ask(&[
                    "logs",
                    "--namespace",
                    namespace,
                    &set,
                    "--all-pods",
                    "--prefix",
                    "--tail=20",
                ])
            });
        [events].into_iter().chain(logs).collect()
    }

    /// Waits until `holds`; while it does not, says so every two seconds.
    fn wait(
        &mut self,
        what: &str,
        began: Instant,
        progress: &Progress,
        logs: &[PathBuf],
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), Error> {
        while !holds(self) {
            self.check()?;
            if began.elapsed() > READY_LIMIT {
                let what = format!("{what} was not ready");
                return Err(Error::Late { what, limit: READY_LIMIT, tails: quoted(logs) });
            }
            let seconds = began.elapsed().as_secs();
            progress.advance(format_args!("waiting for {what}: {seconds} s"));
            thread::sleep(PACE);
        }
        Ok(())
    }
}

/// Returns the ends of logs, each below its path.
fn quoted(logs: &[PathBuf]) -> String {
    let quote = |log: &PathBuf| format!("{} ends:\n{}\n", log.display(), tail(log));
    logs.iter().filter(|log| has_content(log)).map(quote).collect()
}

fn has_content(log: &Path) -> bool {
    fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
}

/// Whether a Node's JSON has the condition Ready and offers this many VFs of each PF.
fn is_ready(node: &str, vfs: u8) -> bool {
    let node: Value = serde_json::from_str(node).unwrap_or_default();
    let offered = |resource: &str| node["status"]["allocatable"][resource].as_str();
    if vfs > 0 && RESOURCES.iter().any(|resource| offered(resource) != Some(&vfs.to_string())) {
        return false;
    }
    has_condition(&node, "Ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_ready_by_its_condition_and_its_vfs() {
        let node = |status: &str| {
            format!(
                r#"{{"status":{{"conditions":[{{"type":"DiskPressure","status":"True"}},
                {{"type":"Ready","status":"{status}"}}],
                "allocatable":{{"openshift.io/sriovnic1":"4","openshift.io/sriovnic2":"4"}}}}}}"#
            )
        };
        assert!(is_ready(&node("True"), 4) && is_ready(&node("True"), 0));
        assert!(!is_ready(&node("True"), 3) && !is_ready(&node("False"), 4));
        assert!(!is_ready("{}", 0) && !is_ready("no JSON", 0));
    }

    #[test]
    fn last_kernel_is_that_of_the_nodes_beyond() {
        let mut description = Description {
            nodes: 3,
            kernels: vec![Kernel::Bookworm, Kernel::Trixie],
            vfs: 4,
            accel: None,
            device_plugin: PathBuf::new(),
            podbond: None,
            files: Vec::new(),
            kubernetes: None,
            state: PathBuf::new(),
        };
        let kernels = [1, 2, 3].map(|node| description.kernel(node));
        assert_eq!(kernels, [Kernel::Bookworm, Kernel::Trixie, Kernel::Trixie]);
        description.kernels.clear();
        assert_eq!(description.kernel(1), Kernel::default());
    }
}
