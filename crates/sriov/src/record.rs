//! What the plugin records of an attachment: the VF as it was before ADD changed anything, and as ADD was to
//! make it.

use podbond_kernel::{LinkState, Vf, VfSettings, View};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_record::{Error, LinkPart, Record};
use serde::{Deserialize, Serialize};

use crate::Config;

/// The plugin's name, in configurations and records.
pub(crate) const PLUGIN: &str = "sriov";

/// A VF as it was before ADD. What is absent is not known and is left unchanged by DEL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct VfBefore {
    /// The name of its link on the node; none where it had no link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<LinkName>,
    /// The driver that made its link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) driver: Option<String>,
    /// The link's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<Mac>,
    /// The link's MTU in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u32>,
    /// Whether the link was up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<LinkState>,
    /// What the PF kept of it.
    pub(crate) settings: VfSettings,
}

impl VfBefore {
    /// Returns what a view shows of a VF on the node.
    pub(crate) fn observed(vf: &Vf, view: &View) -> Self {
        let link = view.host.iter().find(|link| link.parent == Some(vf.pci));
        Self {
            link: link.map(|link| link.name.clone()),
            driver: vf.driver.clone().filter(|_| link.is_some()),
            mac: link.and_then(|link| link.mac),
            mtu: link.map(|link| link.mtu),
            state: link.map(|link| link.state),
            settings: vf.settings.clone(),
        }
    }

    /// Returns what a record tells of its VF; none where its link half is void or ended.
    pub(crate) fn recorded(record: &Record) -> Option<Self> {
        record.link(PLUGIN)
    }
}

/// A VF as ADD was to make it, by the defaults of that day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VfWanted {
    /// The link's own address; none where it was left as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<Mac>,
    /// What the PF was to keep of it, where that was asked for.
    pub(crate) settings: VfSettings,
    /// Whether the link was brought up.
    pub(crate) state: LinkState,
}

/// Both, as they are recorded. Records of earlier versions have no `wanted`.
#[derive(Serialize, Deserialize)]
struct VfRecord {
    #[serde(flatten)]
    before: VfBefore,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wanted: Option<VfWanted>,
}

impl VfWanted {
    /// Returns what ADD makes by a configuration.
    fn of(config: &Config) -> Self {
        Self { mac: config.mac, settings: config.settings.clone(), state: config.state }
    }

    /// Returns what a record tells; none where its link half is void or ended, and of an earlier version's.
    pub(crate) fn recorded(record: &Record) -> Option<Self> {
        record.link::<VfRecord>(PLUGIN)?.wanted
    }
}

/// Returns the plugin's part of the record of an ADD.
pub(crate) fn part(before: &VfBefore, config: &Config) -> Result<LinkPart, Error> {
    let (before, wanted) = (before.clone(), Some(VfWanted::of(config)));
    LinkPart::new(PLUGIN, &VfRecord { before, wanted })
}

/// Returns the VF of the ADD of this plugin that a record is about.
pub(crate) fn device(record: &Record) -> Option<PciAddress> {
    let add = record.add.as_ref().filter(|_| record.is_of(PLUGIN))?;
    Config::device_of(&add.config)
}

#[cfg(test)]
mod tests {
    use podbond_kernel::NetnsIdentity;
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[test]
    fn vf_of_a_version_1_record_is_read() {
        let text = include_str!("../../record/v1/sriov.json");
        let record: Record = serde_json::from_str(text).unwrap();
        let netns = NetnsIdentity::of("/proc/self/ns/net".as_ref()).unwrap();
        let record = Record { netns: Some(netns), ..record };
        assert!(record.claims_its_vf() && device(&record) == "0000:02:10.0".parse().ok());
        let vf = VfBefore::recorded(&record).unwrap();
        assert_eq!(vf.link, "enp2s0v0".parse().ok());
        assert_eq!((vf.mac, vf.mtu), ("02:00:00:00:00:01".parse().ok(), Some(1500)));
        assert_eq!((vf.state, vf.settings.spoofchk), (Some(LinkState::Down), Some(true)));
        assert_eq!(VfWanted::recorded(&record), None);
    }

    #[test]
    fn both_parts_are_read_back_as_written() {
        let before = VfBefore::observed(&testing::vf(), &testing::on_host());
        let config = testing::config(&json!({"vlan": 5, "adminState": "down"}));
        let netns = NetnsIdentity::of("/proc/self/ns/net".as_ref()).unwrap();
        let record = Record {
            netns: Some(netns),
            link: Some(part(&before, &config).unwrap()),
            ..testing::record("c1", &testing::net_conf(&json!({})))
        };
        let read: Record = serde_json::from_value(serde_json::to_value(record).unwrap()).unwrap();
        assert_eq!(VfBefore::recorded(&read), Some(before));
        assert_eq!(VfWanted::recorded(&read), Some(VfWanted::of(&config)));
    }
}
