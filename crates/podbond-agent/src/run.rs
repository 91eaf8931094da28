//! The agent as a whole: what runs beside what, and in which order it starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use podbond_agent::bonds;
use podbond_agent_socket::{Answer, PodId, READY_SINCE_BOOT, Request, SOCKET};
use podbond_cluster::{Cluster, Watched};
use podbond_kubelet::{KUBELET_DIR, PodResources};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::error::Error;
use crate::resolve::{Sources, resolve};
use crate::status::Statuses;
use crate::upkeep::Upkeep;
use crate::{install, socket};

/// Between two attempts to remove the taint.
const TAINT_INTERVAL: Duration = Duration::from_secs(5);

/// Where the node's folders are
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The runtime's folder of CNI configurations
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub(crate) cni_conf_dir: PathBuf,
    /// The runtime's folder of CNI plugins
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    pub(crate) cni_bin_dir: PathBuf,
    /// The executable that is installed as the plugins
    #[arg(long, value_name = "PATH", default_value = "/podbond")]
    pub(crate) podbond: PathBuf,
}

/// What an agent is started with
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// This node's name in the API
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node_name: String,
    /// The kubelet's folder
    #[arg(long, value_name = "DIR", default_value = KUBELET_DIR)]
    kubelet_dir: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
    /// A file with keys of Multus' configuration that hold for pods' networks: namespaceIsolation, globalNamespaces,
    /// defaultNetworks and others, as a thick Multus' daemon-config.json. Those of a thin Multus' own file hold anyway
    #[arg(long, value_name = "FILE")]
    multus_config: Option<PathBuf>,
    /// Remove the taints of this key from the node once pods can be attached
    #[arg(long, value_name = "KEY")]
    startup_taint: Option<String>,
}

/// Runs until it is told to end. The plugins and the configuration that calls them stay.
pub(crate) async fn run(arguments: RunArgs) -> Result<(), Error> {
    let RunArgs { node_name, kubelet_dir, node, multus_config, startup_taint } = arguments;
    let rules = multus_config.as_deref();
    let mut end = terminated()?;
    install::plugins(&node.podbond, &node.cni_bin_dir).await?;
    let cluster = Arc::new(Cluster::connect(&node_name).await?);
    let watched = Watched::default();
    let kubelet = PodResources::new(&kubelet_dir)?;
    tracing::info!(node = node_name, "waiting for the API server to tell of pods and networks");
    let (of_watch, watching) = (Arc::clone(&cluster), watched.clone());
    tokio::spawn(async move { watching.watch(&of_watch).await });
    tokio::select! {
        () = watched.synced() => {}
        _ = end.recv() => return Ok(()),
    }
    let (bonds, next_look) = bonds::Watch::start()?;
    let statuses = Statuses::new(Arc::clone(&cluster), watched.clone(), bonds);
    let upkeep = Upkeep {
        cluster: Arc::clone(&cluster),
        watched: watched.clone(),
        statuses: statuses.clone(),
        podbond: node.cni_bin_dir.join("podbond"),
    };
    let agent = Arc::new(Agent {
        cluster: Arc::clone(&cluster),
        watched,
        kubelet,
        statuses: statuses.clone(),
    });
    let listener = socket::listen(Path::new(SOCKET))?;
    std::fs::write(READY_SINCE_BOOT, "").map_err(Error::file("write", READY_SINCE_BOOT))?;
    tracing::info!(socket = SOCKET, "ready");
    tokio::select! {
        () = socket::serve(listener, agent) => {}
        () = statuses.watch_bonds(next_look) => {}
        () = statuses.clone().keep() => {}
        () = upkeep.keep() => {}
        () = install::keep_configuration(&node.cni_conf_dir, rules, &cluster) => {}
        () = remove_taint(&cluster, startup_taint) => {}
        _ = end.recv() => {}
    }
    Ok(())
}

/// Returns what tells that the process is to end.
pub(crate) fn terminated() -> Result<Signal, Error> {
    signal(SignalKind::terminate()).map_err(|source| Error::Runtime { source })
}

/// Removes a taint; it does not end.
async fn remove_taint(cluster: &Cluster, key: Option<String>) {
    if let Some(key) = key {
        while let Err(error) = cluster.remove_taint(&key).await {
            tracing::warn!(%error, "the node keeps its startup taint");
            sleep(TAINT_INTERVAL).await;
        }
        tracing::info!(key, "the node has no startup taint");
    }
    std::future::pending::<()>().await;
}

/// What answers plugins.
struct Agent {
    cluster: Arc<Cluster>,
    watched: Watched,
    kubelet: PodResources,
    statuses: Statuses,
}

impl socket::Responder for Agent {
    async fn answer(&self, request: Request) -> Answer {
        let Self { cluster, watched, kubelet, statuses } = self;
        match request {
            Request::Resolve(asked) => {
                match resolve(Sources { cluster, watched, kubelet }, &asked).await {
                    Ok(resolved) => Answer::Resolved(Box::new(resolved)),
                    Err(refusal) => {
                        let PodId { namespace, name, .. } = &asked.pod;
                        let pod = format_args!("{namespace}/{name}");
                        tracing::warn!(%pod, reason = ?refusal.reason, "{}", refusal.message);
                        Answer::Refused(refusal)
                    }
                }
            }
            Request::Report(report) => Answer::Reported(statuses.report(&report).await),
        }
    }
}
