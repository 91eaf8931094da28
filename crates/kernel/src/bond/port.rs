//! State and role of a port of a bond: `IFLA_BOND_SLAVE_*`, primary and active port.

use podbond_names::Mac;
use serde::{Deserialize, Serialize};

use super::lacp::LacpPort;
use super::option::BondOption;
use super::options::PortOptions;
use super::table;

/// State of a port of a bond: `IFLA_INFO_SLAVE_DATA`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortState {
    /// `IFLA_BOND_SLAVE_STATE`: the port carries traffic.
    pub active: bool,
    /// `IFLA_BOND_SLAVE_MII_STATUS`: the bond counts the port's link as up.
    pub mii_up: bool,
    /// `IFLA_BOND_SLAVE_LINK_FAILURE_COUNT`.
    pub link_failures: u32,
    /// `IFLA_BOND_SLAVE_PERM_HWADDR`: the address the port had before it was enslaved.
    pub permanent_mac: Option<Mac>,
    /// Its LACP state; none in other modes.
    #[serde(default)]
    pub lacp: Option<LacpPort>,
    /// Its options, as the kernel shows them.
    #[serde(default)]
    pub options: PortOptions,
}

/// What one port of a bond can be before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortRole {
    /// The one that is preferred.
    Primary,
    /// The one that carries the traffic now.
    Active,
}

impl PortRole {
    /// Returns the option that gives the role: `primary` or `active_slave`.
    pub fn option(self) -> &'static BondOption {
        match self {
            Self::Primary => &table::PRIMARY,
            Self::Active => &table::ACTIVE_SLAVE,
        }
    }
}
