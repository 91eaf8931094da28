//! Kernel settings (sysctl) of a link in its namespace, `net.ipv4.conf.LINK.*` and `net.ipv6.conf.LINK.*`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A setting of a link that is on or off. The kernel makes it anew when the link comes into another
/// namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkSysctl {
    /// Tell IPv4 neighbours when the link gets up or its MAC address changes.
    ArpNotify,
    /// Tell IPv6 neighbours when the link gets up or its MAC address changes.
    NdiscNotify,
    /// Allow an IPv6 address to be used while duplicates of it are looked for (RFC 4429).
    OptimisticDad,
    /// Keep IPv6 addresses when the link is brought down.
    KeepAddrOnDown,
    /// Take and have no IPv6 address.
    DisableIpv6,
}

impl LinkSysctl {
    fn name(self) -> &'static str {
        match self {
            Self::ArpNotify => "arp_notify",
            Self::NdiscNotify => "ndisc_notify",
            Self::OptimisticDad => "optimistic_dad",
            Self::KeepAddrOnDown => "keep_addr_on_down",
            Self::DisableIpv6 => "disable_ipv6",
        }
    }

    /// Returns the file of the setting, for who reads it in the namespace of the link.
    pub(crate) fn path(self, link: &str) -> String {
        let family = if self == Self::ArpNotify { "ipv4" } else { "ipv6" };
        format!("/proc/sys/net/{family}/conf/{link}/{}", self.name())
    }
}

impl fmt::Display for LinkSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
