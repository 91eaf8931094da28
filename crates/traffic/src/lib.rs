//! What `cargo xtask traffic` sends through bonds, run inside the lab: a pod with VFs of each card
//! gets a bond from the plugins as a runtime would call them, for every mode, number of ports and
//! MTU in turn; then each protocol is sent both ways between the pod and the switch, and what did
//! not arrive is counted.

mod cell;
mod command;
mod count;
mod datagrams;
mod error;
mod measure;
mod ping;
mod place;
mod pod;
mod port_state;
mod row;
mod settle;
mod streams;
mod switch;

pub use cell::{Cell, cells};
pub use error::Error;
pub use measure::Bench;
pub use row::{Row, head};

/// How many packets or messages of each protocol are sent in a cell: half from the pod, half to it.
pub const SENT: u32 = 100;
