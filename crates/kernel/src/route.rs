use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One route of a CNI result, as `RTM_NEWROUTE` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `RTA_DST`; `0.0.0.0/0` and `::/0` are default routes.
    pub destination: IpNet,
    /// `RTA_GATEWAY`; none for a route on the link itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// `RTAX_MTU` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// `RTAX_ADVMSS` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// `RTA_PRIORITY`: the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// `RTA_TABLE`; none is the main table, 254.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// `rtm_scope`: 0 universe, 253 link; none lets the kernel's rule decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        Ok(())
    }
}
