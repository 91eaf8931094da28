//! Situations that the unit tests share: VF 2 of pf0 and its link, as igb shows them.

use podbond_cni::{Args, Attachment, ContainerId, NetConf, Request};
use podbond_kernel::{
    Link, LinkAttributes, LinkState, Vf, VfLinkState, VfSettings, View, VlanProtocol,
};
use podbond_names::{LinkName, PciAddress};
use podbond_record::{Record, State};
use serde_json::{Value, json};

use crate::Config;

pub(crate) const PCI: &str = "0000:02:10.4";
pub(crate) const ADMIN_MAC: &str = "02:00:00:00:00:aa";
pub(crate) const OWN_MAC: &str = "02:00:00:00:00:bb";

pub(crate) fn pci() -> PciAddress {
    PCI.parse().unwrap()
}

pub(crate) fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

pub(crate) fn attachment(container: &str, ifname: &str) -> Attachment {
    let container_id = ContainerId::try_from(container.to_owned()).unwrap();
    Attachment { container_id, ifname: name(ifname) }
}

pub(crate) fn net_conf(keys: &Value) -> NetConf {
    let mut conf = json!({
        "cniVersion": "1.0.0", "name": "sriovnet1", "type": "sriov", "deviceID": PCI,
    });
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    NetConf::parse(conf.to_string().as_bytes()).unwrap()
}

pub(crate) fn config(keys: &Value) -> Config {
    Config::parse(&net_conf(keys), &Args::default()).unwrap()
}

pub(crate) fn link(name: &str) -> Link {
    Link {
        index: 9,
        name: name.parse().unwrap(),
        altnames: Vec::new(),
        kind: None,
        mac: OWN_MAC.parse().ok(),
        permanent_mac: None,
        mtu: 1500,
        max_mtu: 9216,
        state: LinkState::Down,
        carrier: false,
        master: None,
        lower: None,
        lower_elsewhere: None,
        attributes: LinkAttributes::default(),
        parent: Some(pci()),
        vlan: None,
        bond: None,
        aggregator: None,
        port: None,
    }
}

/// A link that has nothing to do with the VF.
pub(crate) fn stranger(name: &str) -> Link {
    Link { index: 3, parent: None, mac: None, ..link(name) }
}

pub(crate) fn vf() -> Vf {
    Vf {
        pci: pci(),
        pf: "0000:02:00.0".parse().unwrap(),
        pf_link: name("pf0"),
        index: 2,
        driver: Some("igbvf".to_owned()),
        settings: VfSettings {
            mac: ADMIN_MAC.parse().ok(),
            vlan: Some(0),
            qos: Some(0),
            vlan_proto: Some(VlanProtocol::Dot1Q),
            spoofchk: Some(true),
            trust: Some(false),
            link_state: Some(VfLinkState::Auto),
            min_tx_rate: Some(0),
            max_tx_rate: Some(0),
        },
    }
}

/// The record of `net1` of a container, without namespace.
pub(crate) fn record(container: &str, conf: &NetConf) -> Record {
    let attachment = attachment(container, "net1");
    let request = Request {
        container_id: attachment.container_id,
        netns: None,
        ifname: attachment.ifname,
        args: Args::default(),
        path: Vec::new(),
        config: conf.clone(),
    };
    Record { state: State::Active, ..Record::of_del(&request) }
}

/// The VF's link on the node, down.
pub(crate) fn on_host() -> View {
    View { host: vec![link("pf0v2")], vfs: vec![vf()], ..View::default() }
}

/// The VF's link in the pod, up.
pub(crate) fn in_pod() -> View {
    let link = Link { state: LinkState::Up, ..link("net1") };
    View { pod: vec![link], vfs: vec![vf()], ..View::default() }
}
