//! Why something will not do what it is meant to do, as an enum and in words.

use std::fmt;

use podbond_kernel::{BondMode, FailOverMac};
use podbond_names::{LinkName, Mac};

use super::object::listed;
use super::table::{self, Kind};

/// Why something will not do what it is meant to do. Displayed, it is the part of a sentence that
/// follows the name of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Ports that fail together, with their PF.
    PortsShareAPf {
        /// The ports, in the order of the configuration.
        ports: Vec<LinkName>,
    },
    /// Ports that fail together, with their card.
    PortsShareACard {
        /// The ports, in the order of the configuration.
        ports: Vec<LinkName>,
    },
    /// The mode gives all ports one address, and these VFs may not take it.
    SharedMacOverUntrusted {
        /// The mode.
        mode: BondMode,
    },
    /// Active-backup where the address moves between ports that may not take it.
    FailOverOverUntrusted {
        /// Whose address the bond carries.
        fail_over_mac: FailOverMac,
    },
    /// The mode moves the bond's address to another port when one fails, which may not take it.
    SwapOverUntrusted {
        /// The mode.
        mode: BondMode,
    },
    /// A port has the address of an earlier one, with which the mode cannot do.
    EqualMacs {
        /// The mode.
        mode: BondMode,
        /// The earlier port.
        other: LinkName,
        /// The address of both.
        mac: Mac,
        /// What the later one gets, for the bond's life.
        replacement: Mac,
    },
    /// The ports send with an address that their card may take for forged.
    SpoofCheck,
    /// Nobody looks whether the ports are alive.
    NoMonitoring,
    /// The VF's link is always up, whatever happens to its PF.
    PfDeathUnseen {
        /// The PF.
        pf: String,
    },
    /// The VF's link is always down.
    VfLinkDisabled {
        /// The PF.
        pf: String,
    },
    /// The PF was taken down.
    PfDown {
        /// The ports that run over it.
        ports: Vec<LinkName>,
    },
    /// The PF is up and has no link.
    PfWithoutCarrier {
        /// The ports that run over it.
        ports: Vec<LinkName>,
    },
    /// The PF is a port of a link of the node.
    PfHasAMaster {
        /// The link of the node.
        master: String,
        /// Its kind, like `bond`.
        kind: String,
    },
    /// A switch port talks LACP with one partner.
    LacpTwiceOnAPf {
        /// The bonds of other pods.
        others: Vec<String>,
    },
    /// Ports of an 802.3ad bond that hear no LACPDU, or none any more.
    LacpSilent {
        /// Whether the bond has any other.
        bond: LacpBond,
    },
    /// The LACP partner says that it does not hear these ports.
    LacpUnheard,
    /// Ports that negotiated, but in another aggregator than the one in use.
    LacpIdle,
    /// Ports with one address in a mode that wants one for each.
    PortsShareAMac {
        /// The mode.
        mode: BondMode,
    },
    /// Ports of different speed in a mode that wants equal ones.
    UnequalSpeeds {
        /// The mode.
        mode: BondMode,
        /// Each port's, Mbit/s.
        speeds: Vec<(LinkName, u32)>,
    },
    /// Ports of different duplex in a mode that wants equal ones.
    UnequalDuplex {
        /// The mode.
        mode: BondMode,
        /// Those that are half-duplex.
        half: Vec<LinkName>,
    },
    /// A key that nobody knows.
    UnknownKey {
        /// The key that was meant, as far as it can be guessed.
        nearest: Option<String>,
    },
    /// An option that the driver takes in any mode, but uses in some only.
    NoEffect {
        /// The mode.
        mode: BondMode,
        /// The modes that use it.
        modes: &'static [BondMode],
    },
    /// A plugin that shapes the node's end of a veth pair stands behind an interface that is none.
    NoVeth {
        /// The interface.
        ifname: LinkName,
    },
    /// A port of a bond that is there has no link.
    PortWithoutCarrier,
    /// A bond is not as it was made.
    NotAsAskedFor {
        /// What CHECK says.
        differences: String,
    },
    /// A pod is recorded whose namespace is no more.
    PodGone,
    /// A VF in a namespace that no record names.
    HeldByUnknown,
    /// An IPAM plugin has not taken back a lease when its attachment was deleted.
    LeasePending {
        /// The plugin.
        ipam: String,
        /// What it said.
        problem: String,
    },
    /// A record that cannot be read.
    RecordDamaged {
        /// What is wrong with it.
        problem: String,
    },
    /// The kernel cannot make bonds.
    BondingMissing {
        /// `uname -r`.
        release: String,
    },
    /// The kernel has the bonding module on disk alone.
    BondingNotLoaded,
}

/// What becomes of an 802.3ad bond with silent ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LacpBond {
    /// No port hears a partner.
    WithoutPartner,
    /// Other ports do.
    GoesOn,
}

impl Reason {
    /// Returns what is the same for all findings of this reason.
    pub fn kind(&self) -> &'static Kind {
        match self {
            Self::PortsShareAPf { .. } => &table::PORTS_SHARE_A_PF,
            Self::PortsShareACard { .. } => &table::PORTS_SHARE_A_CARD,
            Self::SharedMacOverUntrusted { .. } => &table::SHARED_MAC_OVER_UNTRUSTED,
            Self::FailOverOverUntrusted { .. } => &table::FAIL_OVER_OVER_UNTRUSTED,
            Self::SwapOverUntrusted { .. } => &table::SWAP_OVER_UNTRUSTED,
            Self::EqualMacs { .. } => &table::EQUAL_MACS,
            Self::SpoofCheck => &table::SPOOF_CHECK,
            Self::NoMonitoring => &table::NO_MONITORING,
            Self::PfDeathUnseen { .. } => &table::PF_DEATH_UNSEEN,
            Self::VfLinkDisabled { .. } => &table::VF_LINK_DISABLED,
            Self::PfDown { .. } => &table::PF_DOWN,
            Self::PfWithoutCarrier { .. } => &table::PF_WITHOUT_CARRIER,
            Self::PfHasAMaster { .. } => &table::PF_HAS_A_MASTER,
            Self::LacpTwiceOnAPf { .. } => &table::LACP_TWICE_ON_A_PF,
            Self::LacpSilent { .. } => &table::LACP_SILENT,
            Self::LacpUnheard => &table::LACP_UNHEARD,
            Self::LacpIdle => &table::LACP_IDLE,
            Self::PortsShareAMac { .. } => &table::PORTS_SHARE_A_MAC,
            Self::UnequalSpeeds { .. } => &table::UNEQUAL_SPEEDS,
            Self::UnequalDuplex { .. } => &table::UNEQUAL_DUPLEX,
            Self::UnknownKey { .. } => &table::UNKNOWN_KEY,
            Self::NoEffect { .. } => &table::NO_EFFECT,
            Self::NoVeth { .. } => &table::NO_VETH,
            Self::PortWithoutCarrier => &table::PORT_WITHOUT_CARRIER,
            Self::NotAsAskedFor { .. } => &table::NOT_AS_ASKED_FOR,
            Self::PodGone => &table::POD_GONE,
            Self::HeldByUnknown => &table::HELD_BY_UNKNOWN,
            Self::LeasePending { .. } => &table::LEASE_PENDING,
            Self::RecordDamaged { .. } => &table::RECORD_DAMAGED,
            Self::BondingMissing { .. } => &table::BONDING_MISSING,
            Self::BondingNotLoaded => &table::BONDING_NOT_LOADED,
        }
    }
}

impl fmt::Display for Reason {
    #[expect(clippy::too_many_lines, reason = "a sentence for each reason")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortsShareAPf { ports } => {
                write!(f, "{} all run over it, and fail when it fails", listed(ports))
            }
            Self::PortsShareACard { ports } => {
                write!(f, "{} run over PFs of this one card, and fail when it fails", listed(ports))
            }
            Self::SharedMacOverUntrusted { mode } => write!(
                f,
                "mode {mode} gives every port the same address, and their VFs are not trusted to \
                 change theirs"
            ),
            Self::FailOverOverUntrusted { fail_over_mac } => write!(
                f,
                "with failOverMac {} ({fail_over_mac}) the address of ports changes, and their VFs \
                 are not trusted to change theirs",
                fail_over_mac.number()
            ),
            Self::SwapOverUntrusted { mode } => write!(
                f,
                "mode {mode} changes the addresses of ports when it takes them and at a fail-over, \
                 and their VFs are not trusted to change theirs"
            ),
            Self::EqualMacs { mode, other, mac, replacement } => write!(
                f,
                "it has the MAC address of {other}, {mac}, and mode {mode} needs ports that differ: \
                 it gets {replacement} for as long as the bond lives"
            ),
            Self::SpoofCheck => f.write_str(
                "they are to send with an address that is not the one their VFs were given, and \
                 spoofchk is on: their card may drop it",
            ),
            Self::NoMonitoring => f.write_str(
                "it is 0 and arpInterval is not given: the bond never learns that a port has failed",
            ),
            Self::PfDeathUnseen { pf } => write!(
                f,
                "the link_state of its VF is enable: it has carrier also when PF {pf} has none, and \
                 the bond goes on using it"
            ),
            Self::VfLinkDisabled { pf } => write!(
                f,
                "the link_state of its VF is disable: it never has carrier, whatever PF {pf} has"
            ),
            Self::PfDown { ports } => {
                write!(f, "it is down, so that {} can carry nothing", listed(ports))
            }
            Self::PfWithoutCarrier { ports } => {
                write!(f, "it has no carrier, so that {} can carry nothing", listed(ports))
            }
            Self::PfHasAMaster { master, kind } => {
                write!(f, "it is itself a port of the node's {kind} {master}")?;
                match kind.as_str() {
                    "bond" => f.write_str(
                        ": a switch that takes that bond for one link sends a VF's frames to either \
                         port of it",
                    ),
                    _ => Ok(()),
                }
            }
            Self::LacpTwiceOnAPf { others } => write!(
                f,
                "{} runs LACP over it too, and a switch port has one LACP partner",
                listed(others)
            ),
            Self::LacpSilent { bond } => {
                let then = match bond {
                    LacpBond::WithoutPartner => {
                        "the bond has no LACP partner, and uses one port at most"
                    }
                    LacpBond::GoesOn => "the bond does without",
                };
                write!(
                    f,
                    "no LACPDU is heard there: {then} (the kernel does not tell since when; a \
                     partner with the slow rate sends one each 30 s)"
                )
            }
            Self::LacpUnheard => f.write_str(
                "the LACP partner says that it does not hear their LACPDUs: it sends nothing there",
            ),
            Self::LacpIdle => f.write_str(
                "they negotiated LACP, but not for the aggregator in use, and stand idle: their \
                 partner, or their speed or duplex, is not that of the other ports",
            ),
            Self::PortsShareAMac { mode } => write!(
                f,
                "they have the same MAC address: in mode {mode} the answers to what one sends come \
                 in over it, and are dropped where it is not the active port"
            ),
            Self::UnequalSpeeds { mode, speeds } => {
                let each = speeds.iter().map(|(port, mbits)| format!("{port} has {mbits} Mbit/s"));
                write!(f, "{}: {}", each.collect::<Vec<_>>().join(", "), speed_effect(*mode))
            }
            Self::UnequalDuplex { mode, half } => {
                write!(f, "{} alone half-duplex: {}", are(half), speed_effect(*mode))
            }
            Self::UnknownKey { nearest: Some(nearest) } => {
                write!(f, "an unknown key, without effect (did you mean {nearest}?)")
            }
            Self::UnknownKey { nearest: None } => f.write_str("an unknown key, without effect"),
            Self::NoEffect { mode, modes } => {
                let modes: Vec<&str> = modes.iter().map(|mode| mode.name()).collect();
                write!(f, "it has no effect in mode {mode}, only in {}", modes.join(", "))
            }
            Self::NoVeth { ifname } => write!(
                f,
                "it will refuse its rates, since it shapes the node's end of a veth pair and {ifname} \
                 is none"
            ),
            Self::PortWithoutCarrier => f.write_str("it has no carrier, so that it carries nothing"),
            Self::NotAsAskedFor { differences } => f.write_str(differences),
            Self::PodGone => f.write_str("its network namespace is gone, its records are left"),
            Self::HeldByUnknown => f.write_str("its link is in a namespace that no record tells of"),
            Self::LeasePending { ipam, problem } => {
                write!(f, "IPAM plugin {ipam:?} has not taken it back: {problem}")
            }
            Self::RecordDamaged { problem } => {
                write!(f, "a record that cannot be read: {problem}")
            }
            Self::BondingMissing { release } => {
                write!(f, "{release} has no bonding driver, neither built in nor as a module")
            }
            Self::BondingNotLoaded => {
                f.write_str("the bonding module is not loaded; the first bond loads it")
            }
        }
    }
}

fn are(ports: &[LinkName]) -> String {
    format!("{} {}", listed(ports), if ports.len() == 1 { "is" } else { "are" })
}

fn speed_effect(mode: BondMode) -> &'static str {
    match mode {
        BondMode::Lacp => {
            "only ports with equal speed and duplex are aggregated, the others stand idle"
        }
        _ => "the slowest port slows the whole bond, and frames arrive out of order",
    }
}
