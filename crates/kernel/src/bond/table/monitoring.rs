//! How the bond learns that a port has lost its link: by carrier, or by asking neighbours.

use super::{BondMode, BondOption, Family, INT_MAX, Kind, MS, Width};

/// The modes whose ports are watched by ARP: not those that balance per peer or speak LACP.
const WITH_ARP: &[BondMode] =
    &[BondMode::BalanceRr, BondMode::ActiveBackup, BondMode::BalanceXor, BondMode::Broadcast];

const TARGET: &str = r#"["10.56.217.1"]"#;

pub(super) const OPTIONS: &[&BondOption] = &[
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
];

/// `IFLA_BOND_MIIMON`.
pub static MIIMON: BondOption = BondOption::new("miimon", "miimon", 3)
    .number(Width::Four, 0, INT_MAX, MS)
    .default("100; 0 where arpInterval is set")
    .example("50")
    .what(
        "How often the carrier of each port is looked at, in ms: a port that lost it is given up \
         within this time, and downdelay besides. Carrier ends at the next switch, so what dies \
         behind it is not seen; arpInterval sees it. Excludes arpInterval. 0 looks never: without \
         either monitor the driver holds every port to be up for ever, and sends into dead links.",
    );

/// `IFLA_BOND_UPDELAY`.
pub static UPDELAY: BondOption = BondOption::new("updelay", "updelay", 4)
    .number(Width::Four, 0, INT_MAX, MS)
    .default("0")
    .example("200")
    .needs(&[("miimon", "100")])
    .what(
        "How long a port's carrier must have been back before the port is used again, in ms: for \
         switches that have a link up before they forward (spanning tree, a reboot). A multiple \
         of miimon, which it needs. While no other port is usable, the bond does not wait; but \
         balance-rr and broadcast do, so that a bond whose ports all failed at once stays down \
         that much longer.",
    );

/// `IFLA_BOND_DOWNDELAY`.
pub static DOWNDELAY: BondOption = BondOption::new("downdelay", "downdelay", 5)
    .number(Width::Four, 0, INT_MAX, MS)
    .default("0")
    .example("200")
    .needs(&[("miimon", "100")])
    .what(
        "How long a port's carrier must have been gone before the port is given up, in ms: for \
         links that flap. Frames sent over the port meanwhile are lost. A multiple of miimon, \
         which it needs.",
    );

/// `IFLA_BOND_USE_CARRIER`.
pub static USE_CARRIER: BondOption =
    BondOption::new("use_carrier", "useCarrier", 6).default("on").example("0").what(
        "Whether miimon asks the driver's carrier state (on) or the MII registers and ethtool \
         (off), for drivers too old to keep a carrier state. Kernel 6.18 and newer have removed \
         the choice: on is taken and off is refused.",
    );

/// `IFLA_BOND_ARP_INTERVAL`.
pub static ARP_INTERVAL: BondOption = BondOption::new("arp_interval", "arpInterval", 7)
    .number(Width::Four, 0, INT_MAX, MS)
    .only_in(WITH_ARP)
    .default("0")
    .example("100")
    .needs(&[("arp_ip_target", TARGET)])
    .what(
        "How often the addresses of arpIpTarget and nsIp6Target are asked for, in ms; 0 never. A \
         port is up while it hears traffic, or answers as arpValidate wants: this sees a path \
         that is dead behind a living link. Needs a target, and an address of the bond from which \
         the target can be reached without a router. Excludes miimon. In balance-rr and \
         balance-xor the switch must spread the answers over all ports: one that sends them all \
         to one port makes the others go down.",
    );

/// `IFLA_BOND_ARP_IP_TARGET`.
pub static ARP_IP_TARGET: BondOption = BondOption::new("arp_ip_target", "arpIpTarget", 8)
    .of_kind(Kind::Addresses(Family::V4))
    .only_in(WITH_ARP)
    .default("none")
    .example(r#"["10.56.217.1", "10.56.217.2"]"#)
    .needs(&[("arp_interval", "100")])
    .what(
        "The IPv4 addresses that ARP monitoring asks for, 16 at most: routers and servers that \
         are always there. With one alone, its restart is a failure of every port. Needs \
         arpInterval.",
    );

/// `IFLA_BOND_NS_IP6_TARGET`.
pub static NS_IP6_TARGET: BondOption = BondOption::new("ns_ip6_target", "nsIp6Target", 31)
    .of_kind(Kind::Addresses(Family::V6))
    .only_in(WITH_ARP)
    .since("5.18")
    .default("none")
    .example(r#"["fd00:56::1", "fd00:56::2"]"#)
    .needs(&[("arp_interval", "100")])
    .what(
        "The IPv6 addresses that are asked for by neighbour solicitation, 16 at most; beside \
         arpIpTarget or alone. Needs arpInterval, and a kernel with IPv6.",
    );

/// `IFLA_BOND_ARP_VALIDATE`.
pub static ARP_VALIDATE: BondOption = BondOption::new("arp_validate", "arpValidate", 9)
    .named(
        Width::Four,
        &[
            (0, "none"),
            (1, "active"),
            (2, "backup"),
            (3, "all"),
            (4, "filter"),
            (5, "filter_active"),
            (6, "filter_backup"),
        ],
    )
    .only_in(WITH_ARP)
    .default("none")
    .example("\"all\"")
    .needs(&[("arp_interval", "100"), ("arp_ip_target", TARGET)])
    .what(
        "What a port has to hear to count as up. none: any frame, so that the probes of other \
         hosts and any broadcast keep a dead path alive. active, backup, all: the active port, \
         the backups, or all of them have to hear the bond's own probes: the active port the \
         answers, a backup port the requests, which the active port broadcasts; where the switch \
         does not flood them to the backups, leave these out. filter, filter_active, \
         filter_backup: as none, active and backup, but only ARP and IPv6 frames count on the \
         ports that are not validated. Needs arpInterval.",
    );

/// `IFLA_BOND_ARP_ALL_TARGETS`.
pub static ARP_ALL_TARGETS: BondOption = BondOption::new("arp_all_targets", "arpAllTargets", 10)
    .named(Width::Four, &[(0, "any"), (1, "all")])
    .useful_in(&[BondMode::ActiveBackup])
    .default("any")
    .example("\"all\"")
    .needs(&[("arp_interval", "100"), ("arp_ip_target", TARGET), ("arp_validate", "\"active\"")])
    .what(
        "Whether one target that answers is enough for a port to be up (any), or each has to \
         answer (all). Has an effect on the ports that arpValidate validates. Needs arpInterval.",
    );

/// `IFLA_BOND_MISSED_MAX`.
pub static ARP_MISSED_MAX: BondOption = BondOption::new("arp_missed_max", "arpMissedMax", 30)
    .number(Width::One, 1, 255, None)
    .also(&["missedMax"])
    .only_in(WITH_ARP)
    .since("5.17")
    .default("2")
    .example("3")
    .needs(&[("arp_interval", "100"), ("arp_ip_target", TARGET)])
    .what(
        "How many intervals of arpInterval may pass without what arpValidate wants before a port \
         is down. A backup port of active-backup is given one more. Needs arpInterval.",
    );
