mod answer;

use podbond_cni::{Failure, MacSource, WrongMac};
use podbond_kernel::{BondMode, Netns, WrongValue};
use podbond_names::{LinkName, NameError, PciAddress};

use crate::findings::{Finding, Refused};

/// Why a bond cannot be made, checked or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is not of the form that CNI describes.
    #[error("{0}")]
    Config(#[from] Failure),
    /// No `mode`.
    #[error("mode is missing: give one of {MODES}")]
    ModeMissing,
    /// A mode that the driver does not have.
    #[error("mode: {given} is no bonding mode: give one of {MODES}")]
    UnknownMode {
        /// The value as written.
        given: String,
    },
    /// A value that the option does not have.
    #[error("{key}: {given} {reason}")]
    Value {
        /// The key, with the path to it.
        key: String,
        /// The value as written.
        given: String,
        /// Why it fits not.
        reason: WrongValue,
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
    #[error("{key} belongs to {}, not to {mode}: leave it out, or change the mode", listed(.modes))]
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
    /// An option of ARP monitoring without it.
    #[error("{key} has no effect without ARP monitoring: give arpInterval, or leave {key} out")]
    NeedsArpInterval {
        /// The key.
        key: String,
    },
    /// A delay that the driver counts in intervals of miimon, without miimon.
    #[error("{key} is counted in intervals of miimon, which is 0: give miimon, or leave {key} out")]
    NeedsMiimon {
        /// The key.
        key: &'static str,
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
    #[error("{key}: {name} is none of the links: name one of them")]
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
    /// No port at all is enough for `minLinks` 0.
    #[error(
        "lacpStrict has no effect without minLinks, which is 0: give minLinks 1 or more, or leave \
         lacpStrict out"
    )]
    StrictWithoutMinLinks,
    /// A MAC address that no interface can have.
    #[error(transparent)]
    Mac(#[from] WrongMac),
    /// A MAC address that is no text.
    #[error("mac: {given} is no text: put it in quotes, like \"02:00:00:56:d9:01\"")]
    MacNoText {
        /// The value as written.
        given: String,
    },
    /// The bond would not keep its address.
    #[error(
        "{field}: with failOverMac 1 (active) the bond always carries the active port's address: \
         leave {field} out, or set failOverMac to 0 (none) or 2 (follow), for which VFs need trust on"
    )]
    MacOfActivePort {
        /// Where the address was given.
        field: MacSource,
    },
    /// Not a VLAN ID.
    #[error("vlan: {given} is no VLAN ID: give a whole number from 1 to {max}, or leave it out")]
    Vlan {
        /// The value as written.
        given: String,
        /// The largest possible.
        max: u16,
    },
    /// Not a protocol of VLAN tags.
    #[error("vlanProto: {given} is unknown: give 802.1q or 802.1ad")]
    VlanProtocol {
        /// The value as written.
        given: String,
    },
    /// A part of a VLAN tag without the tag.
    #[error("vlanProto needs a vlan: give vlan too, from 1 to 4094, or leave vlanProto out")]
    NeedsVlan,
    /// `strict`, and something has no effect.
    #[error("{finding}, which strict forbids")]
    Strict {
        /// What has no effect.
        finding: Finding,
    },
    /// Not an MTU that Ethernet can have.
    #[error(
        "mtu: {given} is no MTU: give bytes from {min} to {max}, or leave it out to take the smallest port's"
    )]
    Mtu {
        /// The value as written.
        given: String,
        /// The smallest possible.
        min: u32,
        /// The largest possible.
        max: u32,
    },
    /// Neither true nor false.
    #[error("{key}: {given} is neither true nor false")]
    Switch {
        /// The key.
        key: &'static str,
        /// The value as written.
        given: String,
    },
    /// `links` is no list.
    #[error(
        "links: {given} is no list: give one like [{{\"name\": \"net1\"}}, {{\"name\": \"net2\"}}]"
    )]
    Links {
        /// The value as written.
        given: String,
    },
    /// An entry of `links` without a name.
    #[error(
        "links[{position}]: {given} is no object with a name: write it like {{\"name\": \"net1\"}}"
    )]
    LinkEntry {
        /// The place in the list, from 0.
        position: usize,
        /// The entry as written.
        given: String,
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
    #[error("links: there is no {name} in the {netns}: {}", mend_missing(*.netns))]
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
    /// The name of the bond beneath a VLAN interface is in use.
    #[error(
        "vlan: the bond beneath {vlan} would be called {bond}, and {}: choose another name for this \
         attachment", match .by { Clash::Pod => "the pod has a link of that name already",
                                  Clash::Port => "one of the links is called so" }
    )]
    BeneathTaken {
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
    #[error("{}", .refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused {
        /// What was found.
        refused: Vec<Refused>,
    },
    /// What CHECK found.
    #[error(
        "interface {ifname} is not as ADD left it: {}: put that right in the pod, or make the pod anew",
        .differences.join("; ")
    )]
    Differs {
        /// The interface.
        ifname: LinkName,
        /// One sentence for each difference.
        differences: Vec<String>,
    },
    /// A port of the node that DEL cannot bring up again, since nobody sees it.
    #[error(
        "links: {name} ({pci}) is not back on the node: it is in a network namespace that is going \
         away, or that a process keeps (`lsns -t net`): end that process, then delete again"
    )]
    NotBack {
        /// The name that it had on the node.
        name: LinkName,
        /// Its PCI function.
        pci: PciAddress,
    },
    /// There is a record of this attachment already.
    #[error(
        "interface {ifname} of this container has been added already: delete it first; its record \
         is {}", record.display()
    )]
    AlreadyAdded {
        /// The interface.
        ifname: LinkName,
        /// The file.
        record: std::path::PathBuf,
    },
    /// The record of what ADD changes could not be kept, or another process works on the same
    /// attachment and does not end.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// The record of what ADD changes cannot be put into words.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritten {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        problem: String,
    },
    /// Links of the node that the administrator's rules keep from bonds.
    #[error("{}", .refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    HostLinks {
        /// The reason for each of them.
        refusals: Vec<crate::guard::Refusal>,
    },
    /// The administrator's file cannot be followed.
    #[error("{0}; no link of the node is taken before the file is mended")]
    Rules(#[from] podbond_state::settings::Error),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] podbond_kernel::Error),
    /// Several things are wrong with the configuration, all of them told.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<Error>),
    /// Several things went wrong, all of them told.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
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

const MODES: &str = "balance-rr (0), active-backup (1), balance-xor (2), broadcast (3), 802.3ad (4), \
                     balance-tlb (5), balance-alb (6)";

fn mend_missing(netns: Netns) -> &'static str {
    match netns {
        Netns::Pod => "list the network that makes it before the bond's in the pod's annotation",
        Netns::Host => "name a link of the node, or set linksInContainer to true",
    }
}

fn listed(modes: &[BondMode]) -> String {
    modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// Success when nothing went wrong, one error as it is, and more in one.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// One error of all that is wrong with a configuration.
    pub(crate) fn wrong(mut errors: Vec<Error>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::Wrong(errors),
        }
    }
}
