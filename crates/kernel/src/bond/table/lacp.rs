//! 802.3ad: what the bond tells its partner, and how it chooses among aggregators.

use super::{BondOption, Change, INT_MAX, Kind, LACP, Width};

pub(super) const OPTIONS: &[&BondOption] = &[
    &LACP_RATE,
    &LACP_ACTIVE,
    &AD_SELECT,
    &MIN_LINKS,
    &AD_ACTOR_SYS_PRIO,
    &AD_ACTOR_SYSTEM,
    &AD_USER_PORT_KEY,
    &COUPLED_CONTROL,
    &BROADCAST_NEIGHBOR,
    &LACP_STRICT,
];

/// `IFLA_BOND_AD_LACP_RATE`.
pub static LACP_RATE: BondOption = BondOption::new("lacp_rate", "lacpRate", 21)
    .named(Width::One, &[(0, "slow"), (1, "fast")])
    .also(&["adLacpRate"])
    .only_in(LACP)
    .changed(Change::WhileDown)
    .default("slow")
    .example("\"fast\"")
    .what(
        "How often the partner is asked to send LACPDUs: every 30 s (slow) or every second \
         (fast). A port is given up after three that did not come: 90 s or 3 s. This is how fast \
         a path is seen to be dead whose carrier stays; how often the bond itself sends is the \
         partner's choice.",
    );

/// `IFLA_BOND_AD_LACP_ACTIVE`.
pub static LACP_ACTIVE: BondOption = BondOption::new("lacp_active", "lacpActive", 29)
    .also(&["adLacpActive"])
    .only_in(LACP)
    .changed(Change::WhileDown)
    .since("5.15")
    .default("on")
    .example("\"off\"")
    .what(
        "Whether LACPDUs are sent unasked (on), or only to a partner that sends some (off). Two \
         partners that are both off never form an aggregator.",
    );

/// `IFLA_BOND_AD_SELECT`.
pub static AD_SELECT: BondOption = BondOption::new("ad_select", "adSelect", 22)
    .named(Width::One, &[(0, "stable"), (1, "bandwidth"), (2, "count"), (3, "actor_port_prio")])
    .useful_in(LACP)
    .changed(Change::WhileDown)
    .default("stable")
    .example("\"bandwidth\"")
    .what(
        "Which aggregator is used when the ports form several, as they do with two switches that \
         are not one system: stable keeps the first with the most bandwidth until it has no ports \
         left; bandwidth and count choose anew by bandwidth or by ports whenever ports come or \
         go; actor_port_prio (kernel 6.18 and newer) by the highest sum of the actorPortPrio of \
         the ports, then by their count.",
    );

/// `IFLA_BOND_MIN_LINKS`.
pub static MIN_LINKS: BondOption = BondOption::new("min_links", "minLinks", 18)
    .number(Width::Four, 0, INT_MAX, None)
    .useful_in(LACP)
    .default("0")
    .example("2")
    .what(
        "How many ports of the aggregator must be up before the bond has carrier: below it, all \
         traffic stops, for a router or cluster above to notice. 0 and 1 mean the same, except to \
         lacpStrict. At most the number of links.",
    );

/// `IFLA_BOND_AD_ACTOR_SYS_PRIO`.
pub static AD_ACTOR_SYS_PRIO: BondOption = BondOption::new(
    "ad_actor_sys_prio",
    "adActorSysPrio",
    24,
)
.number(Width::Two, 1, 65_535, None)
.only_in(LACP)
.since("4.2")
.default("65535")
.example("4096")
.what(
    "The bond's system priority in LACPDUs: the side with the lower one decides which ports \
         are used.",
);

/// `IFLA_BOND_AD_ACTOR_SYSTEM`.
pub static AD_ACTOR_SYSTEM: BondOption = BondOption::new("ad_actor_system", "adActorSystem", 26)
    .of_kind(Kind::Mac)
    .only_in(LACP)
    .since("4.2")
    .default("the bond's MAC address")
    .example("\"02:00:00:00:00:2a\"")
    .what(
        "The system's MAC address in LACPDUs, in place of the bond's own; of one system, not of a \
         group. Two bonds with one of it look like one system to a switch.",
    );

/// `IFLA_BOND_AD_USER_PORT_KEY`.
pub static AD_USER_PORT_KEY: BondOption = BondOption::new("ad_user_port_key", "adUserPortKey", 25)
    .number(Width::Two, 0, 1023, None)
    .only_in(LACP)
    .changed(Change::WhileDown)
    .since("4.2")
    .default("0")
    .example("7")
    .what(
        "The upper ten bits of the port key in LACPDUs; the lower six are speed and duplex. Ports \
         of one key can aggregate.",
    );

/// `IFLA_BOND_COUPLED_CONTROL`.
pub static COUPLED_CONTROL: BondOption = BondOption::new("coupled_control", "coupledControl", 32)
    .only_in(LACP)
    .changed(Change::WhileDown)
    .since("6.9")
    .default("on")
    .example("\"off\"")
    .what(
        "Whether a port collects and distributes from one moment on (on), or may collect before \
         it distributes (off, the standard's independent control), which loses fewer frames when \
         a port joins.",
    );

/// `IFLA_BOND_BROADCAST_NEIGH`.
pub static BROADCAST_NEIGHBOR: BondOption = BondOption::new(
    "broadcast_neighbor",
    "broadcastNeighbor",
    33,
)
.only_in(LACP)
.since("6.17")
.default("off")
.example("\"on\"")
.what(
    "Whether ARP and neighbour discovery go out over every port: for switches that form one \
         aggregator without telling each other what they learnt.",
);

/// `IFLA_BOND_LACP_STRICT`.
pub static LACP_STRICT: BondOption = BondOption::new("lacp_strict", "lacpStrict", 34)
    .only_in(LACP)
    .since("7.2")
    .default("off")
    .example("\"on\"")
    .needs(&[("min_links", "1")])
    .what(
        "Whether only ports that collect and distribute count for minLinks (on), or all that are \
         up (off). With it a bond to a partner that is silent has no carrier, so that what is \
         above it notices; without it one port is used as if there were no LACP. Needs minLinks \
         of 1 or more: none at all are enough for 0.",
    );
