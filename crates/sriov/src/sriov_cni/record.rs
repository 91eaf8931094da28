//! sriov-cni's record of an attachment: the configuration with what it found out laid over it.

use podbond_cni::NetConf;
use podbond_kernel::{Vf, VfLinkState, VfSettings, VlanProtocol};
use podbond_names::{Mac, PciAddress};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Config;
use crate::config::keys::Keys;
use crate::record::VfBefore;

/// Keys of sriov-cni that hold what it found out, not what it was given. Its JSON reader takes a key of
/// any case for them, so that the configuration's own may not stand beside them.
const OBSERVED: [&str; 6] = ["OrigVfState", "Master", "MAC", "MTU", "VFID", "deviceID"];

/// A record in sriov-cni's format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SriovCniRecord {
    /// The VF.
    pub(crate) device: PciAddress,
    /// What it was before, as far as sriov-cni notes it.
    pub(crate) before: VfBefore,
    /// All keys as they are on disk.
    keys: Map<String, Value>,
}

/// `OrigVfState`. Its zero values stand for what is not known.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct OrigVfState {
    #[serde(rename = "HostIFName")]
    host_if_name: String,
    spoof_chk: bool,
    trust: bool,
    #[serde(rename = "AdminMAC")]
    admin_mac: String,
    #[serde(rename = "EffectiveMAC")]
    effective_mac: String,
    vlan: u16,
    #[serde(rename = "VlanQoS")]
    vlan_qos: u8,
    vlan_proto: u32,
    min_tx_rate: u32,
    max_tx_rate: u32,
    link_state: u32,
    #[serde(rename = "MTU")]
    mtu: u32,
}

impl SriovCniRecord {
    /// Returns the record of an ADD with this configuration, which `config` is parsed from.
    pub(crate) fn of_add(conf: &NetConf, config: &Config, vf: &Vf, before: &VfBefore) -> Self {
        let mut keys: Map<String, Value> = conf
            .raw
            .iter()
            .filter(|(key, _)| !is_observed(key) && *key != "prevResult")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let state = OrigVfState::from(before);
        keys.extend([
            ("deviceID".to_owned(), json!(vf.pci)),
            ("Master".to_owned(), json!(vf.pf_link)),
            ("VFID".to_owned(), json!(vf.index)),
            ("MAC".to_owned(), json!(config.mac.map_or_else(String::new, |mac| mac.to_string()))),
            ("MTU".to_owned(), json!(before.mtu)),
            ("OrigVfState".to_owned(), json!(state)),
        ]);
        let before = state.into_before(&keys);
        Self { device: vf.pci, before, keys }
    }

    /// Reads a record; none where it is none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let keys: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let device = keys.get("deviceID")?.as_str()?.parse().ok()?;
        let state = OrigVfState::deserialize(keys.get("OrigVfState")?).ok()?;
        Some(Self { device, before: state.into_before(&keys), keys })
    }

    /// Returns the record as it is written.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        Value::Object(self.keys.clone()).to_string().into_bytes()
    }

    /// Returns the network configuration of the ADD, where it can be read as one.
    pub(crate) fn conf(&self) -> Option<NetConf> {
        NetConf::parse(&self.to_json()).ok()
    }
}

fn is_observed(key: &str) -> bool {
    OBSERVED.iter().any(|observed| observed.eq_ignore_ascii_case(key))
}

impl From<&VfBefore> for OrigVfState {
    fn from(before: &VfBefore) -> Self {
        let text = |mac: Option<Mac>| mac.map(|mac| mac.to_string()).unwrap_or_default();
        let settings = &before.settings;
        Self {
            host_if_name: before.link.as_ref().map(ToString::to_string).unwrap_or_default(),
            spoof_chk: settings.spoofchk.unwrap_or_default(),
            trust: settings.trust.unwrap_or_default(),
            admin_mac: text(settings.mac),
            effective_mac: text(before.mac),
            vlan: settings.vlan.unwrap_or_default(),
            vlan_qos: settings.qos.unwrap_or_default(),
            vlan_proto: ether_type(settings.vlan_proto.unwrap_or(VlanProtocol::Dot1Q)),
            min_tx_rate: settings.min_tx_rate.unwrap_or_default(),
            max_tx_rate: settings.max_tx_rate.unwrap_or_default(),
            link_state: number(settings.link_state.unwrap_or(VfLinkState::Auto)),
            mtu: before.mtu.unwrap_or_default(),
        }
    }
}

impl OrigVfState {
    /// Returns what sriov-cni would put back: the administrative MAC address always, every other setting
    /// only where the configuration had changed it.
    fn into_before(self, keys: &Map<String, Value>) -> VfBefore {
        let vlan_proto = if self.vlan_proto == ether_type(VlanProtocol::Dot1Ad) {
            VlanProtocol::Dot1Ad
        } else {
            VlanProtocol::Dot1Q
        };
        let link_state = match self.link_state {
            1 => VfLinkState::Enable,
            2 => VfLinkState::Disable,
            _ => VfLinkState::Auto,
        };
        VfBefore {
            link: self.host_if_name.parse().ok(),
            driver: None,
            mac: self.effective_mac.parse().ok(),
            mtu: Some(self.mtu).filter(|mtu| *mtu != 0),
            state: None,
            settings: Keys(keys).changed(&VfSettings {
                mac: self.admin_mac.parse().ok(),
                vlan: Some(self.vlan),
                qos: Some(self.vlan_qos),
                vlan_proto: Some(vlan_proto),
                spoofchk: Some(self.spoof_chk),
                trust: Some(self.trust),
                link_state: Some(link_state),
                min_tx_rate: Some(self.min_tx_rate),
                max_tx_rate: Some(self.max_tx_rate),
            }),
        }
    }
}

/// The kernel's `ETH_P_8021Q` and `ETH_P_8021AD`.
fn ether_type(protocol: VlanProtocol) -> u32 {
    match protocol {
        VlanProtocol::Dot1Q => 0x8100,
        VlanProtocol::Dot1Ad => 0x88a8,
    }
}

/// The kernel's `IFLA_VF_LINK_STATE_*`.
fn number(state: VfLinkState) -> u32 {
    match state {
        VfLinkState::Auto => 0,
        VfLinkState::Enable => 1,
        VfLinkState::Disable => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ADMIN_MAC, OWN_MAC, PCI, config, net_conf, on_host, vf};

    fn record(keys: &Value) -> SriovCniRecord {
        let before = VfBefore::observed(&vf(), &on_host());
        SriovCniRecord::of_add(&net_conf(keys), &config(keys), &vf(), &before)
    }

    #[test]
    fn record_is_read_back_as_written() {
        let record = record(&json!({"vlan": 7, "ipam": {"type": "host-local"}}));
        assert_eq!(SriovCniRecord::read(&record.to_json()), Some(record.clone()));
        let conf = record.conf().unwrap();
        assert_eq!((conf.name.as_str(), conf.ipam.as_deref()), ("sriovnet1", Some("host-local")));
    }

    #[test]
    fn record_has_sriov_cnis_keys_and_no_second_spelling_of_them() {
        let keys = json!({"mac": "02:00:00:00:00:cc", "vlan": 7, "trust": "on", "mtu": 1400});
        let json: Value = serde_json::from_slice(&record(&keys).to_json()).unwrap();
        let expected = json!({
            "cniVersion": "1.0.0", "name": "sriovnet1", "type": "sriov", "deviceID": PCI,
            "vlan": 7, "trust": "on", "Master": "pf0", "VFID": 2, "MAC": "02:00:00:00:00:cc",
            "MTU": 1500,
            "OrigVfState": {
                "HostIFName": "pf0v2", "SpoofChk": true, "Trust": false, "AdminMAC": ADMIN_MAC,
                "EffectiveMAC": OWN_MAC, "Vlan": 0, "VlanQoS": 0, "VlanProto": 33024,
                "MinTxRate": 0, "MaxTxRate": 0, "LinkState": 0, "MTU": 1500,
            },
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn record_of_sriov_cni_tells_what_it_would_put_back() {
        let record = json!({
            "cniVersion": "1.0.0", "name": "sriovnet1", "type": "sriov", "deviceID": PCI,
            "ipam": {"type": "host-local"}, "dns": {}, "runtimeConfig": {}, "Master": "pf0",
            "MAC": "", "MTU": 1500, "VFID": 2, "vlan": 7, "vlanQoS": 0, "vlanProto": "802.1q",
            "min_tx_rate": null, "max_tx_rate": null, "trust": "on",
            "OrigVfState": {
                "HostIFName": "pf0v2", "SpoofChk": true, "Trust": false, "AdminMAC": ADMIN_MAC,
                "EffectiveMAC": OWN_MAC, "Vlan": 0, "VlanQoS": 0, "VlanProto": 33024,
                "MinTxRate": 0, "MaxTxRate": 0, "LinkState": 0, "MTU": 1500,
            },
        });
        let record = SriovCniRecord::read(record.to_string().as_bytes()).unwrap();
        assert_eq!(record.device.to_string(), PCI);
        let before = &record.before;
        assert_eq!(before.link.as_ref().unwrap().as_str(), "pf0v2");
        assert_eq!((before.mtu, before.state), (Some(1500), None));
        assert_eq!(before.mac.unwrap().to_string(), OWN_MAC);
        // Spoof checking, link state and rates were not asked for.
        assert_eq!(
            before.settings.to_string(),
            "mac 02:00:00:00:00:aa vlan 0 qos 0 proto 802.1q trust off"
        );
    }

    #[test]
    fn record_of_an_older_sriov_cni_leaves_open_what_it_did_not_note() {
        let record = json!({
            "deviceID": PCI, "trust": "on",
            "OrigVfState": {"HostIFName": "pf0v2", "Trust": true, "AdminMAC": ""},
        });
        let before = SriovCniRecord::read(record.to_string().as_bytes()).unwrap().before;
        assert_eq!((before.mac, before.mtu), (None, None));
        assert_eq!(before.settings.to_string(), "trust on");
    }

    #[test]
    fn text_that_is_no_record_is_none() {
        for text in ["", "{", "[]", "{}", r#"{"deviceID": "x"}"#, r#"{"deviceID": "0000:02:10.4"}"#]
        {
            assert_eq!(SriovCniRecord::read(text.as_bytes()), None, "{text}");
        }
    }
}
