//! podbond-agent: on each node of a cluster, what the meta-plugin asks about pods, and what the API is told of
//! them.

mod error;
mod install;
mod primary;
mod resolve;
mod run;
mod socket;
mod status;
mod sweep;
mod unattached;
mod uninstall;
mod upkeep;

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use podbond_agent_socket::SOCKET;
use tracing_subscriber::EnvFilter;

use crate::error::Error;
use crate::run::{NodeArgs, RunArgs};

const EXAMPLES: &str = "\
Examples:
  podbond-agent run --node-name worker1
        what the DaemonSet of deploy/agent.yaml runs on each node
  podbond-agent uninstall
        once no pod of the node is attached by podbond: what the agent installed is removed";

/// The agent of podbond on a node of a Kubernetes cluster
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXAMPLES)]
enum Command {
    /// Install the CNI plugins, answer them, and write the status of pods, until it is ended
    Run(RunArgs),
    /// Exit with 0 if the agent of this node answers plugins
    Ready,
    /// Run a program of the node as if from the node itself
    #[command(hide = true)]
    OnNode {
        program: OsString,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Remove the plugins and the runtime's configuration from the node, and put back what was there
    Uninstall {
        #[command(flatten)]
        node: NodeArgs,
        /// Do not exit when it is done: for a pod that is not to be started again
        #[arg(long)]
        stay: bool,
    },
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let command = Command::parse();
    if let Command::OnNode { program, arguments } = &command {
        return failed(&on_node(program, arguments));
    }
    // One thread: what an agent does is to wait.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(execute(command)),
        Err(source) => Err(Error::Runtime { source }),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ExitCode {
    tracing::error!(%error, "podbond-agent ends");
    ExitCode::FAILURE
}

/// Becomes a program of the node, among its mounts. Returns why it could not.
fn on_node(program: &OsString, arguments: &[OsString]) -> Error {
    if let Err(error) = podbond_kernel::enter_node_mounts() {
        return error.into();
    }
    let source = std::process::Command::new(program).args(arguments).exec();
    Error::OnNode { program: program.clone(), source }
}

async fn execute(command: Command) -> Result<(), Error> {
    match command {
        Command::Run(arguments) => run::run(arguments).await,
        // It is done before there are threads.
        Command::OnNode { program, arguments } => Err(on_node(&program, &arguments)),
        Command::Ready => {
            let failed = |source| Error::NotReady { socket: SOCKET.into(), source };
            UnixStream::connect(Path::new(SOCKET)).map(drop).map_err(failed)
        }
        Command::Uninstall { node, stay } => {
            uninstall::uninstall(&node).await?;
            if stay {
                // The first process of a container has no default for a signal.
                let mut end = run::terminated()?;
                end.recv().await;
            }
            Ok(())
        }
    }
}
