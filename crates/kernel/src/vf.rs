//! A virtual function (VF) and its settings on the PF: MAC, VLAN, trust, spoof check, link state,
//! rates.

use std::fmt;

use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};

use crate::VlanProtocol;

/// `IFLA_VF_LINK_STATE`: the link state that the PF shows to the VF.
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

/// Settings of a VF on its PF (`IFLA_VF_INFO`). An absent value is one that the driver does not
/// report, or that a change leaves unchanged. In a change, `vlan`, `qos` and `vlan_proto` come
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
    /// Returns these settings, changed where `change` gives them.
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

    /// Returns those of these settings that `shown` contradicts. A setting that the driver does not
    /// report contradicts nothing.
    #[must_use]
    pub(crate) fn mismatches(&self, shown: &Self) -> Self {
        Self {
            mac: mismatch(self.mac, shown.mac),
            vlan: mismatch(self.vlan, shown.vlan),
            qos: mismatch(self.qos, shown.qos),
            vlan_proto: mismatch(self.vlan_proto, shown.vlan_proto),
            spoofchk: mismatch(self.spoofchk, shown.spoofchk),
            trust: mismatch(self.trust, shown.trust),
            link_state: mismatch(self.link_state, shown.link_state),
            min_tx_rate: mismatch(self.min_tx_rate, shown.min_tx_rate),
            max_tx_rate: mismatch(self.max_tx_rate, shown.max_tx_rate),
        }
    }

    /// Returns whether the fields that share an attribute are there together or not at all.
    pub(crate) fn is_whole(&self) -> bool {
        let tag = [self.vlan.is_some(), self.qos.is_some(), self.vlan_proto.is_some()];
        tag.iter().all(|&present| present == tag[0])
            && self.min_tx_rate.is_some() == self.max_tx_rate.is_some()
    }

    /// Returns the settings with each attribute complete: a field that is missing beside a present
    /// one of the same attribute is taken from `shown`.
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

    /// Returns whether nothing is present.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn mismatch<T: Copy + PartialEq>(wanted: Option<T>, shown: Option<T>) -> Option<T> {
    if shown.is_some() && wanted != shown { wanted } else { None }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl fmt::Display for VfSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
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
        f.write_str(&fields.into_iter().flatten().collect::<Vec<_>>().join(" "))
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
    /// Its settings on the PF.
    pub settings: VfSettings,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(vlan: u16) -> VfSettings {
        VfSettings { vlan: Some(vlan), qos: Some(3), trust: Some(true), ..VfSettings::default() }
    }

    #[test]
    fn contradicted_setting_is_a_mismatch() {
        assert!(tagged(5).mismatches(&tagged(5)).is_empty());
        let vlan_alone = VfSettings { vlan: Some(5), ..VfSettings::default() };
        assert_eq!(tagged(5).mismatches(&tagged(6)), vlan_alone);
    }

    #[test]
    fn unreported_setting_is_no_mismatch() {
        assert!(tagged(5).mismatches(&VfSettings::default()).is_empty());
    }

    #[test]
    fn half_of_an_attribute_is_completed() {
        let shown = VfSettings { min_tx_rate: Some(1), max_tx_rate: Some(2), ..tagged(6) };
        let vlan_alone = VfSettings { vlan: Some(5), ..VfSettings::default() };
        assert!(!vlan_alone.is_whole());
        let completed = VfSettings { vlan: Some(5), qos: Some(3), ..VfSettings::default() };
        assert_eq!(vlan_alone.completed(&shown), completed);
        let rate = VfSettings { max_tx_rate: Some(9), ..VfSettings::default() };
        assert_eq!(rate.completed(&shown).min_tx_rate, Some(1));
    }

    #[test]
    fn change_overrides_settings() {
        let change = VfSettings { vlan: Some(7), ..VfSettings::default() };
        assert_eq!(tagged(5).with(&change), tagged(7));
        assert_eq!(tagged(7).to_string(), "vlan 7 qos 3 trust on");
    }
}
