//! The kinds of findings: code, severity, meaning and remedy. `cargo xtask docs` makes docs/findings.md of
//! it.

use podbond_ipam::ROUTE_JOINED_REMEDY;

use super::severity::Severity;

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name for machines. It does not change.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means.
    pub what: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! kinds {
    ($($name:ident: $code:literal, $severity:ident, $what:literal, $remedy:expr;)*) => {
        $(#[doc = concat!("`", $code, "`.")]
        pub static $name: Kind =
            Kind { code: $code, severity: Severity::$severity, what: $what, remedy: $remedy };)*

        /// All kinds of findings, those about the ports of a bond first.
        pub static TABLE: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    PORTS_SHARE_A_PF: "ports-share-a-pf", Warning,
        "Two or more ports of the bond are VFs of one PF, or one is the PF itself: they have one \
         cable, one switch port and one driver, and fail together.",
        "give the ports VFs of different PFs";
    PORTS_SHARE_A_CARD: "ports-share-a-card", Note,
        "Ports run over different PFs of one card (the same PCI device): the bond survives a cable \
         and a switch, and not the card.",
        "give the ports VFs of different cards, if it is to survive the loss of one";
    SHARED_MAC_OVER_UNTRUSTED: "untrusted-shared-mac", Warning,
        "balance-rr, balance-xor, broadcast and 802.3ad give all ports the bond's MAC address. A VF \
         that is not trusted may not take it with some cards, and carries no traffic then.",
        "set trust to on in their networks";
    FAIL_OVER_OVER_UNTRUSTED: "untrusted-fail-over", Warning,
        "active-backup with failOverMac 0 or 2 changes the MAC address of ports. A VF that is not \
         trusted may not take another one with some cards, and carries no traffic then once it is the \
         active port.",
        "set failOverMac to 1 (active), or trust to on in their networks";
    SWAP_OVER_UNTRUSTED: "untrusted-swap", Warning,
        "balance-tlb and balance-alb give a new port the bond's MAC address for a moment, and another \
         port the bond's when the active one fails: with some cards a VF that is not trusted may take \
         neither.",
        "set trust to on in their networks";
    EQUAL_MACS: "equal-macs", Warning,
        "balance-tlb and balance-alb need ports whose MAC addresses differ, and the driver refuses \
         others. The later port gets a locally administered address for as long as the bond lives.",
        "give the port an address of its own in its network";
    MTU_BELOW_PORTS: "mtu-below-ports", Note,
        "The configuration gives no mtu, so that the bond has 1500 bytes, as with bond-cni, and all its \
         ports could carry more.",
        "give the bond an mtu, if the network carries larger packets";
    SPOOF_CHECK: "spoof-check", Warning,
        "The mode makes ports send with another MAC address than their VFs were given, and spoofchk \
         is on. Cards that compare with the address given by the PF (most but Intel's, which follow \
         a trusted VF) drop these frames.",
        "set spoofchk to off in their networks";
    NO_MONITORING: "no-monitoring", Warning,
        "Neither miimon nor arpInterval: the driver never looks at its ports, and never fails over.",
        "leave miimon out (100 ms), or give arpInterval and arpIpTarget";
    PF_DEATH_UNSEEN: "link-state-enable", Warning,
        "The VF's link_state is enable: the card shows it a link that is always up. A bond that \
         watches carrier does not see the PF lose its cable, and goes on using the port. ARP \
         monitoring (arpInterval) sees it.",
        "set linkState to auto in its network, or watch with arpInterval";
    VF_LINK_DISABLED: "link-state-disable", Warning,
        "The VF's link_state is disable: the port never has carrier, and the bond is a port short.",
        "set linkState to auto in its network";
    PF_DOWN: "pf-down", Warning,
        "The PF is down by administration: its VFs carry nothing, and the bond is a port short.",
        "bring it up with `ip link set <PF> up`, and see who took it down";
    PF_WITHOUT_CARRIER: "pf-without-carrier", Warning,
        "The PF is up and has no link: its VFs carry nothing, and the bond is a port short.",
        "see to its cable, its transceiver and its switch port";
    PF_HAS_A_MASTER: "pf-has-a-master", Warning,
        "The PF is itself a port of a bond, bridge or the like of the node. Below a bond of the \
         node, the switch may send the frames for a VF to the other PF of that bond, where they are \
         lost.",
        "take VFs of PFs that the node does not use so, or take the PF out of there";
    LACP_TWICE_ON_A_PF: "lacp-twice-on-a-pf", Error,
        "More than one 802.3ad bond has VFs of this PF. A switch port has one LACP partner: at most \
         one of these bonds comes up over it.",
        "give each PF to one 802.3ad bond, or use another mode";
    LACP_SILENT: "lacp-silent", Warning,
        "Ports of an 802.3ad bond have carrier and hear no LACPDU: the switch does not speak LACP \
         there, or no longer does. A bond without any partner uses one port at most. A bond that was \
         made just now has heard nothing yet either, with a partner of the slow rate for up to 30 s. A \
         VF that hears its own LACPDUs, for which the kernel logs an illegal loopback, does not see a \
         partner fall silent later: they stop the driver's timer.",
        "make the switch's ports one LACP group, active, or take a mode that asks nothing of the \
         switch, as active-backup";
    LACP_UNHEARD: "lacp-unheard", Warning,
        "The LACP partner's own LACPDUs say that it hears none of the port's, and it does not use \
         the port. A port sends its LACPDUs from the MAC address that it had before the bond gave \
         it the bond's: a VF's card drops them while spoofchk is on.",
        "set spoofchk to off in their networks, and see whether the PF or its firmware keeps LACPDUs \
         back";
    LACP_IDLE: "lacp-idle", Warning,
        "A port negotiates LACP with another partner than the ports in use, in another group of the \
         switch, or at another speed or duplex. An 802.3ad bond uses one such group at a time.",
        "bring all ports to one LACP group of one switch, or of switches that act as one, at one \
         speed and duplex";
    PORTS_SHARE_A_MAC: "ports-share-a-mac", Error,
        "Ports of a balance-tlb or balance-alb bond have the same MAC address. Each is to have its \
         own: the network answers to the port that sent last, and the driver takes frames for the \
         bond on its active port. Some VF drivers bring it about after a fail-over, when the PF of \
         the port that failed comes back and they set its MAC anew (seen with igbvf).",
        "give the port that is not active another address with `ip link set PORT address MAC` in \
         the pod, or make the pod anew; active-backup with failOverMac 1 is not subject to it";
    UNEQUAL_SPEEDS: "unequal-speeds", Warning,
        "The ports have different speeds: 802.3ad aggregates equal ones only, and balance-rr is as \
         fast as its slowest.",
        "use PFs of one speed, and see that each has negotiated it";
    UNEQUAL_DUPLEX: "unequal-duplex", Warning,
        "Some ports are half-duplex, others are not: 802.3ad aggregates equal ones only.",
        "let both ends of each cable negotiate full duplex";
    UNKNOWN_KEY: "unknown-key", Warning,
        "Nobody knows this key of the configuration: it has no effect. `\"strict\": true` refuses it.",
        "correct the key, or leave it out";
    LOG_FILE_IGNORED: "log-file-ignored", Warning,
        "A network's configuration names a logFile. podbond writes to no file that a network's author names: \
         the log is the administrator's, in `[log]` of `/etc/podbond/config.toml`.",
        "leave it out";
    NO_EFFECT: "option-without-effect", Warning,
        "The driver takes this option in any mode and does not use it in this one. `\"strict\": true` \
         refuses it.",
        "leave it out, or change the mode";
    ROUTE_JOINED: "route-joined", Warning,
        "An IPv6 route of a bond or VF has the destination and metric of a route through another link, as \
         `::/0` beside eth0's. The kernel makes one route of them, with several next hops, and sends \
         each flow through one of the links; it does so with the plugins replaced too. An IPv4 route \
         takes precedence over the older one instead.",
        ROUTE_JOINED_REMEDY;
    HOST_LINKS_REFUSED: "host-links-refused", Warning,
        "A running pod's bond has links of the node that no bond may take now: the node's administrator \
         does not allow them, or they are never taken (docs/host-links.md). The pod keeps them, and is \
         refused when it is made anew.",
        "do what the reason says before the pod is made anew";
    NO_VETH: "bandwidth-without-veth", Error,
        "The reference plugin bandwidth stands with rates behind a bond or a VF. It shapes the node's \
         end of a veth pair, finds none, and refuses.",
        "give the VFs maxTxRate instead";
    PORT_WITHOUT_CARRIER: "port-without-carrier", Warning,
        "A port of a bond that is up has no carrier: the bond is a port short.",
        "see whether its PF has carrier, and what link_state its VF has";
    NOT_AS_ASKED_FOR: "bond-differs", Error,
        "The bond, its ports, addresses or routes are not what ADD made: someone changed them.",
        "put back what differs, or make the pod anew";
    POD_GONE: "pod-gone", Warning,
        "There are records of a pod whose network namespace is gone, as after a reboot.",
        "apply its manifest again, or take its records back with `podbond delete pod`";
    HELD_BY_UNKNOWN: "vf-in-unknown-namespace", Note,
        "A VF with a network driver has no link on the node, and no record says who has it: another \
         plugin gave it away, or someone by hand.",
        "find it with `ip netns` and `ip link`, if it should be free";
    LEASE_PENDING: "lease-pending", Warning,
        "An IPAM plugin failed, or was gone, when an attachment was deleted. All else of it is gone, \
         and its address stays taken.",
        "correct what the IPAM plugin complains of, then `podbond gc`";
    RECORD_DAMAGED: "record-damaged", Warning,
        "A record of podbond's is empty, cut short or of another version. It is treated as missing: its pod \
         is deleted by the configuration and by what the kernel shows.",
        "delete its pod, or apply its manifest again: both do without it; `podbond gc` removes the file \
         once its pod is gone";
    BONDING_MISSING: "bonding-missing", Error,
        "The kernel has no bonding driver, neither built in nor as a module: no bond can be made.",
        "install the kernel's modules (Debian: linux-image-*, Red Hat: kernel-modules)";
    BONDING_NOT_LOADED: "bonding-not-loaded", Note,
        "The bonding module is there and not loaded. It is loaded with the first bond.",
        "nothing needs to be done; `modprobe bonding` shows whether it loads";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        for (place, kind) in TABLE.iter().enumerate() {
            assert!(TABLE[..place].iter().all(|other| other.code != kind.code), "{}", kind.code);
            assert!(kind.code.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", kind.code);
        }
    }

    #[test]
    fn vf_and_bond_report_joined_routes_alike() {
        assert_eq!(ROUTE_JOINED.code, podbond_ipam::ROUTE_JOINED);
    }

    #[test]
    fn texts_read_on_in_a_line() {
        for Kind { code, what, remedy, .. } in TABLE {
            assert!(what.ends_with('.') && !remedy.ends_with('.'), "{code}");
            assert!(remedy.starts_with(char::is_lowercase), "{code}");
        }
    }
}
