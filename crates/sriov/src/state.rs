use std::path::PathBuf;

use podbond_cni::{NetConf, Request};
use podbond_kernel::{Vf, VfLinkState, VfSettings, View, VlanProtocol};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Config;
use crate::release::Original;

/// The version of our own part of a record.
const VERSION: u32 = 1;

/// Keys of the incumbent that hold what it found out, not what it was given. Its JSON reader takes
/// a key of any case for them, so that the configuration's own may not stand beside them.
const FOUND: [&str; 7] = ["OrigVfState", "Master", "MAC", "MTU", "VFID", "deviceID", "podbond"];

/// The record of one attachment: what it was asked for, and what was there before it.
///
/// On disk it is the configuration with the incumbent's own keys laid over it, and ours under
/// `podbond`, which the incumbent does not read: each can delete what the other has added.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// The VF.
    pub(crate) device: PciAddress,
    /// The namespace of the pod, where it is known: the incumbent does not note it here.
    pub(crate) netns: Option<PathBuf>,
    /// The interface in the pod, where it is known: neither the incumbent nor an older podbond notes
    /// it here.
    pub(crate) ifname: Option<LinkName>,
    /// What was there before.
    pub(crate) original: Original,
    /// All keys as they are on disk.
    keys: Map<String, Value>,
}

/// Our own part.
#[derive(Serialize, Deserialize)]
struct Own {
    version: u32,
    netns: Option<PathBuf>,
    ifname: Option<LinkName>,
    original: Original,
}

/// The incumbent's `OrigVfState`. Its zero values stand for what is not known.
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

impl Record {
    /// The record of an ADD that is about to start.
    pub(crate) fn new(request: &Request, config: &Config, vf: &Vf, view: &View) -> Self {
        let original = Original::of(vf, view);
        let found = |key: &str| FOUND.iter().any(|known| known.eq_ignore_ascii_case(key));
        let mut keys: Map<String, Value> = request
            .config
            .raw
            .iter()
            .filter(|(key, _)| !found(key) && *key != "prevResult")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let (netns, ifname) = (request.netns.clone(), Some(request.ifname.clone()));
        let own = Own {
            version: VERSION,
            netns: netns.clone(),
            ifname: ifname.clone(),
            original: original.clone(),
        };
        keys.extend([
            ("deviceID".to_owned(), json!(vf.pci)),
            ("Master".to_owned(), json!(vf.pf_link)),
            ("VFID".to_owned(), json!(vf.index)),
            ("MAC".to_owned(), json!(config.mac.map_or_else(String::new, |mac| mac.to_string()))),
            ("MTU".to_owned(), json!(original.mtu)),
            ("OrigVfState".to_owned(), json!(OrigVfState::from(&original))),
            ("podbond".to_owned(), json!(own)),
        ]);
        Self { device: vf.pci, netns, ifname, original, keys }
    }

    /// Reads a record, ours or the incumbent's; none where it is neither.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let keys: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let device = keys.get("deviceID")?.as_str()?.parse().ok()?;
        let own = keys.get("podbond").and_then(|own| Own::deserialize(own).ok());
        if let Some(own) = own.filter(|own| own.version == VERSION) {
            let Own { netns, ifname, original, .. } = own;
            return Some(Self { device, netns, ifname, original, keys });
        }
        let state = OrigVfState::deserialize(keys.get("OrigVfState")?).ok()?;
        let original = state.into_original(&keys);
        Some(Self { device, netns: None, ifname: None, original, keys })
    }

    /// The record as it is kept.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        Value::Object(self.keys.clone()).to_string().into_bytes()
    }

    /// The name of the network that it is an attachment to.
    pub(crate) fn network(&self) -> Option<&str> {
        self.keys.get("name")?.as_str()
    }

    /// The network configuration of the ADD, where it can be read as one.
    pub(crate) fn config(&self) -> Option<NetConf> {
        NetConf::parse(&self.to_json()).ok()
    }
}

impl From<&Original> for OrigVfState {
    fn from(original: &Original) -> Self {
        let text = |mac: Option<Mac>| mac.map(|mac| mac.to_string()).unwrap_or_default();
        let settings = &original.settings;
        Self {
            host_if_name: original.link.as_ref().map(ToString::to_string).unwrap_or_default(),
            spoof_chk: settings.spoofchk.unwrap_or_default(),
            trust: settings.trust.unwrap_or_default(),
            admin_mac: text(settings.mac),
            effective_mac: text(original.mac),
            vlan: settings.vlan.unwrap_or_default(),
            vlan_qos: settings.qos.unwrap_or_default(),
            vlan_proto: ether_type(settings.vlan_proto.unwrap_or(VlanProtocol::Dot1Q)),
            min_tx_rate: settings.min_tx_rate.unwrap_or_default(),
            max_tx_rate: settings.max_tx_rate.unwrap_or_default(),
            link_state: number(settings.link_state.unwrap_or(VfLinkState::Auto)),
            mtu: original.mtu.unwrap_or_default(),
        }
    }
}

impl OrigVfState {
    /// What the incumbent would put back: the administrative MAC address always, every other
    /// setting only where the configuration had changed it.
    fn into_original(self, keys: &Map<String, Value>) -> Original {
        let asked = |key: &str| {
            let mut entries = keys.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key));
            entries.any(|(_, value)| !value.is_null() && value != "")
        };
        let rates = asked("min_tx_rate") || asked("max_tx_rate");
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
        Original {
            link: self.host_if_name.parse().ok(),
            mac: self.effective_mac.parse().ok(),
            mtu: Some(self.mtu).filter(|mtu| *mtu != 0),
            state: None,
            settings: VfSettings {
                mac: self.admin_mac.parse().ok(),
                vlan: asked("vlan").then_some(self.vlan),
                qos: asked("vlan").then_some(self.vlan_qos),
                vlan_proto: asked("vlan").then_some(vlan_proto),
                spoofchk: asked("spoofchk").then_some(self.spoof_chk),
                trust: asked("trust").then_some(self.trust),
                link_state: asked("link_state").then_some(link_state),
                min_tx_rate: rates.then_some(self.min_tx_rate),
                max_tx_rate: rates.then_some(self.max_tx_rate),
            },
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
    use podbond_cni::{Args, ContainerId};
    use podbond_kernel::LinkState;

    use super::*;
    use crate::testing::{ADMIN_MAC, OWN_MAC, PCI, config, net_conf, on_host, vf};

    fn record(keys: &Value) -> Record {
        let request = Request {
            container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
            netns: Some("/run/netns/p1".into()),
            ifname: "net1".parse().unwrap(),
            args: Args::default(),
            path: Vec::new(),
            config: net_conf(keys),
        };
        Record::new(&request, &config(keys), &vf(), &on_host())
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let record = record(&json!({"vlan": 7, "ipam": {"type": "host-local"}}));
        assert_eq!(Record::read(&record.to_json()), Some(record));
    }

    #[test]
    fn a_record_is_the_configuration_that_ipam_is_asked_with() {
        let conf = record(&json!({"ipam": {"type": "host-local"}})).config().unwrap();
        assert_eq!(conf.name, "sriovnet1");
        assert_eq!(conf.ipam.as_deref(), Some("host-local"));
    }

    #[test]
    fn the_incumbent_finds_its_own_keys_in_our_records_and_no_second_spelling_of_them() {
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
        let Value::Object(mut found) = json else { panic!("it is an object") };
        assert!(found.remove("podbond").is_some());
        assert_eq!(Value::Object(found), expected);
    }

    #[test]
    fn the_incumbents_record_tells_what_it_would_put_back() {
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
        let record = Record::read(record.to_string().as_bytes()).unwrap();
        assert_eq!(record.device.to_string(), PCI);
        assert_eq!(record.netns, None);
        let original = &record.original;
        assert_eq!(original.link.as_ref().unwrap().as_str(), "pf0v2");
        assert_eq!((original.mtu, original.state), (Some(1500), None::<LinkState>));
        assert_eq!(original.mac.unwrap().to_string(), OWN_MAC);
        // Spoof checking, link state and rates were not asked for.
        assert_eq!(
            original.settings.to_string(),
            "mac 02:00:00:00:00:aa vlan 0 qos 0 proto 802.1q trust off"
        );
    }

    #[test]
    fn an_older_incumbents_record_leaves_open_what_it_did_not_note() {
        let record = json!({
            "deviceID": PCI, "trust": "on",
            "OrigVfState": {"HostIFName": "pf0v2", "Trust": true, "AdminMAC": ""},
        });
        let original = Record::read(record.to_string().as_bytes()).unwrap().original;
        assert_eq!((original.mac, original.mtu), (None, None));
        assert_eq!(original.settings.to_string(), "trust on");
    }

    #[test]
    fn what_is_no_record_is_none() {
        for text in ["", "{", "[]", "{}", r#"{"deviceID": "x"}"#, r#"{"deviceID": "0000:02:10.4"}"#]
        {
            assert_eq!(Record::read(text.as_bytes()), None, "{text}");
        }
    }
}
