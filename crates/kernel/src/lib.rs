//! Talks to Linux and holds no policy: links, bonds, VFs, addresses, routes, namespaces, sysfs, and
//! the one transaction through which every change goes.
//!
//! - **Observe**: [`Kernel`] asks the kernel for one thing at a time; [`View`] is what it showed, as
//!   data.
//! - **Change**: a plan is a list of [`Step`]s, each of which holds what is and what is wanted, so
//!   that its inverse is known before it is applied. [`transact`] applies them in order and undoes
//!   them in reverse when one fails.
//!
//! Netlink's codec is not visible outside this crate.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod address;
pub mod bond;
mod error;
mod kernel;
mod link;
mod link_attributes;
mod link_function;
mod link_monitor;
mod link_sysctl;
mod module;
mod netlink;
mod netns;
mod netns_handle;
mod netns_identity;
mod node_view;
mod pci;
mod route;
mod speed;
mod step;
mod sysfs;
mod transaction;
mod vf;
mod view;
mod vlan;
mod wait;

pub use address::{AddressState, Dad, DadOutcome};
pub use bond::{
    Aggregator, BondMode, BondOptions, FailOverMac, LacpPort, LacpState, OptionValue, PortOptions,
    PortRole, PortState, WrittenValue, WrongValue,
};
pub use error::{Error, Result};
pub use kernel::Kernel;
pub use link::{Link, LinkElsewhere, LinkRef, LinkState, Netns};
pub use link_attributes::{LinkAttributes, LinkFlag};
pub use link_function::LinkFunction;
pub use link_monitor::{LinkEvent, LinkMonitor, NetnsNumber};
pub use link_sysctl::LinkSysctl;
pub use module::{Module, release};
#[cfg(feature = "fuzzing")]
pub use netlink::fuzzing;
#[cfg(feature = "measuring")]
pub use netlink::measuring;
pub use netns::{NamedNetns, enter, enter_node_mounts};
pub use netns_identity::{NetnsIdentity, NetnsState};
pub use pci::{USERSPACE_DRIVERS, is_userspace_driver, makes_links};
pub use route::{JoinedRoute, Route};
pub use speed::{Duplex, Speed};
pub use step::{NewBond, NewStacked, NewVlan, Step};
pub use sysfs::Sysfs;
pub use transaction::{Apply, Failed, Transaction, transact, undo_all};
pub use vf::{Vf, VfLinkState, VfSettings};
pub use view::View;
pub use vlan::{Vlan, VlanProtocol, VlanTag};
