use podbond_cni::CniResult;
use podbond_ipam::Found;
use podbond_kernel::{Link, Netns, VfSettings, View};
use podbond_names::{LinkName, Mac};

use crate::plan::{is_userspace, plan};
use crate::release::Original;
use crate::settings::limit;
use crate::{Config, Error};

/// Every difference between what an ADD would make and what is there, and between its result and
/// what is there. Empty means that all is well. Pure.
///
/// The first kind is the plan itself: its steps are what is left to do.
pub(crate) fn differences(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    expected: &CniResult,
    found: &Found,
) -> Vec<String> {
    let mut differences = match plan(config, ifname, view) {
        Ok(steps) => steps.iter().map(|step| format!("left to do: {step}")).collect(),
        // Without its VF an attachment has nothing that could be compared.
        Err(error @ Error::NotAVf { .. }) => return vec![error.to_string()],
        Err(error) => vec![error.to_string()],
    };
    let position = expected
        .interfaces
        .iter()
        .position(|interface| interface.name == *ifname && interface.sandbox.is_some());
    let Some(position) = position else {
        differences.push(format!("prevResult: it has no interface {ifname}"));
        return differences;
    };
    if view.vf(config.device).is_some_and(is_userspace) {
        return differences;
    }
    let link = view.link(Netns::Pod, ifname);
    if let (Some(mac), Some(is)) = (expected.interfaces[position].mac, link.and_then(own_address))
        && mac != is
    {
        differences.push(format!("mac of {ifname} is {is}, not {mac}"));
    }
    // A bond gives its ports its own.
    let link = link.filter(|link| link.master.is_none());
    if let (Some(mtu), Some(is)) = (expected.interfaces[position].mtu, link.map(|link| link.mtu))
        && mtu != is
    {
        differences.push(format!("mtu of {ifname} is {is}, not {mtu}"));
    }
    differences.extend(found.differences(ifname, expected));
    differences
}

/// What the PF is to keep of a VF: what was asked for, and of the rest what was there before ADD. But
/// for the address, which a trusted VF gives to itself.
pub(crate) fn expected_settings(
    config: &Config,
    original: &Original,
    shown: &VfSettings,
) -> VfSettings {
    let rest = VfSettings { mac: None, ..limit(&original.settings, shown) };
    rest.with(&config.settings)
}

/// A link's own address: a bond may lend its port another one.
fn own_address(link: &Link) -> Option<Mac> {
    link.port.as_ref().and_then(|port| port.permanent_mac).or(link.mac)
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Interface, IpConfig};
    use podbond_kernel::{LinkState, PortState};
    use serde_json::json;

    use super::*;
    use crate::testing::{OWN_MAC, config, in_pod, name, on_host};

    fn expected() -> CniResult {
        let interface = Interface {
            name: name("net1"),
            mac: OWN_MAC.parse().ok(),
            mtu: Some(1500),
            sandbox: Some("/run/netns/p1".to_owned()),
            socket_path: None,
            pci_id: None,
        };
        let address = "10.0.0.2/24".parse().unwrap();
        let ips = vec![IpConfig { address, gateway: None, interface: Some(0) }];
        CniResult { interfaces: vec![interface], ips, ..CniResult::default() }
    }

    fn told(view: &View, addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let found = Found { addresses, ..Found::default() };
        differences(&config(&json!({"trust": "off"})), &name("net1"), view, &expected(), &found)
    }

    #[test]
    fn what_add_left_has_no_differences() {
        assert_eq!(told(&in_pod(), &["10.0.0.2/24"]), Vec::<String>::new());
    }

    #[test]
    fn a_setting_that_nobody_asked_for_is_to_be_as_add_found_it() {
        let before = on_host();
        let original = Original::of(&before.vfs[0], &before);
        let mut view = in_pod();
        view.vfs[0].settings.vlan = Some(8);
        view.vfs[0].settings.mac = "02:00:00:00:00:01".parse().ok();
        let config = config(&json!({"trust": "off"}));
        let settings = expected_settings(&config, &original, &view.vfs[0].settings);
        let config = Config { settings, ..config };
        let found = Found { addresses: vec!["10.0.0.2/24".parse().unwrap()], ..Found::default() };
        let told = differences(&config, &name("net1"), &view, &expected(), &found);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("left to do: set VF 2 of pf0 to vlan 0 "), "{told:?}");
    }

    #[test]
    fn a_port_that_carries_its_bonds_address_and_mtu_has_no_difference() {
        let mut view = in_pod();
        view.pod[0].mtu = 1400;
        view.pod[0].mac = "02:00:00:00:00:01".parse().ok();
        view.pod[0].master = Some(4);
        view.pod[0].port = Some(PortState {
            active: true,
            mii_up: true,
            link_failures: 0,
            permanent_mac: OWN_MAC.parse().ok(),
            lacp: None,
            options: podbond_kernel::PortOptions::default(),
        });
        assert_eq!(told(&view, &["10.0.0.2/24"]), Vec::<String>::new());
    }

    #[test]
    fn all_differences_are_told_at_once() {
        let mut view = in_pod();
        view.pod[0].mac = "02:00:00:00:00:01".parse().ok();
        view.pod[0].mtu = 1400;
        view.pod[0].state = LinkState::Down;
        view.vfs[0].settings.trust = Some(true);
        assert_eq!(
            told(&view, &[]),
            [
                "left to do: set VF 2 of pf0 to trust off (was trust on)",
                "left to do: bring net1 (pod) up",
                "mac of net1 is 02:00:00:00:00:01, not 02:00:00:00:00:bb",
                "mtu of net1 is 1400, not 1500",
                "address 10.0.0.2/24 is gone",
            ]
        );
    }

    #[test]
    fn a_link_that_is_back_on_the_node_or_gone_differs() {
        let told_of_host = told(&on_host(), &["10.0.0.2/24"]);
        assert_eq!(told_of_host[0], "left to do: move pf0v2 (host) to net1 (pod)");
        let gone = View { host: Vec::new(), ..on_host() };
        assert!(told(&gone, &["10.0.0.2/24"])[0].contains("has no network interface"));
        assert_eq!(told(&View::default(), &[]).len(), 1);
    }

    #[test]
    fn a_result_that_is_not_about_the_interface_differs() {
        let result = CniResult::default();
        let told =
            differences(&config(&json!({})), &name("net1"), &in_pod(), &result, &Found::default());
        assert_eq!(told, ["prevResult: it has no interface net1"]);
    }
}
