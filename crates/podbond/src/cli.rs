use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use podbond_api::{Namespace, ObjectName};
use podbond_cni::Delegates;

use crate::commands;
use crate::error::Error;
use crate::node::Node;
use crate::output::{self, note};

/// Pod-level bonding of SR-IOV virtual functions for Kubernetes.
#[derive(Parser)]
#[command(name = "podbond", version, arg_required_else_help = true, after_help = TOP_EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  podbond apply -f examples/               make what the manifests ask for
  podbond status                           show pods, bonds, ports and addresses
  podbond exec -n demo bondpod1 -- ip a    run a command in a pod
  podbond doctor                           look for what does not work or will not survive
  podbond check                            compare pods with what they were made as
  podbond gc                               take away what pods that are gone have left
  podbond delete -f examples/              take it all back
  podbond install /opt/cni/bin             install the CNI plugins bond, sriov and host-local

Exit status: 0 done; 1 failed: what apply could not make is as it was, what
delete or gc could not take away stays; 2 wrong use of the command; 3 bad
input, nothing was made; 4 doctor found an error, or check a difference.";

#[derive(Subcommand)]
enum Command {
    /// Make what manifests ask for: VFs of policies, networks, pods
    #[command(after_help = "\
Takes SriovNetworkNodePolicies, SriovNetworks, NetworkAttachmentDefinitions
and Pods, in any order and any number of documents. A Pod becomes a network
namespace `<namespace>.<name>` with its attachments. Applying again changes
nothing.

Examples:
  podbond apply -f examples/
  podbond apply -f policy.yaml -f pod.yaml --node-label feature.node/sriov=true
  cat pod.yaml | podbond apply -f -")]
    Apply(ApplyArgs),
    /// Take back what manifests asked for, or one object by name
    #[command(
        override_usage = "\
podbond delete -f <FILE|DIR>...
       podbond delete <KIND> <NAME> [-n <NAMESPACE>]",
        after_help = "\
Examples:
  podbond delete -f examples/
  podbond delete pod bondpod1 -n demo
  podbond delete sriovnetwork sriovnet1 -n openshift-sriov-network-operator"
    )]
    Delete(DeleteArgs),
    /// Show pods with their bonds, ports, VFs and addresses
    #[command(after_help = "\
Tells what is wrong with a bond below the table. With a pod's name, each port
of its bonds too: carrier, what the bond makes of it, failures and, in mode
802.3ad, the partner and what both ends' LACP says. Leases that an IPAM plugin
owes and records that cannot be read are told there, too.

Examples:
  podbond status
  podbond status -n demo bondpod1
  podbond status -o json | jq '.pods[].networkStatus'")]
    Status(PodsArgs),
    /// Run a command in a pod's network namespace
    #[command(after_help = "\
Examples:
  podbond exec -n demo bondpod1 -- ip a
  podbond exec -n demo bondpod1 -- ping -c 3 10.56.217.1

Exit status: that of the command; 127 where it is not found, 126 where it
cannot be run; 3 where there is no such pod, 1 where its network namespace is
gone.")]
    Exec(ExecArgs),
    /// Show the steps that apply would take, and take none
    #[command(after_help = "\
Examples:
  podbond plan -f examples/
  podbond plan -f examples/ -o json")]
    Plan(PlanArgs),
    /// Look at the whole node for what does not work, or will not survive the loss of a card
    #[command(after_help = "\
Looks at the kernel's bonding driver, the PFs and their VFs, who holds them,
and every bond of every pod that a record tells of; compares the bonds with
what was asked for. Each finding has a severity (error: it does not work;
warning: it will not survive all that it is there to survive; note), what is
wrong with which object, what to do, and a code. docs/findings.md lists them.
Nothing is changed.

Examples:
  podbond doctor
  podbond doctor -o json | jq '.findings[] | select(.severity == \"error\")'

Exit status: 0 no finding is an error; 4 at least one is; 1 the node could
not be looked at.")]
    Doctor(DoctorArgs),
    /// Compare what pods have with what was made for them
    #[command(after_help = "\
Calls CHECK of every plugin of every attachment that is recorded, with the
configuration and the result of its ADD. The configuration's cniVersion does
not matter for podbond's own plugins; one of another make is asked from 0.4.0
on. A bond that waits for its links differs in nothing. Nothing is changed.

Examples:
  podbond check
  podbond check -n demo bondpod1
  podbond check -o json | jq '.[] | select(.outcome != \"ok\")'

Exit status: 0 all that was checked is as it was made; 4 something differs;
1 something could not be looked at; 3 there is no such pod.")]
    Check(PodsArgs),
    /// Take away what pods that are gone have left on this node
    #[command(after_help = "\
Pods go without their DEL when the node loses power, or when the runtime
forgets them. From the records, and whatever the cniVersion, this takes away:
attachments whose network namespace is gone, by the DEL of their plugins, last
first; VFs, bonds, claims and addresses of such pods that podbond or the plugin
it replaces has made for a runtime; and files that a killed process left. VFs
get back the names, MAC addresses and settings that they had. What may belong
to a pod that lives is left alone. Pods that `apply` made stay known: applying
their manifests makes them anew. deploy/ has a systemd timer for it.

Examples:
  podbond gc --dry-run
  podbond gc
  podbond gc -o json | jq '.[] | select(.done == \"failed\")'

Exit status: 0 done, or nothing to do; 1 something could not be taken away or
looked at, and the rest was done.")]
    Gc(GcArgs),
    /// Install the CNI plugins: one copy of this executable, linked under each plugin's name
    #[command(after_help = "\
Examples:
  podbond install /opt/cni/bin")]
    Install {
        /// The directory of the node's CNI plugins
        dir: PathBuf,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  podbond completions bash > /etc/bash_completion.d/podbond")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
pub(crate) struct Manifests {
    /// Files or directories of YAML or JSON; `-` reads standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Labels {
    /// A label of this node, for the policies' nodeSelector; without any, selectors are not looked at
    #[arg(long = "node-label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
}

#[derive(Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) labels: Labels,
}

#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) labels: Labels,
    /// How to print the steps
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct DeleteArgs {
    /// Files or directories of YAML or JSON; `-` reads standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR", num_args = 1..,
          conflicts_with_all = ["kind", "name"], required_unless_present = "kind")]
    pub(crate) files: Vec<PathBuf>,
    /// The kind of object
    #[arg(value_enum, requires = "name")]
    pub(crate) kind: Option<Kind>,
    /// Its name
    pub(crate) name: Option<ObjectName>,
    /// Its namespace
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: Namespace,
}

/// Which pods are looked at.
#[derive(Args)]
pub(crate) struct PodsArgs {
    /// Only pods of this namespace; of a POD its namespace, `default` if not given
    #[arg(short, long)]
    pub(crate) namespace: Option<Namespace>,
    /// Only this pod
    pub(crate) pod: Option<ObjectName>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct GcArgs {
    /// Tell what would be taken away, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct ExecArgs {
    /// The pod's namespace
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: Namespace,
    /// The pod
    pub(crate) pod: ObjectName,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For machines
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A Pod
    Pod,
    /// A NetworkAttachmentDefinition
    #[value(name = "nad", alias = "net-attach-def", alias = "networkattachmentdefinition")]
    Nad,
    /// A SriovNetwork, and the NetworkAttachmentDefinition that was made from it
    #[value(name = "sriovnetwork")]
    SriovNetwork,
    /// A SriovNetworkNodePolicy
    #[value(name = "policy", alias = "sriovnetworknodepolicy")]
    Policy,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, like feature.node/sriov=true".to_owned()),
    }
}

/// Reads the command line and carries it out.
pub(crate) fn run(delegates: &Delegates<'_>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing more can be done when the message cannot be printed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let node = Node::new(delegates);
    let outcome = match cli.command {
        Command::Apply(args) => commands::apply(&node, &args),
        Command::Delete(args) => commands::delete(&node, &args),
        Command::Status(args) => commands::status(&node, &args),
        Command::Exec(args) => Err(commands::exec(&node, &args)),
        Command::Plan(args) => commands::plan(&node, &args),
        Command::Doctor(args) => commands::doctor(&node, &args),
        Command::Check(args) => commands::check(&node, &args),
        Command::Gc(args) => commands::gc(&node, &args),
        Command::Install { dir } => commands::install(&dir),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "podbond", &mut script);
            output::write(&script);
            Ok(())
        }
    };
    match outcome.and_then(|()| output::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_status())
        }
    }
}

fn report(error: &Error) {
    for line in error.lines() {
        note(format_args!("podbond: {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(label("a/b=c=d"), Ok(("a/b".to_owned(), "c=d".to_owned())));
        assert!(label("a").is_err());
        assert!(label("=b").is_err());
    }
}
