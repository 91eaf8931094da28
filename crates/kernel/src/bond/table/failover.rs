//! Which port is the active one, and what a fail-over does.

use super::{BondMode, BondOption, Change, Kind, MS, WITH_ACTIVE_PORT, Width};
use crate::FailOverMac;

pub(super) const OPTIONS: &[&BondOption] = &[
    &ACTIVE_SLAVE,
    &PRIMARY,
    &PRIMARY_RESELECT,
    &FAIL_OVER_MAC,
    &NUM_GRAT_ARP,
    &PEER_NOTIF_DELAY,
    &RESEND_IGMP,
    &ALL_SLAVES_ACTIVE,
];

/// `IFLA_BOND_ACTIVE_SLAVE`.
pub static ACTIVE_SLAVE: BondOption = BondOption::new("active_slave", "activeSlave", 2)
    .of_kind(Kind::Port)
    .only_in(WITH_ACTIVE_PORT)
    .since("3.13")
    .default("the first port that is up")
    .example("\"net2\"")
    .what(
        "The port that is active when ADD ends. Its link must be up, which is waited for, 5 s at \
         most. The next fail-over chooses anew, so CHECK does not compare it; primary is the \
         lasting choice.",
    );

/// `IFLA_BOND_PRIMARY`.
pub static PRIMARY: BondOption = BondOption::new("primary", "primary", 11)
    .of_kind(Kind::Port)
    .only_in(WITH_ACTIVE_PORT)
    .default("none")
    .example("\"net2\"")
    .what(
        "The port that is active whenever it is up, as primaryReselect says. One of the links. \
         While it is down, the prio of the others decides.",
    );

/// `IFLA_BOND_PRIMARY_RESELECT`.
pub static PRIMARY_RESELECT: BondOption = BondOption::new(
    "primary_reselect",
    "primaryReselect",
    12,
)
.named(Width::One, &[(0, "always"), (1, "better"), (2, "failure")])
.useful_in(WITH_ACTIVE_PORT)
.default("always")
.example("\"failure\"")
.what(
    "When a port that is back takes over from the active one, be it the primary or one of a \
         higher prio: always at once, if it is better than the active one in speed, or duplex at \
         the same speed, or only when the active one fails. better and failure spare the second \
         interruption.",
);

/// `IFLA_BOND_FAIL_OVER_MAC`.
pub static FAIL_OVER_MAC: BondOption = BondOption::new("fail_over_mac", "failOverMac", 13)
    .named(Width::One, FailOverMac::NAMED)
    .useful_in(&[BondMode::ActiveBackup])
    .changed(Change::WithoutPorts)
    .default("none")
    .example("\"active\"")
    .what(
        "Whose MAC address the bond has. none: all ports get the bond's address, which a VF takes \
         only if it is trusted. active: the bond takes the active port's, no port changes its \
         own; this is what VFs need. The address then changes with each fail-over, of which \
         neighbours learn by the announcements of numGratArp. follow: a port gets the bond's \
         address when it becomes active, for cards that cannot have one address on two ports; a \
         VF has to be trusted for it.",
    );

/// `IFLA_BOND_NUM_PEER_NOTIF`.
pub static NUM_GRAT_ARP: BondOption = BondOption::new("num_grat_arp", "numGratArp", 16)
    .number(Width::One, 0, 255, None)
    .also(&["numUnsolNa", "numPeerNotif"])
    .useful_in(&[BondMode::ActiveBackup, BondMode::Lacp])
    .default("1")
    .example("3")
    .what(
        "How many gratuitous ARPs and unsolicited neighbour advertisements tell the network of a \
         fail-over; 0 for none, after which neighbours and switches send to the dead port until \
         they learn better. The kernel has one number for both. 802.3ad uses it with \
         broadcastNeighbor.",
    );

/// `IFLA_BOND_PEER_NOTIF_DELAY`.
pub static PEER_NOTIF_DELAY: BondOption = BondOption::new("peer_notif_delay", "peerNotifDelay", 28)
    .number(Width::Four, 0, 300_000, MS)
    .in_iproute2("peer_notify_delay")
    .useful_in(&[BondMode::ActiveBackup, BondMode::Lacp])
    .since("5.3")
    .default("0")
    .example("200")
    .needs(&[("miimon", "100")])
    .what(
        "The time between two of the announcements of numGratArp, in ms; 0 sends one each miimon. \
         A multiple of miimon, which it needs: with arpInterval one is sent each arpInterval.",
    );

/// `IFLA_BOND_RESEND_IGMP`.
pub static RESEND_IGMP: BondOption = BondOption::new("resend_igmp", "resendIgmp", 15)
    .number(Width::Four, 0, 255, None)
    .useful_in(&[
        BondMode::BalanceRr,
        BondMode::ActiveBackup,
        BondMode::BalanceTlb,
        BondMode::BalanceAlb,
    ])
    .default("1")
    .example("2")
    .what(
        "How many IGMP membership reports follow a fail-over, 200 ms apart, so that the new \
         port's switch learns which multicast groups are wanted; 0 for none, after which \
         multicast stops until the next query.",
    );

/// `IFLA_BOND_ALL_SLAVES_ACTIVE`.
pub static ALL_SLAVES_ACTIVE: BondOption = BondOption::new(
    "all_slaves_active",
    "allSlavesActive",
    17,
)
.useful_in(&[BondMode::ActiveBackup, BondMode::Lacp, BondMode::BalanceTlb, BondMode::BalanceAlb])
.default("off")
.example("1")
.what(
    "Whether frames that arrive on an inactive port are delivered (on) or dropped (off). On \
         may deliver a broadcast once for each port.",
);
