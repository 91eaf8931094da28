//! The command line of `podbond`: commands, arguments and options, and their help.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use podbond_api::{Namespace, ObjectKey, ObjectName};

/// Pod-level bonding of SR-IOV virtual functions for Kubernetes.
#[derive(Parser)]
#[command(name = "podbond", version, arg_required_else_help = true, after_help = TOP_EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  podbond apply -f examples/               make what the manifests ask for
  podbond status                           show pods, bonds, ports and addresses
  podbond exec -n demo bondpod1 -- ip a    run a command in a pod
  podbond doctor                           look for what does not work or will not survive
  podbond check                            compare pods with their configuration
  podbond gc                               remove what pods that are gone left behind
  podbond delete -f examples/              remove it all
  podbond install /opt/cni/bin             install the CNI plugins bond and sriov

Exit status: 0 done; 1 failed: what apply could not make is as it was, what
delete or gc could not remove stays; 2 wrong use of the command; 3 bad input,
nothing was changed; 4 doctor found an error, or check a difference.";

#[derive(Subcommand)]
pub(crate) enum Command {
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
    /// Remove what manifests asked for, or one object by name
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
Below the table are findings: what is wrong with a bond, leases that are
pending at an IPAM plugin, records that cannot be read. With a pod's name there
is each port of its bonds too: carrier, MII state, link failures and, in mode
802.3ad, the partner and the LACP state of both ends.

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
    /// Find what does not work on this node, or will not survive the loss of a card
    #[command(after_help = "\
Reads the kernel's bonding driver, the PFs and their VFs, who holds them, and
every bond of every pod that is recorded; compares the bonds with what was
asked for. Each finding has a severity (error: it does not work; warning: it
will not survive all that it is there to survive; note), an object, a reason, a
remedy and a code. docs/findings.md lists them. Nothing is changed.

Examples:
  podbond doctor
  podbond doctor -o json | jq '.findings[] | select(.severity == \"error\")'

Exit status: 0 no finding is an error; 4 at least one is; 1 the node could
not be read.")]
    Doctor {
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Compare what pods have with what their ADD was asked for
    #[command(after_help = "\
Calls CHECK of every plugin of every attachment that is recorded, with the
configuration and the result of its ADD. The configuration's cniVersion does
not matter for podbond's own plugins; one of another make is asked from 0.4.0
on. Nothing is changed.

Examples:
  podbond check
  podbond check -n demo bondpod1
  podbond check -o json | jq '.[] | select(.outcome != \"ok\")'

Exit status: 0 nothing differs; 4 something differs; 1 something could not be
checked; 3 there is no such pod.")]
    Check(PodsArgs),
    /// Remove what pods that are gone left behind on this node
    #[command(after_help = "\
Pods go without their DEL when the node loses power, or when the runtime
forgets them. From the records, and whatever the cniVersion, this removes:
attachments whose network namespace is gone, by the DEL of their plugins, last
first; leases that are pending at their IPAM plugins; claims of sriov-cni for
namespaces that are gone; records that cannot be read. VFs get back the names,
MAC addresses and settings that they had. What may belong to a pod that is
alive stays, and leases that are older than the boot and in no record are
listed. The manifests of pods that `apply` made stay, so that applying them
makes the pods again. deploy/ has a systemd timer for it.

Examples:
  podbond gc --dry-run
  podbond gc
  podbond gc -o json | jq '.[] | select(.done == \"failed\")'

Exit status: 0 done, or nothing to do; 1 something could not be removed or
read, and the rest was done.")]
    Gc(GcArgs),
    /// Install the CNI plugins: one copy of this executable, linked under each plugin's name
    #[command(after_help = "\
Installs `podbond`, and the plugins bond and sriov, or those of --only. The
node's host-local is replaced only by --only; podbond's calls it as it calls
any IPAM plugin. Plugins that are podbond's already are replaced by this
version. Each file is renamed into place; what it replaces is kept in
DIR/.podbond, and `podbond uninstall` puts it back. Doing it again changes
nothing.

Examples:
  podbond install /opt/cni/bin
  podbond install /opt/cni/bin --only bond,sriov,host-local
  podbond install /opt/cni/bin --only bond")]
    Install(InstallArgs),
    /// Remove the CNI plugins that install has made, and put back what they replaced
    #[command(after_help = "\
Puts back what install has kept in DIR/.podbond, with its mode and owner, and
removes podbond's plugins where there was nothing. A plugin that is not
podbond's, as one that was installed since, is left as it is.

Examples:
  podbond uninstall /opt/cni/bin
  podbond uninstall /opt/cni/bin --only host-local")]
    Uninstall(InstallArgs),
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
pub(crate) struct ApplyArgs {
    /// Files or directories of YAML or JSON; `-` reads standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// A label of this node, for the policies' nodeSelector; without any, selectors are ignored
    #[arg(long = "node-label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl ApplyArgs {
    /// Returns the labels of the node; none where none was given.
    pub(crate) fn labels(&self) -> Option<BTreeMap<String, String>> {
        let map: BTreeMap<_, _> = self.labels.iter().cloned().collect();
        Some(map).filter(|map| !map.is_empty())
    }
}

#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) apply: ApplyArgs,
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

/// Which pods are shown or checked.
#[derive(Args)]
pub(crate) struct PodsArgs {
    /// Only pods of this namespace; of a POD its namespace, `default` if not given
    #[arg(short, long)]
    namespace: Option<Namespace>,
    /// Only this pod
    pod: Option<ObjectName>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

impl PodsArgs {
    /// Returns which pods are meant.
    pub(crate) fn selection(&self) -> Selection {
        match (&self.pod, &self.namespace) {
            (Some(name), namespace) => Selection::Pod(ObjectKey {
                namespace: namespace.clone().unwrap_or_default(),
                name: name.clone(),
            }),
            (None, Some(namespace)) => Selection::Namespace(namespace.clone()),
            (None, None) => Selection::All,
        }
    }
}

/// Which pods of the node a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All.
    All,
    /// Those of one Kubernetes namespace.
    Namespace(Namespace),
    /// One.
    Pod(ObjectKey),
}

#[derive(Args)]
pub(crate) struct GcArgs {
    /// List what would be removed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct InstallArgs {
    /// The directory of the node's CNI plugins
    pub(crate) dir: PathBuf,
    /// Only these plugins
    #[arg(long, value_enum, value_name = "PLUGIN", value_delimiter = ',')]
    pub(crate) only: Vec<PluginName>,
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
    /// A SriovNetwork, and the NetworkAttachmentDefinition that was rendered from it
    #[value(name = "sriovnetwork")]
    SriovNetwork,
    /// A SriovNetworkNodePolicy
    #[value(name = "policy", alias = "sriovnetworknodepolicy")]
    Policy,
}

/// A plugin of this executable that a node may have of another make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginName {
    /// In place of bond-cni
    Bond,
    /// In place of sriov-cni
    Sriov,
    /// In place of the reference plugin
    HostLocal,
}

impl PluginName {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Bond, Self::Sriov, Self::HostLocal];

    /// Returns the name of its file, which is a configuration's `type`.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Bond => "bond",
            Self::Sriov => "sriov",
            Self::HostLocal => "host-local",
        }
    }
}

/// Returns key and value of `KEY=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, like feature.node/sriov=true".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn plugins_are_those_of_the_table() {
        let plugins = crate::plugins::Plugins::default();
        let table = plugins.table().map(podbond_cni::Plugin::name);
        assert_eq!(table, PluginName::ALL.map(PluginName::file));
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(label("a/b=c=d"), Ok(("a/b".to_owned(), "c=d".to_owned())));
        assert!(label("a").is_err());
        assert!(label("=b").is_err());
    }
}
