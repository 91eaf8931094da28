//! The table of bonding options: every option that rtnetlink sets, but for the mode, one row each.
//!
//! Names, numbers and ranges are facts of `include/uapi/linux/if_link.h` and of the driver's own
//! table. An option is the driver's by its name in sysfs and iproute2; its key in a configuration
//! is that name in camelCase.

use super::mode::{BondMode, FailOverMac};
pub use super::option::{BondOption, Change, Elsewhere, Family, Kind, Scope, Width};

/// A group of options on one subject.
pub struct Group {
    /// The subject, as a heading of docs/bond-options.md.
    pub title: &'static str,
    /// The options.
    pub options: &'static [&'static BondOption],
}

/// All options.
pub static GROUPS: &[Group] = &[
    Group {
        title: "Watching the links",
        options: &[
            &MIIMON,
            &UPDELAY,
            &DOWNDELAY,
            &USE_CARRIER,
            &ARP_INTERVAL,
            &ARP_IP_TARGET,
            &NS_IP6_TARGET,
            &ARP_VALIDATE,
            &ARP_ALL_TARGETS,
            &ARP_MISSED_MAX,
        ],
    },
    Group {
        title: "Choosing the active port, and failing over",
        options: &[
            &ACTIVE_SLAVE,
            &PRIMARY,
            &PRIMARY_RESELECT,
            &FAIL_OVER_MAC,
            &NUM_GRAT_ARP,
            &PEER_NOTIF_DELAY,
            &RESEND_IGMP,
            &ALL_SLAVES_ACTIVE,
        ],
    },
    Group {
        title: "Spreading traffic",
        options: &[&XMIT_HASH_POLICY, &PACKETS_PER_SLAVE, &TLB_DYNAMIC_LB, &LP_INTERVAL],
    },
    Group {
        title: "LACP",
        options: &[
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
        ],
    },
    Group { title: "Keys of an entry of `links`", options: &[&PRIO, &QUEUE_ID, &ACTOR_PORT_PRIO] },
];

/// Returns all options, in the order of the groups.
pub fn all() -> impl Iterator<Item = &'static BondOption> {
    GROUPS.iter().flat_map(|group| group.options.iter().copied())
}

/// Returns the option with this name of the kernel's.
pub fn find(name: &str) -> Option<&'static BondOption> {
    all().find(|option| option.name == name)
}

/// Values that came with a later kernel than their option, each with the first kernel that has it.
/// An older kernel refuses them as it refuses any invalid value.
pub static LATER_VALUES: &[(&BondOption, i64, &str)] =
    &[(&XMIT_HASH_POLICY, 5, "5.12"), (&AD_SELECT, 3, "6.18")];

/// The driver's times, counts and sizes are signed.
const INT_MAX: i64 = i32::MAX as i64;

const MS: Option<&str> = Some("milliseconds");

/// The modes that have one active port.
const WITH_ACTIVE_PORT: &[BondMode] =
    &[BondMode::ActiveBackup, BondMode::BalanceTlb, BondMode::BalanceAlb];

const LACP: &[BondMode] = &[BondMode::Lacp];

// Link monitoring: by carrier (MII), or by ARP and IPv6 neighbour solicitation.

/// The modes whose ports are watched by ARP: not those that balance per peer or speak LACP.
const WITH_ARP: &[BondMode] =
    &[BondMode::BalanceRr, BondMode::ActiveBackup, BondMode::BalanceXor, BondMode::Broadcast];

const TARGET: &str = r#"["10.56.217.1"]"#;

/// `IFLA_BOND_MIIMON`.
pub static MIIMON: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: INT_MAX, unit: MS },
    default: "100; 0 where arpInterval is set",
    example: "50",
    what: "How often the carrier of each port is looked at, in ms: a port that lost it is given up \
         within this time, and downdelay besides. Carrier ends at the next switch, so what dies \
         behind it is not seen; arpInterval sees it. Excludes arpInterval. 0 looks never: without \
         either monitor the driver holds every port to be up for ever, and sends into dead links.",
    ..BondOption::new("miimon", "miimon", 3)
};

/// `IFLA_BOND_UPDELAY`.
pub static UPDELAY: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: INT_MAX, unit: MS },
    default: "0",
    example: "200",
    needs: &[("miimon", "100")],
    what: "How long a port's carrier must have been back before the port is used again, in ms: for \
         switches that have a link up before they forward (spanning tree, a reboot). A multiple \
         of miimon, which it needs. While no other port is usable, the bond does not wait; but \
         balance-rr and broadcast do, so that a bond whose ports all failed at once stays down \
         that much longer.",
    ..BondOption::new("updelay", "updelay", 4)
};

/// `IFLA_BOND_DOWNDELAY`.
pub static DOWNDELAY: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: INT_MAX, unit: MS },
    default: "0",
    example: "200",
    needs: &[("miimon", "100")],
    what: "How long a port's carrier must have been gone before the port is given up, in ms: for \
         links that flap. Frames sent over the port meanwhile are lost. A multiple of miimon, \
         which it needs.",
    ..BondOption::new("downdelay", "downdelay", 5)
};

/// `IFLA_BOND_USE_CARRIER`.
pub static USE_CARRIER: BondOption = BondOption {
    default: "on",
    example: "0",
    what: "Whether miimon asks the driver's carrier state (on) or the MII registers and ethtool \
         (off), for drivers too old to keep a carrier state. Kernel 6.18 and newer have removed \
         the choice: on is taken and off is refused.",
    ..BondOption::new("use_carrier", "useCarrier", 6)
};

/// `IFLA_BOND_ARP_INTERVAL`.
pub static ARP_INTERVAL: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: INT_MAX, unit: MS },
    default: "0",
    example: "100",
    needs: &[("arp_ip_target", TARGET)],
    what: "How often the addresses of arpIpTarget and nsIp6Target are asked for, in ms; 0 never. A \
         port is up while it hears traffic, or answers as arpValidate wants: this sees a path \
         that is dead behind a living link. Needs a target, and an address of the bond from which \
         the target can be reached without a router. Excludes miimon. In balance-rr and \
         balance-xor the switch must spread the answers over all ports: one that sends them all \
         to one port makes the others go down.",
    ..BondOption::only_in(WITH_ARP, "arp_interval", "arpInterval", 7)
};

/// `IFLA_BOND_ARP_IP_TARGET`.
pub static ARP_IP_TARGET: BondOption = BondOption {
    kind: Kind::Addresses(Family::V4),
    default: "none",
    example: r#"["10.56.217.1", "10.56.217.2"]"#,
    needs: &[("arp_interval", "100")],
    what: "The IPv4 addresses that ARP monitoring asks for, 16 at most: routers and servers that \
         are always there. With one alone, its restart is a failure of every port. Needs \
         arpInterval.",
    ..BondOption::only_in(WITH_ARP, "arp_ip_target", "arpIpTarget", 8)
};

/// `IFLA_BOND_NS_IP6_TARGET`.
pub static NS_IP6_TARGET: BondOption = BondOption {
    kind: Kind::Addresses(Family::V6),
    since: "5.18",
    default: "none",
    example: r#"["fd00:56::1", "fd00:56::2"]"#,
    needs: &[("arp_interval", "100")],
    what: "The IPv6 addresses that are asked for by neighbour solicitation, 16 at most; beside \
         arpIpTarget or alone. Needs arpInterval, and a kernel with IPv6.",
    ..BondOption::only_in(WITH_ARP, "ns_ip6_target", "nsIp6Target", 31)
};

/// `IFLA_BOND_ARP_VALIDATE`.
pub static ARP_VALIDATE: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Named(&[
        (0, "none"),
        (1, "active"),
        (2, "backup"),
        (3, "all"),
        (4, "filter"),
        (5, "filter_active"),
        (6, "filter_backup"),
    ]),
    default: "none",
    example: "\"all\"",
    needs: &[("arp_interval", "100"), ("arp_ip_target", TARGET)],
    what: "What a port has to hear to count as up. none: any frame, so that the probes of other \
         hosts and any broadcast keep a dead path alive. active, backup, all: the active port, \
         the backups, or all of them have to hear the bond's own probes: the active port the \
         answers, a backup port the requests, which the active port broadcasts; where the switch \
         does not flood them to the backups, leave these out. filter, filter_active, \
         filter_backup: as none, active and backup, but only ARP and IPv6 frames count on the \
         ports that are not validated. Needs arpInterval.",
    ..BondOption::only_in(WITH_ARP, "arp_validate", "arpValidate", 9)
};

/// `IFLA_BOND_ARP_ALL_TARGETS`.
pub static ARP_ALL_TARGETS: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Named(&[(0, "any"), (1, "all")]),
    modes: &[BondMode::ActiveBackup],
    default: "any",
    example: "\"all\"",
    needs: &[("arp_interval", "100"), ("arp_ip_target", TARGET), ("arp_validate", "\"active\"")],
    what: "Whether one target that answers is enough for a port to be up (any), or each has to \
         answer (all). Has an effect on the ports that arpValidate validates. Needs arpInterval.",
    ..BondOption::new("arp_all_targets", "arpAllTargets", 10)
};

/// `IFLA_BOND_MISSED_MAX`.
pub static ARP_MISSED_MAX: BondOption = BondOption {
    kind: Kind::Number { min: 1, max: 255, unit: None },
    aliases: &["missedMax"],
    since: "5.17",
    default: "2",
    example: "3",
    needs: &[("arp_interval", "100"), ("arp_ip_target", TARGET)],
    what: "How many intervals of arpInterval may pass without what arpValidate wants before a port \
         is down. A backup port of active-backup is given one more. Needs arpInterval.",
    ..BondOption::only_in(WITH_ARP, "arp_missed_max", "arpMissedMax", 30)
};

// The choice of the active port, and what a fail-over does.

/// `IFLA_BOND_ACTIVE_SLAVE`.
pub static ACTIVE_SLAVE: BondOption = BondOption {
    kind: Kind::Port,
    since: "3.13",
    default: "the first port that is up",
    example: "\"net2\"",
    what: "The port that is active when ADD ends. Its link must be up, which is waited for, 5 s at \
         most. The next fail-over chooses anew, so CHECK does not compare it; primary is the \
         lasting choice.",
    ..BondOption::only_in(WITH_ACTIVE_PORT, "active_slave", "activeSlave", 2)
};

/// `IFLA_BOND_PRIMARY`.
pub static PRIMARY: BondOption = BondOption {
    kind: Kind::Port,
    default: "none",
    example: "\"net2\"",
    what: "The port that is active whenever it is up, as primaryReselect says. One of the links. \
         While it is down, the prio of the others decides.",
    ..BondOption::only_in(WITH_ACTIVE_PORT, "primary", "primary", 11)
};

/// `IFLA_BOND_PRIMARY_RESELECT`.
pub static PRIMARY_RESELECT: BondOption = BondOption {
    kind: Kind::Named(&[(0, "always"), (1, "better"), (2, "failure")]),
    modes: WITH_ACTIVE_PORT,
    default: "always",
    example: "\"failure\"",
    what: "When a port that is back takes over from the active one, be it the primary or one of a \
         higher prio: always at once, if it is better than the active one in speed, or duplex at \
         the same speed, or only when the active one fails. better and failure spare the second \
         interruption.",
    ..BondOption::new("primary_reselect", "primaryReselect", 12)
};

/// `IFLA_BOND_FAIL_OVER_MAC`.
pub static FAIL_OVER_MAC: BondOption = BondOption {
    kind: Kind::Named(FailOverMac::NAMED),
    modes: &[BondMode::ActiveBackup],
    change: Change::WithoutPorts,
    default: "none",
    example: "\"active\"",
    what: "Whose MAC address the bond has. none: all ports get the bond's address, which a VF takes \
         only if it is trusted. active: the bond takes the active port's, no port changes its \
         own; this is what VFs need. The address then changes with each fail-over, of which \
         neighbours learn by the announcements of numGratArp. follow: a port gets the bond's \
         address when it becomes active, for cards that cannot have one address on two ports; a \
         VF has to be trusted for it.",
    ..BondOption::new("fail_over_mac", "failOverMac", 13)
};

/// `IFLA_BOND_NUM_PEER_NOTIF`.
pub static NUM_GRAT_ARP: BondOption = BondOption {
    kind: Kind::Number { min: 0, max: 255, unit: None },
    aliases: &["numUnsolNa", "numPeerNotif"],
    modes: &[BondMode::ActiveBackup, BondMode::Lacp],
    default: "1",
    example: "3",
    what: "How many gratuitous ARPs and unsolicited neighbour advertisements tell the network of a \
         fail-over; 0 for none, after which neighbours and switches send to the dead port until \
         they learn better. The kernel has one number for both. 802.3ad uses it with \
         broadcastNeighbor.",
    ..BondOption::new("num_grat_arp", "numGratArp", 16)
};

/// `IFLA_BOND_PEER_NOTIF_DELAY`.
pub static PEER_NOTIF_DELAY: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: 300_000, unit: MS },
    iproute2: "peer_notify_delay",
    modes: &[BondMode::ActiveBackup, BondMode::Lacp],
    since: "5.3",
    default: "0",
    example: "200",
    needs: &[("miimon", "100")],
    what: "The time between two of the announcements of numGratArp, in ms; 0 sends one each miimon. \
         A multiple of miimon, which it needs: with arpInterval one is sent each arpInterval.",
    ..BondOption::new("peer_notif_delay", "peerNotifDelay", 28)
};

/// `IFLA_BOND_RESEND_IGMP`.
pub static RESEND_IGMP: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: 255, unit: None },
    modes: &[
        BondMode::BalanceRr,
        BondMode::ActiveBackup,
        BondMode::BalanceTlb,
        BondMode::BalanceAlb,
    ],
    default: "1",
    example: "2",
    what: "How many IGMP membership reports follow a fail-over, 200 ms apart, so that the new \
         port's switch learns which multicast groups are wanted; 0 for none, after which \
         multicast stops until the next query.",
    ..BondOption::new("resend_igmp", "resendIgmp", 15)
};

/// `IFLA_BOND_ALL_SLAVES_ACTIVE`.
pub static ALL_SLAVES_ACTIVE: BondOption = BondOption {
    modes: &[BondMode::ActiveBackup, BondMode::Lacp, BondMode::BalanceTlb, BondMode::BalanceAlb],
    default: "off",
    example: "1",
    what: "Whether frames that arrive on an inactive port are delivered (on) or dropped (off). On \
         may deliver a broadcast once for each port.",
    ..BondOption::new("all_slaves_active", "allSlavesActive", 17)
};

// The choice of the port that a frame is sent over.

/// The modes that balance by load.
const BY_LOAD: &[BondMode] = &[BondMode::BalanceTlb, BondMode::BalanceAlb];

/// `IFLA_BOND_XMIT_HASH_POLICY`.
pub static XMIT_HASH_POLICY: BondOption = BondOption {
    kind: Kind::Named(&[
        (0, "layer2"),
        (1, "layer3+4"),
        (2, "layer2+3"),
        (3, "encap2+3"),
        (4, "encap3+4"),
        (5, "vlan+srcmac"),
    ]),
    modes: &[BondMode::BalanceXor, BondMode::Lacp, BondMode::BalanceTlb, BondMode::BalanceAlb],
    default: "layer2",
    example: "\"layer3+4\"",
    what: "What of a frame is hashed to choose its port. layer2: MAC addresses and the EtherType, \
         so that all IPv4 traffic to one router takes one port. layer2+3: IP addresses too. \
         layer3+4: IP addresses and ports, which spreads best; fragments of a connection may take \
         another port than its other frames. encap2+3, encap3+4: the same of the inner packet of \
         a tunnel. vlan+srcmac (kernel 5.12 and newer): VLAN ID and source MAC. But for \
         fragments, one connection never takes two ports. The policy rules what is sent; over which port an \
         answer comes, the switch decides. balance-tlb and balance-alb use it only with \
         tlbDynamicLb off.",
    ..BondOption::new("xmit_hash_policy", "xmitHashPolicy", 14)
};

/// `IFLA_BOND_PACKETS_PER_SLAVE`.
pub static PACKETS_PER_SLAVE: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: 65_535, unit: None },
    default: "1",
    example: "4",
    what: "How many frames go out over one port before the next has its turn; 0 chooses at random. \
         Frames of one connection take different ways and may overtake each other, which TCP \
         takes for loss.",
    ..BondOption::only_in(&[BondMode::BalanceRr], "packets_per_slave", "packetsPerSlave", 20)
};

/// `IFLA_BOND_TLB_DYNAMIC_LB`.
pub static TLB_DYNAMIC_LB: BondOption = BondOption {
    change: Change::WhileDown,
    since: "4.3",
    default: "on",
    example: "0",
    what: "Whether flows move between ports by their load (on), or stay where xmitHashPolicy puts \
         them (off). Old kernels take it in balance-tlb alone.",
    ..BondOption::only_in(BY_LOAD, "tlb_dynamic_lb", "tlbDynamicLb", 27)
};

/// `IFLA_BOND_LP_INTERVAL`.
pub static LP_INTERVAL: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 1, max: INT_MAX, unit: Some("seconds") },
    modes: BY_LOAD,
    default: "1",
    example: "5",
    what: "The time between the learning packets that tell each port's switch which addresses are \
         behind it. In seconds, not milliseconds: the kernel counts it so. In balance-tlb they \
         are sent only with tlbDynamicLb on.",
    ..BondOption::new("lp_interval", "lpInterval", 19)
};

// 802.3ad: what LACPDUs carry, and the choice of the aggregator.

/// `IFLA_BOND_AD_LACP_RATE`.
pub static LACP_RATE: BondOption = BondOption {
    kind: Kind::Named(&[(0, "slow"), (1, "fast")]),
    aliases: &["adLacpRate"],
    change: Change::WhileDown,
    default: "slow",
    example: "\"fast\"",
    what: "How often the partner is asked to send LACPDUs: every 30 s (slow) or every second \
         (fast). A port is given up after three that did not come: 90 s or 3 s. This is how fast \
         a path is seen to be dead whose carrier stays; how often the bond itself sends is the \
         partner's choice.",
    ..BondOption::only_in(LACP, "lacp_rate", "lacpRate", 21)
};

/// `IFLA_BOND_AD_LACP_ACTIVE`.
pub static LACP_ACTIVE: BondOption = BondOption {
    aliases: &["adLacpActive"],
    change: Change::WhileDown,
    since: "5.15",
    default: "on",
    example: "\"off\"",
    what: "Whether LACPDUs are sent unasked (on), or only to a partner that sends some (off). Two \
         partners that are both off never form an aggregator.",
    ..BondOption::only_in(LACP, "lacp_active", "lacpActive", 29)
};

/// `IFLA_BOND_AD_SELECT`.
pub static AD_SELECT: BondOption = BondOption {
    kind: Kind::Named(&[(0, "stable"), (1, "bandwidth"), (2, "count"), (3, "actor_port_prio")]),
    modes: LACP,
    change: Change::WhileDown,
    default: "stable",
    example: "\"bandwidth\"",
    what: "Which aggregator is used when the ports form several, as they do with two switches that \
         are not one system: stable keeps the first with the most bandwidth until it has no ports \
         left; bandwidth and count choose anew by bandwidth or by ports whenever ports come or \
         go; actor_port_prio (kernel 6.18 and newer) by the highest sum of the actorPortPrio of \
         the ports, then by their count.",
    ..BondOption::new("ad_select", "adSelect", 22)
};

/// `IFLA_BOND_MIN_LINKS`.
pub static MIN_LINKS: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: 0, max: INT_MAX, unit: None },
    modes: LACP,
    default: "0",
    example: "2",
    what: "How many ports of the aggregator must be up before the bond has carrier: below it, all \
         traffic stops, for a router or cluster above to notice. 0 and 1 mean the same, except to \
         lacpStrict. At most the number of links.",
    ..BondOption::new("min_links", "minLinks", 18)
};

/// `IFLA_BOND_AD_ACTOR_SYS_PRIO`.
pub static AD_ACTOR_SYS_PRIO: BondOption = BondOption {
    width: Width::U16,
    kind: Kind::Number { min: 1, max: 65_535, unit: None },
    since: "4.2",
    default: "65535",
    example: "4096",
    what: "The bond's system priority in LACPDUs: the side with the lower one decides which ports \
         are used.",
    ..BondOption::only_in(LACP, "ad_actor_sys_prio", "adActorSysPrio", 24)
};

/// `IFLA_BOND_AD_ACTOR_SYSTEM`.
pub static AD_ACTOR_SYSTEM: BondOption = BondOption {
    kind: Kind::Mac,
    since: "4.2",
    default: "the bond's MAC address",
    example: "\"02:00:00:00:00:2a\"",
    what: "The system's MAC address in LACPDUs, in place of the bond's own; of one system, not of a \
         group. Two bonds with one of it look like one system to a switch.",
    ..BondOption::only_in(LACP, "ad_actor_system", "adActorSystem", 26)
};

/// `IFLA_BOND_AD_USER_PORT_KEY`.
pub static AD_USER_PORT_KEY: BondOption = BondOption {
    width: Width::U16,
    kind: Kind::Number { min: 0, max: 1023, unit: None },
    change: Change::WhileDown,
    since: "4.2",
    default: "0",
    example: "7",
    what: "The upper ten bits of the port key in LACPDUs; the lower six are speed and duplex. Ports \
         of one key can aggregate.",
    ..BondOption::only_in(LACP, "ad_user_port_key", "adUserPortKey", 25)
};

/// `IFLA_BOND_COUPLED_CONTROL`.
pub static COUPLED_CONTROL: BondOption = BondOption {
    change: Change::WhileDown,
    since: "6.9",
    default: "on",
    example: "\"off\"",
    what: "Whether a port collects and distributes from one moment on (on), or may collect before \
         it distributes (off, the standard's independent control), which loses fewer frames when \
         a port joins.",
    ..BondOption::only_in(LACP, "coupled_control", "coupledControl", 32)
};

/// `IFLA_BOND_BROADCAST_NEIGH`.
pub static BROADCAST_NEIGHBOR: BondOption = BondOption {
    since: "6.17",
    default: "off",
    example: "\"on\"",
    what: "Whether ARP and neighbour discovery go out over every port: for switches that form one \
         aggregator without telling each other what they learnt.",
    ..BondOption::only_in(LACP, "broadcast_neighbor", "broadcastNeighbor", 33)
};

/// `IFLA_BOND_LACP_STRICT`.
pub static LACP_STRICT: BondOption = BondOption {
    since: "7.2",
    default: "off",
    example: "\"on\"",
    needs: &[("min_links", "1")],
    what: "Whether only ports that collect and distribute count for minLinks (on), or all that are \
         up (off). With it a bond to a partner that is silent has no carrier, so that what is \
         above it notices; without it one port is used as if there were no LACP. Needs minLinks \
         of 1 or more: none at all are enough for 0.",
    ..BondOption::only_in(LACP, "lacp_strict", "lacpStrict", 34)
};

// Options of a port.

/// `IFLA_BOND_SLAVE_PRIO`.
pub static PRIO: BondOption = BondOption {
    width: Width::U32,
    kind: Kind::Number { min: i32::MIN as i64, max: i32::MAX as i64, unit: None },
    scope: Scope::Port,
    since: "6.0",
    default: "0",
    example: "10",
    what: "The port's rank when an active port is chosen: of those that are up the highest is \
         active, and one that comes back takes over as primaryReselect says. A primary that is up \
         takes precedence over any prio.",
    ..BondOption::only_in(WITH_ACTIVE_PORT, "prio", "prio", 9)
};

/// `IFLA_BOND_SLAVE_QUEUE_ID`.
pub static QUEUE_ID: BondOption = BondOption {
    width: Width::U16,
    kind: Kind::Number { min: 0, max: 255, unit: None },
    scope: Scope::Port,
    modes: &[BondMode::BalanceRr, BondMode::ActiveBackup],
    since: "3.18",
    default: "0",
    example: "2",
    what: "The transmit queue of the bond whose frames leave over this port, whichever port is \
         active: for traffic that tc sends there (skbedit queue_mapping). 0 for none. While the \
         port is down, its frames go the usual way. Each port's own. The driver refuses more than \
         the bond has queues: 16, unless the bonding module was loaded with another tx_queues, \
         255 at most.",
    ..BondOption::new("queue_id", "queueId", 5)
};

/// `IFLA_BOND_SLAVE_ACTOR_PORT_PRIO`.
pub static ACTOR_PORT_PRIO: BondOption = BondOption {
    width: Width::U16,
    kind: Kind::Number { min: 0, max: 65_535, unit: None },
    scope: Scope::Port,
    since: "6.18",
    default: "255",
    example: "100",
    what: "The port's priority in LACPDUs, where the lower goes first for the partner. With adSelect \
         actor_port_prio the kernel chooses the aggregator by it, and there the higher goes first.",
    ..BondOption::only_in(LACP, "actor_port_prio", "actorPortPrio", 10)
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::WrittenValue;

    fn camel(name: &str) -> String {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |key, word| key + &word[..1].to_uppercase() + &word[1..])
    }

    #[test]
    fn key_is_the_name_in_camel_case() {
        for option in all() {
            assert_eq!(option.key, camel(option.name));
        }
    }

    #[test]
    fn keys_and_attributes_are_unique() {
        let (mut keys, mut attributes) = (BTreeSet::new(), BTreeSet::new());
        for option in all() {
            assert!(
                attributes.insert((option.scope == Scope::Port, option.attribute)),
                "{option:?}"
            );
            for key in option.aliases.iter().chain([&option.key]) {
                assert!(keys.insert(*key), "{key}");
            }
        }
    }

    #[test]
    fn every_settable_attribute_has_a_row() {
        let numbers = |scope: Scope| -> Vec<u16> {
            let mut numbers: Vec<u16> = all()
                .filter(|option| option.scope == scope)
                .map(|option| option.attribute)
                .collect();
            numbers.sort_unstable();
            numbers
        };
        // 1 is the mode, 23 is IFLA_BOND_AD_INFO, which is only shown.
        let settable: Vec<u16> = (2..=34).filter(|number| *number != 23).collect();
        assert_eq!(numbers(Scope::Bond), settable);
        assert_eq!(numbers(Scope::Port), [5, 9, 10]);
    }

    #[test]
    fn later_value_is_documented() {
        for (option, number, since) in LATER_VALUES {
            let name = option.shown(&crate::OptionValue::Number(*number));
            assert!(option.what.contains(&format!("{name} (kernel {since} and newer)")), "{name}");
        }
    }

    #[test]
    fn every_row_is_complete() {
        for option in all() {
            assert!(!option.what.is_empty() && !option.default.is_empty(), "{}", option.name);
            assert!(!option.modes.is_empty() && !option.since.is_empty(), "{}", option.name);
            let written: WrittenValue = serde_json::from_str(option.example).unwrap();
            if option.kind != Kind::Port {
                let value = option.read(&written).unwrap();
                assert_ne!(option.shown(&value), option.default, "{}", option.name);
            }
            for (name, json) in option.needs {
                let written: WrittenValue = serde_json::from_str(json).unwrap();
                assert!(find(name).unwrap().read(&written).is_ok(), "{}: {name}", option.name);
            }
        }
    }
}
