//! The bonding driver: modes, options (one table, from which they are read, checked, sent, read
//! back and documented), ports and LACP state.

mod lacp;
mod mode;
mod option;
mod options;
mod port;
pub mod table;
mod value;

pub use lacp::{Aggregator, LacpPort, LacpState};
pub use mode::{BondMode, FailOverMac};
pub use option::BondOption;
pub use options::{BondOptions, OptionMismatch, OptionValues, PortOptions};
pub use port::{PortRole, PortState};
pub use value::{OptionValue, WrittenValue, WrongValue};
