//! The agent as a whole: what runs beside what, and in which order it starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use podbond_agent_socket::{Answer, READY_SINCE_BOOT, Request, SOCKET};
use podbond_cluster::{Cluster, Observed};
use podbond_kubelet::{KUBELET_DIR, PodResources};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;
use crate::report::Statuses;
use crate::resolve::resolve;
use crate::{install, socket};

/// What an agent is started with
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// This node's name in the API
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node_name: String,
    /// The kubelet's folder
    #[arg(long, value_name = "DIR", default_value = KUBELET_DIR)]
    kubelet_dir: PathBuf,
    /// The runtime's folder of CNI configurations
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
    /// The runtime's folder of CNI plugins
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// The executable that is installed as the plugins
    #[arg(long, value_name = "PATH", default_value = "/podbond")]
    podbond: PathBuf,
}

/// Runs until it is told to end. The plugins and the configuration that calls them stay.
pub(crate) async fn run(arguments: RunArgs) -> Result<(), Error> {
    install::plugins(&arguments.podbond, &arguments.cni_bin_dir).await?;
    let cluster = Cluster::connect().await?;
    let observed = Observed::watch(&cluster, &arguments.node_name);
    let kubelet = PodResources::new(&arguments.kubelet_dir)?;
    tracing::info!(
        node = arguments.node_name,
        "waiting for the API server to tell of pods and networks"
    );
    let mut end = signal(SignalKind::terminate()).map_err(|source| Error::Runtime { source })?;
    tokio::select! {
        () = observed.wait_until_synced() => {}
        _ = end.recv() => return Ok(()),
    }
    let statuses =
        Statuses { cluster, node_name: arguments.node_name.clone(), observed: observed.clone() };
    let agent = Arc::new(Agent { observed, kubelet, statuses: statuses.clone() });
    let listener = socket::listen(Path::new(SOCKET))?;
    std::fs::write(READY_SINCE_BOOT, "").map_err(Error::file("write", READY_SINCE_BOOT))?;
    tracing::info!(socket = SOCKET, "ready");
    tokio::select! {
        () = socket::serve(listener, agent) => {}
        () = statuses.keep() => {}
        () = install::keep_configuration(&arguments.cni_conf_dir) => {}
        _ = end.recv() => {}
    }
    Ok(())
}

/// What answers plugins.
struct Agent {
    observed: Observed,
    kubelet: PodResources,
    statuses: Statuses,
}

impl socket::Responder for Agent {
    async fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Resolve(asked) => match resolve(&self.observed, &self.kubelet, &asked).await {
                Ok(resolved) => Answer::Resolved(Box::new(resolved)),
                Err(refusal) => {
                    tracing::warn!(reason = ?refusal.reason, "{}", refusal.message);
                    Answer::Refused(refusal)
                }
            },
            Request::Report(report) => Answer::Reported(self.statuses.report(&report).await),
        }
    }
}
