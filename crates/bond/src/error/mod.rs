//! Why a bond cannot be made, checked or removed.

mod answer;
mod host_link;

use std::fmt::{self, Display};

use podbond_cni::{Failure, MacError, MacSource};
use podbond_kernel::{BondMode, Netns};
use podbond_names::{LinkName, Mac, NameError};
use serde_json::Value;

pub use host_link::{AllowLine, Refusal};

use crate::finding::{Finding, Refused};

/// Why a bond cannot be made, checked or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is not of the form that CNI describes, or another plugin failed.
    #[error("{0}")]
    Config(#[from] Failure),
    /// No `mode`.
    #[error("mode is missing: give one of {MODES}")]
    ModeMissing,
    /// A value that a key cannot have.
    #[error("{key}: {given} {problem}")]
    Value {
        /// The key, with the path to it.
        key: String,
        /// The value as written.
        given: String,
        /// What is wrong with it and what to give, as the end of a sentence.
        problem: String,
    },
    /// One option under two keys, with two values.
    #[error("{first} and {second} are one option and say different things: leave one out")]
    TwoSpellings {
        /// A key.
        first: String,
        /// Another one.
        second: String,
    },
    /// An option that the driver refuses in this mode.
    #[error("{key} belongs to {}, not to {mode}: leave it out, or change the mode", ModeNames(.modes))]
    OtherMode {
        /// The key.
        key: String,
        /// The mode that was asked for.
        mode: BondMode,
        /// The modes that have the option.
        modes: &'static [BondMode],
    },
    /// The driver watches ports in one way only.
    #[error("miimon and arpInterval exclude each other: leave one of them out")]
    TwoMonitors,
    /// ARP monitoring that has nobody to ask.
    #[error(
        "arpInterval needs an address to ask for: give arpIpTarget or nsIp6Target, or watch carrier with miimon instead"
    )]
    NoTarget,
    /// A key that does nothing without another one, which is absent or 0.
    #[error("{key} has no effect without {needed}: give {needed}, or leave {key} out")]
    Needs {
        /// The key.
        key: String,
        /// The other key.
        needed: &'static str,
    },
    /// A delay that the driver would round.
    #[error(
        "{key}: {delay} ms is no multiple of miimon, {miimon} ms: give {} or {}",
        .delay / .miimon * .miimon, (.delay / .miimon + 1) * .miimon
    )]
    NoMultiple {
        /// The key.
        key: &'static str,
        /// The delay asked for, ms.
        delay: i64,
        /// The interval, ms.
        miimon: i64,
    },
    /// A port is named that the bond does not have.
    #[error("{key}: {name} is not one of the links: name one of them")]
    NoPort {
        /// The key.
        key: &'static str,
        /// The name.
        name: LinkName,
    },
    /// Each queue leads to one port.
    #[error("{key}: {queue} is another link's already: give each link a queue of its own")]
    QueueTwice {
        /// The key.
        key: String,
        /// The queue.
        queue: i64,
    },
    /// The bond would never have carrier.
    #[error("minLinks: {wanted} ports are never up, there are {count} links: give {count} or less")]
    MinLinks {
        /// What was asked for.
        wanted: i64,
        /// How many links there are.
        count: usize,
    },
    /// A MAC address that no interface can have.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// The bond would not keep its address.
    #[error(
        "{field}: with failOverMac 1 (active) the bond always carries the active port's address: \
         leave {field} out, or set failOverMac to 0 (none) or 2 (follow), for which VFs need trust on"
    )]
    MacOfActivePort {
        /// Where the address was given.
        field: MacSource,
    },
    /// `strict`, and something has no effect.
    #[error("{finding}, which strict forbids")]
    Strict {
        /// What has no effect.
        finding: Finding,
    },
    /// A bond of fewer than two ports protects nothing.
    #[error("links: {count} given, a bond needs at least two")]
    TooFewLinks {
        /// How many there are.
        count: usize,
    },
    /// One link cannot be two ports.
    #[error("links: {name} is given twice: name two different links")]
    LinkTwice {
        /// The link.
        name: LinkName,
    },
    /// A name that no link can have.
    #[error("links[{position}].name: {reason}")]
    LinkName {
        /// The place in the list, from 0.
        position: usize,
        /// What is wrong with the name.
        reason: NameError,
    },
    /// The plugin named as its own IPAM plugin.
    #[error(
        "ipam.type: bond is no IPAM plugin: use host-local, static, whereabouts or another one"
    )]
    BondAsIpam,
    /// A port that is not where it should be.
    #[error("links: there is no {name} in the {netns}: {}", remedy_of_missing(*.netns))]
    NoSuchPort {
        /// The link.
        name: LinkName,
        /// Where it was looked for.
        netns: Netns,
    },
    /// A port that another link owns.
    #[error(
        "links: {name} is already a port of {master}: remove it from there, or name another link"
    )]
    PortTaken {
        /// The link.
        name: LinkName,
        /// The bond or bridge that owns it.
        master: String,
    },
    /// The bond would be its own port.
    #[error(
        "links: {name} is the name of the bond itself: list the networks of its ports before the \
         bond's in the pod's annotation, or name another link, or the bond otherwise"
    )]
    OwnPort {
        /// The name.
        name: LinkName,
    },
    /// The name of the bond, or of a port on its way into the pod, is in use there.
    #[error("the pod has a link {name} already: choose another name for this attachment")]
    NameTaken {
        /// The name.
        name: LinkName,
    },
    /// The name of the bond below a VLAN interface is in use.
    #[error(
        "vlan: the bond below {vlan} would be called {bond}, and {}: choose another name for this \
         attachment", match .by { Clash::Pod => "the pod has a link of that name already",
                                  Clash::Port => "one of the links is called so" }
    )]
    BondNameTaken {
        /// The VLAN interface.
        vlan: LinkName,
        /// The bond.
        bond: LinkName,
        /// What has the name.
        by: Clash,
    },
    /// The bond would have frames that a port cannot carry.
    #[error("mtu: {wanted} is larger than the {} of port {port}: lower mtu, or raise the port's", .port_mtu)]
    MtuAbovePort {
        /// The MTU asked for, bytes.
        wanted: u32,
        /// The port.
        port: LinkName,
        /// The port's MTU, bytes.
        port_mtu: u32,
    },
    /// A bond that would not do what it is meant to do, where the configuration wants none then.
    #[error("{}", Joined(.refused))]
    Refused {
        /// What was found.
        refused: Vec<Refused>,
    },
    /// A driver that acknowledges an address and does not take it.
    #[error(
        "port {port} has the MAC address {shown} after it was given the bond's, {wanted}: its VF is not \
         trusted to change it: set trust to on in its network, or failOverMac to 1 in active-backup"
    )]
    MacNotTaken {
        /// The port.
        port: LinkName,
        /// The bond's address.
        wanted: Mac,
        /// The port's.
        shown: Mac,
    },
    /// The attachment's record: it cannot be read, written or locked, or does not let it be added.
    #[error(transparent)]
    Record(#[from] podbond_record::Error),
    /// Links of the node that the administrator's rules keep from bonds.
    #[error(
        "{}{}", Joined(.refusals), allow_line.as_ref().map_or_else(String::new, |line| format!(": {line}"))
    )]
    HostLinks {
        /// The reason for each of them.
        refusals: Vec<Refusal>,
        /// What allows those of them that may be allowed.
        allow_line: Option<AllowLine>,
    },
    /// The administrator's file cannot be followed.
    #[error("{0}; no link of the node is taken before the file is corrected")]
    Rules(#[from] podbond_state::settings::Error),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] podbond_kernel::Error),
    /// Several things are wrong, all of them named.
    #[error("{}", Joined(.0))]
    Several(Vec<Error>),
}

/// What has the name that a bond would get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// A link of the pod.
    Pod,
    /// One of the ports on its way into the pod.
    Port,
}

pub(crate) const MODES: &str = "balance-rr (0), active-backup (1), balance-xor (2), broadcast (3), \
                                802.3ad (4), balance-tlb (5), balance-alb (6)";

fn remedy_of_missing(netns: Netns) -> &'static str {
    match netns {
        Netns::Pod => "list the network that makes it before the bond's in the pod's annotation",
        Netns::Host => "name a link of the node, or set linksInContainer to true",
    }
}

/// Sentences in one line.
struct Joined<'t, T>(&'t [T]);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, text) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{text}")?;
        }
        Ok(())
    }
}

/// The names of modes in a sentence.
struct ModeNames<'m>(&'m [BondMode]);

impl Display for ModeNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|mode| mode.name()).collect();
        f.write_str(&names.join(", "))
    }
}

impl Error {
    /// Returns the error about the value of a key, with the path to it.
    pub(crate) fn value(key: &str, given: &Value, problem: impl Display) -> Self {
        let problem = problem.to_string();
        Self::Value { key: key.to_owned(), given: given.to_string(), problem }
    }

    /// Returns success when nothing went wrong, and else what went wrong.
    pub(crate) fn all(errors: Vec<Self>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self::several(errors)) }
    }

    /// Returns one error as it is, and several in one.
    pub(crate) fn several(mut errors: Vec<Self>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::Several(errors),
        }
    }
}
