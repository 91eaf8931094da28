//! The configuration of a bond: its keys, their values, and what they mean together.

mod bond_name;
mod draft;
mod keys;
mod own_names;
mod parse;
mod rules;
mod vlan;

use std::collections::BTreeMap;

use podbond_cni::{Dns, NetConf, field};
use podbond_kernel::{BondMode, BondOptions, FailOverMac, Netns, PortOptions, VlanTag};
use podbond_names::{LinkName, Mac};
use serde_json::Value;

pub(crate) use bond_name::bond_below_vlan;
pub use keys::{KEYS, Key};
pub(crate) use own_names::with_own_names;

use crate::finding::{Finding, Refused, Requirement, Severity};

/// Where the ports are before ADD: `linksInContainer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinksAre {
    /// `true`: earlier attachments have put them into the pod.
    InPod,
    /// `false`, the default: they are the node's, and are moved into the pod.
    OnHost,
}

impl LinksAre {
    /// Returns the namespace in which ADD finds the ports.
    pub fn netns(self) -> Netns {
        match self {
            Self::InPod => Netns::Pod,
            Self::OnHost => Netns::Host,
        }
    }
}

/// What happens when VFs that are not trusted would have to change their address, and their PF is known to
/// refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UntrustedPorts {
    /// ADD is refused: such a bond would not carry traffic.
    Refused,
    /// `allowUntrusted`: a warning is given.
    Allowed,
}

/// The configuration of a bond, checked as far as it can be without a look at the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The options of the bond, those absent left to the driver.
    pub options: BondOptions,
    /// The bond's own address, from `runtimeConfig.mac`, `CNI_ARGS` or `mac`; none leaves it to the
    /// driver.
    pub mac: Option<Mac>,
    /// `vlan` and `vlanProto`: the tag of the VLAN interface that stands on the bond.
    pub vlan: Option<VlanTag>,
    /// `mtu` in bytes; none takes 1500, or the smallest of the ports' if that is smaller.
    pub mtu: Option<u32>,
    /// `dns`: goes into the result, each field before that of the IPAM plugin.
    pub dns: Dns,
    /// `links`: two or more, no name twice.
    pub ports: Vec<LinkName>,
    /// The options of those ports that are given some.
    pub port_options: BTreeMap<LinkName, PortOptions>,
    /// `primary`: one of the ports.
    pub primary: Option<LinkName>,
    /// `activeSlave`: one of the ports.
    pub active: Option<LinkName>,
    /// `linksInContainer`.
    pub links_are: LinksAre,
    /// `allowUntrusted`.
    pub untrusted: UntrustedPorts,
    /// The keys that turn findings into refusals, as far as they are true.
    pub requirements: Vec<Requirement>,
    /// What is accepted and has no effect.
    pub findings: Vec<Finding>,
}

/// What DEL needs of a configuration. It is read from any, also from one that ADD refuses: a
/// runtime answers a failed ADD with a DEL, which must not fail for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Links {
    /// Those names of `links` that a link can have.
    pub(crate) names: Vec<LinkName>,
    /// `linksInContainer`.
    pub(crate) are: LinksAre,
}

impl Links {
    /// Reads the links of any configuration.
    pub(crate) fn of(conf: &NetConf) -> Self {
        let links = conf.get("links").and_then(Value::as_array);
        let name = |link: &Value| field(link.as_object()?, "name")?.as_str()?.parse().ok();
        let are = match conf.get("linksInContainer") {
            Some(Value::Bool(true)) => LinksAre::InPod,
            _ => LinksAre::OnHost,
        };
        Self { names: links.into_iter().flatten().filter_map(name).collect(), are }
    }
}

impl Config {
    /// Returns the name of the bond of an attachment with this interface: its own, or that of the
    /// bond below it where the interface is a VLAN's.
    pub fn bond_name(&self, ifname: &LinkName) -> LinkName {
        if self.vlan.is_some() { bond_below_vlan(ifname) } else { ifname.clone() }
    }

    /// Returns the interfaces that ADD makes for an attachment: the bond, and the VLAN's on it.
    pub(crate) fn interfaces(&self, ifname: &LinkName) -> Vec<LinkName> {
        let bond = self.vlan.map(|_| bond_below_vlan(ifname));
        [ifname.clone()].into_iter().chain(bond).collect()
    }

    /// Returns the configuration of a bond that is there: its options as the kernel shows them, its
    /// ports by name. It asks for nothing beyond that.
    pub fn of_existing(options: BondOptions, ports: Vec<LinkName>) -> Self {
        Self {
            options,
            mtu: None,
            dns: Dns::default(),
            mac: None,
            vlan: None,
            ports,
            port_options: BTreeMap::new(),
            primary: None,
            active: None,
            links_are: LinksAre::InPod,
            untrusted: UntrustedPorts::Refused,
            requirements: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Returns whose address the bond and its ports carry; the driver's default is `none`.
    pub fn fail_over_mac(&self) -> FailOverMac {
        self.options.fail_over_mac().unwrap_or(FailOverMac::None)
    }

    /// Returns whether the mode wants ports of one speed.
    pub(crate) fn needs_equal_speeds(&self) -> bool {
        matches!(self.options.mode, BondMode::Lacp | BondMode::BalanceRr)
    }

    /// Returns why a bond of which this was found is not made, if it is not.
    pub(crate) fn refusal(&self, finding: &Finding) -> Option<Refused> {
        let untrusted = finding.is_of_trust() && finding.severity == Severity::Error;
        let keys = self.requirements.iter().copied();
        let keys: Vec<Requirement> = keys.filter(|must| must.refuses(finding)).collect();
        let refused = untrusted || !keys.is_empty();
        refused.then(|| Refused { finding: finding.clone(), keys })
    }
}

#[cfg(test)]
mod tests;
