//! `cargo xtask cluster`: a Kubernetes cluster with SR-IOV nodes in virtual machines; a command in it,
//! the tests or the demo in it, or until Ctrl-C.

use std::{
    env,
    ffi::OsString,
    io,
    net::{Ipv4Addr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, Stdio},
};

use clap::{Args, Subcommand, value_parser};
use podbond_lab::{Accel, Kernel, Progress, VFS};
use podbond_lab_cluster::{Applied, Description, NodeFile, Podbond, namespaces};

use crate::{
    build,
    error::{Error, FileContext},
    metadata,
    workspace::{root, target},
};

const EXAMPLES: &str = "\
Examples:
  cargo xtask cluster up
        a cluster of two nodes, until Ctrl-C; prints how kubectl reaches it
  cargo xtask cluster run -- kubectl get nodes
        one command in the cluster's network, its exit status returned
  cargo xtask cluster demo
        the documented pod gets its bond, survives the loss of a card, and is deleted
  cargo xtask cluster test -- vfs
        the cluster's tests whose name holds `vfs`
  cargo xtask cluster run --nodes 3 --kernel bookworm --kernel trixie --bare -- bash
        a shell, with three nodes under Linux 6.1, 6.12 and 6.12, without podbond";

/// Set for the process inside of the cluster's namespaces: what it was started again for.
const INSIDE: &str = "PODBOND_CLUSTER_INSIDE";

/// What is built for a cluster: for each a variable that tells that process its path.
const PODBOND: &str = "PODBOND_CLUSTER_PODBOND";
const AGENT: &str = "PODBOND_CLUSTER_AGENT";
const DEVICE_PLUGIN: &str = "PODBOND_CLUSTER_DEVICE_PLUGIN";
const TESTS: &str = "PODBOND_CLUSTER_TESTS";
const DEMO: &str = "PODBOND_CLUSTER_DEMO";

/// What a user applies to have podbond, in `deploy/`.
const MANIFESTS: [&str; 2] = ["crd.yaml", "agent.yaml"];

/// The package of the agent.
const AGENT_PACKAGE: &str = "podbond-agent";

/// Variables that are not for the commands in the cluster.
const HIDDEN: [&str; 6] = [INSIDE, PODBOND, AGENT, DEVICE_PLUGIN, TESTS, DEMO];

/// How many nodes have been tried: more do not fit into a small machine.
const NODES: std::ops::RangeInclusive<i64> = 1..=3;

/// A Kubernetes cluster whose nodes have SR-IOV cards, in virtual machines
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Keep a cluster up until Ctrl-C
    Up(Options),
    /// Run one command: its output, its exit status (125: the cluster itself failed)
    Run(Run),
    /// Run the tests of the cluster
    Test(Test),
    /// Show the documented pod in it: its bond, its fail-over, its removal
    Demo(Options),
}

impl Action {
    fn options(&self) -> &Options {
        match self {
            Self::Up(options) | Self::Demo(options) => options,
            Self::Run(run) => &run.options,
            Self::Test(test) => &test.options,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Test {
    #[command(flatten)]
    options: Options,
    /// Only tests whose name holds one of these words
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Run {
    #[command(flatten)]
    options: Options,
    /// The command and its arguments; kubectl is the first on its PATH
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The options that describe a cluster.
#[derive(Debug, Args)]
struct Options {
    /// How many nodes: 1 to 3
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u8).range(NODES))]
    nodes: u8,
    /// The Debian suite whose kernel a node runs, in the order of the nodes; the last is also that of
    /// the rest: bullseye (5.10), bookworm (6.1), trixie (6.12) or trixie-backports
    #[arg(long, value_name = "SUITE")]
    kernel: Vec<Kernel>,
    /// How many VFs each of a node's two PFs has from the start: 0 to 7
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u8).range(VFS))]
    vfs: u8,
    /// Install nothing of podbond
    #[arg(long)]
    bare: bool,
    /// Have podbond's image on the nodes, and leave it to the command to apply deploy/
    #[arg(long, conflicts_with = "bare")]
    unapplied: bool,
    /// A file of this machine that each node gets at an absolute path: in /opt/cni/bin a plugin, in
    /// /images an image that is imported; may be repeated
    #[arg(long, value_name = "FILE=PATH", value_parser = node_file)]
    file: Vec<NodeFile>,
    /// A folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl and kubelet,
    /// instead of those that are built
    #[arg(long, value_name = "DIR")]
    kubernetes: Option<PathBuf>,
    /// The folder for all that the cluster writes, its logs too; emptied at first [default: in cargo's
    /// target directory]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Run the nodes under kvm or tcg instead of trying which works
    #[arg(long, value_name = "KIND", env = "PODBOND_LAB_ACCEL")]
    accel: Option<Accel>,
    /// Use this static executable as podbond instead of building it
    #[arg(long, value_name = "PATH", conflicts_with = "bare")]
    podbond: Option<PathBuf>,
}

impl Options {
    fn describe(&self) -> Result<Description, Error> {
        let podbond = if self.bare { None } else { Some(self.podbond()?) };
        Ok(Description {
            nodes: self.nodes,
            kernels: self.kernel.clone(),
            vfs: self.vfs,
            accel: self.accel,
            device_plugin: built(DEVICE_PLUGIN, || build::for_lab("podbond-lab-device-plugin"))?,
            podbond,
            files: self.file.clone(),
            kubernetes: self.kubernetes.clone(),
            state: self.state.clone().unwrap_or_else(|| target().join("cluster")),
        })
    }

    fn podbond(&self) -> Result<Podbond, Error> {
        let executable = match &self.podbond {
            Some(path) => path.clone(),
            None => built(PODBOND, || build::for_lab("podbond"))?,
        };
        let is_there = metadata::packages()?.iter().any(|package| package.name == AGENT_PACKAGE);
        let agent = || built(AGENT, || build::for_lab(AGENT_PACKAGE));
        let agent = if is_there { Some(agent()?) } else { None };
        let manifests = MANIFESTS.map(|name| root().join("deploy").join(name));
        let manifests = manifests.into_iter().filter(|path| path.is_file()).collect();
        let applied = if self.unapplied { Applied::ByCommand } else { Applied::AtStart };
        Ok(Podbond { executable, agent, manifests, applied })
    }
}

/// Reads `FILE=PATH`.
fn node_file(text: &str) -> Result<NodeFile, String> {
    match text.split_once('=') {
        Some((host, node)) if !host.is_empty() && node.starts_with('/') => {
            Ok(NodeFile { host: host.into(), node: node.into() })
        }
        _ => Err("give a file of this machine, `=`, and an absolute path on the node".into()),
    }
}

/// Returns what the variable names, or else builds it.
fn built(variable: &str, build: impl FnOnce() -> Result<PathBuf, Error>) -> Result<PathBuf, Error> {
    env::var_os(variable).map_or_else(build, |path| Ok(path.into()))
}

/// Runs the cluster. This process prepares it, then another one of the same arguments, the first of new
/// namespaces, is the cluster's and ends with this one.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let description = arguments.action.options().describe()?;
    let progress = Progress::on_stderr();
    let has_agent = description.podbond.as_ref().is_some_and(|podbond| podbond.agent.is_some());
    if matches!(arguments.action, Action::Demo(_)) && !has_agent {
        let reason =
            "the demo needs podbond's agent in the cluster: without it pods get no networks";
        return Err(Error::Other(reason.into()));
    }
    if env::var_os(INSIDE).is_some() {
        return inside(&arguments.action, &description, &progress);
    }
    description.prepare(&progress)?;
    let mut command = namespaces::command(env::current_exe().file("find", "this executable")?);
    command.args(env::args_os().skip(1)).env(INSIDE, "1");
    command.env(DEVICE_PLUGIN, &description.device_plugin);
    if let Some(podbond) = &description.podbond {
        command.env(PODBOND, &podbond.executable);
        command.envs(podbond.agent.iter().map(|agent| (AGENT, agent)));
    }
    match arguments.action {
        Action::Test(_) => {
            command.env(TESTS, build::cluster_tests()?);
        }
        Action::Demo(_) => {
            command.env(DEMO, build::for_lab("podbond-cluster-demo")?);
        }
        Action::Up(_) => {
            // A socket stays in the network namespace that it was made in: this one, the user's.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            let listener = listener.file("listen on", "a port of 127.0.0.1")?;
            command.stdin(Stdio::from(OwnedFd::from(listener)));
        }
        Action::Run(_) => {}
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|source| Error::Start { program, source })?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)))
}

/// What the first process of the namespaces does.
fn inside(
    action: &Action,
    description: &Description,
    progress: &Progress,
) -> Result<ExitCode, Error> {
    let mut cluster = description.start(progress)?;
    match action {
        Action::Up(_) => {
            let listener = io::stdin().as_fd().try_clone_to_owned();
            let listener = TcpListener::from(listener.file("take", "the socket given")?);
            cluster.stay(listener, progress)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Run(run) => Ok(ExitCode::from(cluster.run(&run.command, &HIDDEN)?)),
        Action::Test(test) => {
            let mut command = vec![built(TESTS, build::cluster_tests)?.into()];
            command.extend(test.filter.iter().cloned());
            Ok(ExitCode::from(cluster.run(&command, &HIDDEN)?))
        }
        Action::Demo(_) => {
            let program = built(DEMO, || build::for_lab("podbond-cluster-demo"))?;
            let command = [program.into(), root().join("examples").into()];
            Ok(ExitCode::from(cluster.run(&command, &HIDDEN)?))
        }
    }
}
