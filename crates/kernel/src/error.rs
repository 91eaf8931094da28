//! Errors of the kernel crate.

use std::io;
use std::path::PathBuf;

use podbond_names::LinkName;
use rustix::io::Errno;

/// Why the kernel could not be asked or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel answered a request with an error.
    #[error("{action}: {}{}", with_remedy(.source), extack_suffix(.extack.as_deref()))]
    Refused {
        /// What was asked, in words: `create bond net3`.
        action: String,
        /// The errno of the answer.
        source: io::Error,
        /// The extended ack (`NLMSGERR_ATTR_MSG`), where it gave any.
        extack: Option<String>,
    },
    /// The kernel has no driver for bonds, or for VLAN interfaces.
    #[error(
        "{action}: this kernel has no driver for it: load {module} with `modprobe {module}`, or boot a kernel that has it ({option})"
    )]
    NoDriver {
        /// What was asked.
        action: String,
        /// The driver's module: `bonding`, `8021q`.
        module: &'static str,
        /// The option of the kernel's configuration.
        option: &'static str,
    },
    /// A link that a step names is not there (any more).
    #[error("there is no link {name} in the {netns}")]
    NoSuchLink {
        /// The name that was looked up.
        name: LinkName,
        /// Where it was looked up.
        netns: crate::Netns,
    },
    /// A VF can only be set through its PF's link, and the PF has no link on the node.
    #[error("PF {pf} of VF {vf} has no link on this node: bind it to its kernel driver")]
    NoPfLink {
        /// The VF that was asked for.
        vf: podbond_names::PciAddress,
        /// Its PF.
        pf: podbond_names::PciAddress,
    },
    /// A port cannot be in two bonds, and the kernel would take it out of the first in silence.
    #[error("{port} is a port of {master} already: take it out of it first")]
    HasMaster {
        /// The link that was to become a port.
        port: crate::LinkRef,
        /// The link whose port it is.
        master: String,
    },
    /// A step touches the pod's namespace but none was opened, or it is gone.
    #[error("the pod's network namespace is gone")]
    NoPodNamespace,
    /// A network namespace that cannot be made, entered or removed, or a path that is not one.
    #[error("network namespace {}: {reason}", path.display())]
    Namespace {
        /// The path as given.
        path: PathBuf,
        /// Why not, in words.
        reason: String,
    },
    /// A namespace may be alive or gone, and what belongs to it must be left alone until that is known.
    #[error(
        "network namespace {}: it cannot be told whether it is still there: run podbond where it sees \
         the node's mounts and processes",
        path.display()
    )]
    UnknownNamespace {
        /// The path as recorded.
        path: PathBuf,
    },
    /// The namespace that should be a pod's is the one that the node's own links are in.
    #[error("{} is the node's own network namespace: give a pod's", path.display())]
    OwnNamespace {
        /// The path as given.
        path: PathBuf,
    },
    /// A file of sysfs or procfs could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A socket operation itself failed.
    #[error("{action}: {source}")]
    Socket {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel acknowledged a change and then shows something else.
    #[error("{object}: the kernel accepted {wanted} but shows {shown}")]
    NotTaken {
        /// What was changed: `VF 2 of ens1f0: trust`.
        object: String,
        /// The value that was written.
        wanted: String,
        /// The value that was read back.
        shown: String,
    },
    /// The kernel acknowledged options that it does not know.
    #[error("{object}: this kernel ({kernel}) does not know {}: leave {} out, or boot a newer kernel",
        .options.iter().map(|option| format!("{} (kernel {} and newer)", option.key, option.since))
            .collect::<Vec<_>>().join(", "),
        if .options.len() == 1 { "it" } else { "them" })]
    UnknownOptions {
        /// The bond or port.
        object: String,
        /// The unknown options.
        options: Vec<&'static crate::bond::BondOption>,
        /// Its release, as `uname -r` prints it.
        kernel: String,
    },
    /// The kernel refused a value that is younger than the option.
    #[error(
        "{object}: this kernel ({kernel}) refuses {} {}, which came with kernel {since}: give another value, or boot a newer kernel",
        .option.key, .option.shown(&crate::OptionValue::Number(*.number))
    )]
    LaterValue {
        /// The bond.
        object: String,
        /// The option.
        option: &'static crate::bond::BondOption,
        /// The number of the value.
        number: i64,
        /// The first kernel that has it.
        since: &'static str,
        /// The running one's release, as `uname -r` prints it.
        kernel: String,
    },
    /// The driver answers EPERM where a queue is another port's, or more than the bond has.
    #[error(
        "port {port}: the bonding driver refuses queueId {queue}: give each port a queue of its own, \
         at most 16, or load the bonding module with a larger tx_queues"
    )]
    NoQueue {
        /// The port.
        port: LinkName,
        /// The queue.
        queue: i64,
    },
    /// Duplicate address detection found the address on another host.
    #[error(
        "address {address} of {at} is in use by another host of its network (duplicate address detection failed): give the pod another one, or take it from that host"
    )]
    DuplicateAddress {
        /// The address.
        address: ipnet::IpNet,
        /// The link that has it.
        at: crate::LinkRef,
    },
    /// The kernel has no IPv6 on a link of so small an MTU.
    #[error(
        "{action}: IPv6 needs an MTU of 1280 bytes at least, and {at} has {mtu}: give it a larger mtu, or no IPv6 address"
    )]
    MtuBelowIpv6 {
        /// What was asked.
        action: String,
        /// The link.
        at: crate::LinkRef,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// A route's gateway is not behind the link.
    #[error(
        "{action}: gateway {gateway} is in no subnet of the link: correct it, or give a route to it before, with dst {gateway}/{} and scope 253",
        if .gateway.is_ipv4() { 32 } else { 128 }
    )]
    GatewayUnreachable {
        /// What was asked.
        action: String,
        /// The gateway.
        gateway: std::net::IpAddr,
    },
    /// An answer that is not of the form that rtnetlink(7) describes.
    #[error("{action}: the kernel's answer could not be read: {reason}")]
    Malformed {
        /// What was asked.
        action: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// Returns the text of a system error, with its remedy where there is one for all cases.
pub(crate) fn with_remedy(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}: run it as root"),
        _ => error.to_string(),
    }
}

fn extack_suffix(extack: Option<&str>) -> String {
    extack.map(|text| format!(" (kernel: {text})")).unwrap_or_default()
}

impl Error {
    /// Returns whether the link or function that was to be changed is gone.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::NoSuchLink { .. } | Self::NoPodNamespace)
            || matches!(self.errno(), Some(Errno::NODEV | Errno::NXIO | Errno::NOENT))
    }

    /// Returns the kernel's error number, where it refused.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { source, .. } => Errno::from_io_error(source),
            _ => None,
        }
    }

    /// Returns the error without the extended ack, for a CNI error that has it in `details`.
    pub fn sentence(&self) -> String {
        match self {
            Self::Refused { action, source, .. } => format!("{action}: {}", with_remedy(source)),
            other => other.to_string(),
        }
    }

    /// Returns the extended ack, for the `details` of a CNI error.
    pub fn extack(&self) -> Option<&str> {
        match self {
            Self::Refused { extack, .. } => extack.as_deref(),
            _ => None,
        }
    }
}

/// A result whose error is this crate's.
pub type Result<T, E = Error> = std::result::Result<T, E>;
