//! Which port a frame goes out over.

use super::{BondMode, BondOption, Change, INT_MAX, Width};

pub(super) const OPTIONS: &[&BondOption] =
    &[&XMIT_HASH_POLICY, &PACKETS_PER_SLAVE, &TLB_DYNAMIC_LB, &LP_INTERVAL];

/// The modes that balance by load.
const BY_LOAD: &[BondMode] = &[BondMode::BalanceTlb, BondMode::BalanceAlb];

/// `IFLA_BOND_XMIT_HASH_POLICY`.
pub static XMIT_HASH_POLICY: BondOption = BondOption::new("xmit_hash_policy", "xmitHashPolicy", 14)
    .named(
        Width::One,
        &[
            (0, "layer2"),
            (1, "layer3+4"),
            (2, "layer2+3"),
            (3, "encap2+3"),
            (4, "encap3+4"),
            (5, "vlan+srcmac"),
        ],
    )
    .useful_in(&[BondMode::BalanceXor, BondMode::Lacp, BondMode::BalanceTlb, BondMode::BalanceAlb])
    .default("layer2")
    .example("\"layer3+4\"")
    .what(
        "What of a frame is hashed to choose its port. layer2: MAC addresses and the EtherType, \
         so that all IPv4 traffic to one router takes one port. layer2+3: IP addresses too. \
         layer3+4: IP addresses and ports, which spreads best; fragments of a connection may take \
         another port than its other frames. encap2+3, encap3+4: the same of the inner packet of \
         a tunnel. vlan+srcmac (kernel 5.12 and newer): VLAN ID and source MAC. Fragments apart, \
         one connection never takes two ports. The policy rules what is sent; over which port an \
         answer comes, the switch decides. balance-tlb and balance-alb use it only with \
         tlbDynamicLb off.",
    );

/// `IFLA_BOND_PACKETS_PER_SLAVE`.
pub static PACKETS_PER_SLAVE: BondOption = BondOption::new(
    "packets_per_slave",
    "packetsPerSlave",
    20,
)
.number(Width::Four, 0, 65_535, None)
.only_in(&[BondMode::BalanceRr])
.default("1")
.example("4")
.what(
    "How many frames go out over one port before the next has its turn; 0 chooses at random. \
         Frames of one connection take different ways and may overtake each other, which TCP \
         takes for loss.",
);

/// `IFLA_BOND_TLB_DYNAMIC_LB`.
pub static TLB_DYNAMIC_LB: BondOption = BondOption::new("tlb_dynamic_lb", "tlbDynamicLb", 27)
    .only_in(BY_LOAD)
    .changed(Change::WhileDown)
    .since("4.3")
    .default("on")
    .example("0")
    .what(
        "Whether flows move between ports by their load (on), or stay where xmitHashPolicy puts \
         them (off). Old kernels take it in balance-tlb alone.",
    );

/// `IFLA_BOND_LP_INTERVAL`.
pub static LP_INTERVAL: BondOption = BondOption::new("lp_interval", "lpInterval", 19)
    .number(Width::Four, 1, INT_MAX, Some("seconds"))
    .useful_in(BY_LOAD)
    .default("1")
    .example("5")
    .what(
        "The time between the learning packets that tell each port's switch which addresses are \
         behind it. In seconds, not milliseconds: the kernel counts it so. In balance-tlb they \
         are sent only with tlbDynamicLb on.",
    );
