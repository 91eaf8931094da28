//! Options of a port: keys of an entry of `links`.

use super::{BondMode, BondOption, LACP, WITH_ACTIVE_PORT, Width};

pub(super) const OPTIONS: &[&BondOption] = &[&PRIO, &QUEUE_ID, &ACTOR_PORT_PRIO];

/// `IFLA_BOND_SLAVE_PRIO`.
pub static PRIO: BondOption = BondOption::new("prio", "prio", 9)
    .number(Width::Four, i32::MIN as i64, i32::MAX as i64, None)
    .of_port()
    .only_in(WITH_ACTIVE_PORT)
    .since("6.0")
    .default("0")
    .example("10")
    .what(
        "The port's rank when an active port is chosen: of those that are up the highest is \
         active, and one that comes back takes over as primaryReselect says. A primary that is up \
         goes before any prio.",
    );

/// `IFLA_BOND_SLAVE_QUEUE_ID`.
pub static QUEUE_ID: BondOption = BondOption::new("queue_id", "queueId", 5)
    .number(Width::Two, 0, 255, None)
    .of_port()
    .useful_in(&[BondMode::BalanceRr, BondMode::ActiveBackup])
    .since("3.18")
    .default("0")
    .example("2")
    .what(
        "The transmit queue of the bond whose frames leave over this port, whichever port is \
         active: for traffic that tc sends there (skbedit queue_mapping). 0 for none. While the \
         port is down, its frames go the usual way. Each port's own. The driver refuses more than \
         the bond has queues: 16, unless the bonding module was loaded with another tx_queues, \
         255 at most.",
    );

/// `IFLA_BOND_SLAVE_ACTOR_PORT_PRIO`.
pub static ACTOR_PORT_PRIO: BondOption = BondOption::new("actor_port_prio", "actorPortPrio", 10)
    .number(Width::Two, 0, 65_535, None)
    .of_port()
    .only_in(LACP)
    .since("6.18")
    .default("255")
    .example("100")
    .what(
        "The port's priority in LACPDUs, where the lower goes first for the partner. With adSelect \
         actor_port_prio the kernel chooses the aggregator by it, and there the higher goes first.",
    );
