use std::fmt;

use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};

use crate::VlanProtocol;

/// `IFLA_VF_LINK_STATE`: what the PF tells the VF of its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VfLinkState {
    /// The PF's own link.
    Auto,
    /// Always up: the VF never sees its PF fail.
    Enable,
    /// Always down.
    Disable,
}

impl fmt::Display for VfLinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Enable => "enable",
            Self::Disable => "disable",
        })
    }
}

/// What a PF keeps of one of its VFs (`IFLA_VF_INFO`). An absent value is one that the driver does
/// not report, or that a change leaves alone. In a change, `vlan`, `qos` and `vlan_proto` come
/// together, and so do the two rates, since the kernel takes them in one attribute each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VfSettings {
    /// `IFLA_VF_MAC`: the administrative address; zero where none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// `IFLA_VF_VLAN`: VLAN ID, 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// `IFLA_VF_VLAN`: priority 0..7. It travels with the VLAN ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// `IFLA_VF_VLAN_LIST`: the tag's protocol. It travels with the VLAN ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_proto: Option<VlanProtocol>,
    /// `IFLA_VF_SPOOFCHK`: frames with a foreign source address are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoofchk: Option<bool>,
    /// `IFLA_VF_TRUST`: the VF may change its address and become promiscuous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<bool>,
    /// `IFLA_VF_LINK_STATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_state: Option<VfLinkState>,
    /// `IFLA_VF_RATE`: Mbit/s, 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tx_rate: Option<u32>,
    /// `IFLA_VF_RATE`: Mbit/s, 0 for unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tx_rate: Option<u32>,
}

impl VfSettings {
    /// These settings with those of `change` that are present laid over them.
    #[must_use]
    pub fn with(&self, change: &Self) -> Self {
        Self {
            mac: change.mac.or(self.mac),
            vlan: change.vlan.or(self.vlan),
            qos: change.qos.or(self.qos),
            vlan_proto: change.vlan_proto.or(self.vlan_proto),
            spoofchk: change.spoofchk.or(self.spoofchk),
            trust: change.trust.or(self.trust),
            link_state: change.link_state.or(self.link_state),
            min_tx_rate: change.min_tx_rate.or(self.min_tx_rate),
            max_tx_rate: change.max_tx_rate.or(self.max_tx_rate),
        }
    }

    /// Those of these settings that are present and that `shown` contradicts. A setting that the
    /// driver does not report contradicts nothing.
    #[must_use]
    pub(crate) fn unlike(&self, shown: &Self) -> Self {
        fn unlike<T: Copy + PartialEq>(wanted: Option<T>, shown: Option<T>) -> Option<T> {
            if shown.is_some() && wanted != shown { wanted } else { None }
        }
        Self {
            mac: unlike(self.mac, shown.mac),
            vlan: unlike(self.vlan, shown.vlan),
            qos: unlike(self.qos, shown.qos),
            vlan_proto: unlike(self.vlan_proto, shown.vlan_proto),
            spoofchk: unlike(self.spoofchk, shown.spoofchk),
            trust: unlike(self.trust, shown.trust),
            link_state: unlike(self.link_state, shown.link_state),
            min_tx_rate: unlike(self.min_tx_rate, shown.min_tx_rate),
            max_tx_rate: unlike(self.max_tx_rate, shown.max_tx_rate),
        }
    }

    /// Whether the fields that travel in one attribute are there together or not at all.
    pub(crate) fn is_whole(&self) -> bool {
        let tag = [self.vlan.is_some(), self.qos.is_some(), self.vlan_proto.is_some()];
        tag.iter().all(|&present| present == tag[0])
            && self.min_tx_rate.is_some() == self.max_tx_rate.is_some()
    }

    /// With the fields that travel in one attribute made whole: what is missing beside a present
    /// one is taken from `shown`.
    #[must_use]
    pub(crate) fn completed(&self, shown: &Self) -> Self {
        let mut whole = self.clone();
        if self.vlan.or(self.qos.map(u16::from)).is_some() || self.vlan_proto.is_some() {
            whole.vlan = self.vlan.or(shown.vlan);
            whole.qos = self.qos.or(shown.qos);
            whole.vlan_proto = self.vlan_proto.or(shown.vlan_proto);
        }
        if self.min_tx_rate.or(self.max_tx_rate).is_some() {
            whole.min_tx_rate = self.min_tx_rate.or(shown.min_tx_rate);
            whole.max_tx_rate = self.max_tx_rate.or(shown.max_tx_rate);
        }
        whole
    }

    /// Whether nothing is present.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for VfSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on_off = |on| if on { "on" } else { "off" };
        let words = [
            self.mac.map(|v| format!("mac {v}")),
            self.vlan.map(|v| format!("vlan {v}")),
            self.qos.map(|v| format!("qos {v}")),
            self.vlan_proto.map(|v| format!("proto {v}")),
            self.spoofchk.map(|v| format!("spoofchk {}", on_off(v))),
            self.trust.map(|v| format!("trust {}", on_off(v))),
            self.link_state.map(|v| format!("link_state {v}")),
            self.min_tx_rate.map(|v| format!("min_tx_rate {v}")),
            self.max_tx_rate.map(|v| format!("max_tx_rate {v}")),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// One virtual function, as sysfs and its PF show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vf {
    /// The VF's own PCI address.
    pub pci: PciAddress,
    /// The PCI address of its PF (sysfs `physfn`).
    pub pf: PciAddress,
    /// The name of the PF's link, through which the VF is set.
    pub pf_link: LinkName,
    /// The PF's number for it (sysfs `virtfn<index>`).
    pub index: u16,
    /// The driver bound to it; none while unbound.
    pub driver: Option<String>,
    /// What the PF keeps of it.
    pub settings: VfSettings,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(vlan: u16) -> VfSettings {
        VfSettings { vlan: Some(vlan), qos: Some(3), trust: Some(true), ..VfSettings::default() }
    }

    #[test]
    fn what_is_shown_differently_is_what_was_not_taken() {
        assert!(tagged(5).unlike(&tagged(5)).is_empty());
        let vlan_alone = VfSettings { vlan: Some(5), ..VfSettings::default() };
        assert_eq!(tagged(5).unlike(&tagged(6)), vlan_alone);
    }

    #[test]
    fn what_the_driver_does_not_report_cannot_differ() {
        assert!(tagged(5).unlike(&VfSettings::default()).is_empty());
    }

    #[test]
    fn half_of_an_attribute_is_completed_with_what_is() {
        let shown = VfSettings { min_tx_rate: Some(1), max_tx_rate: Some(2), ..tagged(6) };
        let vlan_alone = VfSettings { vlan: Some(5), ..VfSettings::default() };
        assert!(!vlan_alone.is_whole());
        let completed = VfSettings { vlan: Some(5), qos: Some(3), ..VfSettings::default() };
        assert_eq!(vlan_alone.completed(&shown), completed);
        let rate = VfSettings { max_tx_rate: Some(9), ..VfSettings::default() };
        assert_eq!(rate.completed(&shown).min_tx_rate, Some(1));
    }

    #[test]
    fn a_change_is_laid_over_what_is() {
        let change = VfSettings { vlan: Some(7), ..VfSettings::default() };
        assert_eq!(tagged(5).with(&change), tagged(7));
        assert_eq!(tagged(7).to_string(), "vlan 7 qos 3 trust on");
    }
}
