//! VLAN tags and VLAN interfaces.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `EtherType` of a VLAN tag: `IFLA_VLAN_PROTOCOL`, and `ifla_vf_vlan_info.vlan_proto` of a VF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VlanProtocol {
    /// 0x8100, a customer tag.
    #[serde(rename = "802.1q")]
    Dot1Q,
    /// 0x88a8, a service tag.
    #[serde(rename = "802.1ad")]
    Dot1Ad,
}

impl fmt::Display for VlanProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dot1Q => "802.1q",
            Self::Dot1Ad => "802.1ad",
        })
    }
}

/// The tag of a VLAN interface's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanTag {
    /// `IFLA_VLAN_ID`: 1 to 4094.
    pub id: u16,
    /// `IFLA_VLAN_PROTOCOL`.
    pub protocol: VlanProtocol,
}

impl fmt::Display for VlanTag {
    /// Writes `vlan 100`; the protocol is named where it is not the usual one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vlan {}", self.id)?;
        match self.protocol {
            VlanProtocol::Dot1Q => Ok(()),
            VlanProtocol::Dot1Ad => write!(f, " proto {}", self.protocol),
        }
    }
}

/// Tag and lower link of a VLAN interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// The tag of its frames.
    pub tag: VlanTag,
    /// `IFLA_LINK`: the index of the lower link.
    pub lower: u32,
}
