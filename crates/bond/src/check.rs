use podbond_cni::CniResult;
use podbond_ipam::Found;
use podbond_kernel::{BondOptions, LinkState, Netns, Step, View};
use podbond_names::LinkName;

use crate::config::Config;

/// Every difference between the bond that the configuration and the result of its ADD describe,
/// and what is there. Empty means that all is well. Pure.
///
/// Carrier is not looked at: a bond that is waiting for its links is as it was asked to be.
pub(crate) fn differences(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    expected: &CniResult,
    found: &Found,
) -> Vec<String> {
    let Some(link) = view.link(Netns::Pod, ifname) else {
        return vec![format!("{ifname} is gone")];
    };
    let Some(options) = &link.bond else {
        return vec![format!("{ifname} is no bond")];
    };
    let mut differences = option_differences(&config.options, options);
    if link.state == LinkState::Down {
        differences.push(format!("{ifname} is down"));
    }
    if let Some(mtu) = config.mtu.filter(|mtu| *mtu != link.mtu) {
        differences.push(format!("mtu is {}, not {mtu}", link.mtu));
    }
    for name in &config.ports {
        match view.link(Netns::Pod, name) {
            None => differences.push(format!("port {name} is gone")),
            Some(port) if port.master != Some(link.index) => {
                differences.push(format!("{name} is no port of {ifname}"));
            }
            Some(_) => {}
        }
    }
    for step in found.missing(ifname, expected) {
        match step {
            Step::AddAddress { address, .. } => {
                differences.push(format!("address {address} is gone"));
            }
            Step::AddRoute { route, .. } => differences.push(format!("route {route} is gone")),
            _ => {}
        }
    }
    differences
}

fn option_differences(wanted: &BondOptions, shown: &BondOptions) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |option: &str, wanted: Option<String>, shown: Option<String>| {
        if let Some(wanted) = wanted
            && Some(&wanted) != shown.as_ref()
        {
            let shown = shown.unwrap_or_else(|| "not known to this kernel".to_owned());
            differences.push(format!("{option} is {shown}, not {wanted}"));
        }
    };
    let text = |value: Option<u32>| value.map(|value| value.to_string());
    let toggle = |value: Option<bool>| value.map(|on| u8::from(on).to_string());
    compare("mode", Some(wanted.mode.to_string()), Some(shown.mode.to_string()));
    compare("miimon", text(wanted.miimon), text(shown.miimon));
    compare(
        "failOverMac",
        wanted.fail_over_mac.map(|value| value.to_string()),
        shown.fail_over_mac.map(|value| value.to_string()),
    );
    compare(
        "xmitHashPolicy",
        wanted.xmit_hash_policy.map(|value| value.to_string()),
        shown.xmit_hash_policy.map(|value| value.to_string()),
    );
    compare("allSlavesActive", toggle(wanted.all_slaves_active), toggle(shown.all_slaves_active));
    compare("tlbDynamicLb", toggle(wanted.tlb_dynamic_lb), toggle(shown.tlb_dynamic_lb));
    differences
}

#[cfg(test)]
mod tests {
    use podbond_cni::NetConf;
    use podbond_kernel::{BondMode, Link};

    use super::*;

    fn config() -> Config {
        let conf = br#"{"type": "bond", "cniVersion": "1.0.0", "name": "n", "mode": "balance-xor",
            "mtu": 1500, "linksInContainer": true, "links": [{"name": "net1"}, {"name": "net2"}]}"#;
        Config::parse(&NetConf::parse(conf).unwrap()).unwrap()
    }

    fn link(index: u32, name: &str, master: Option<u32>, bond: Option<BondOptions>) -> Link {
        Link {
            index,
            name: name.parse().unwrap(),
            altnames: Vec::new(),
            kind: None,
            mac: None,
            permanent_mac: None,
            mtu: 1500,
            max_mtu: 0,
            state: LinkState::Up,
            carrier: false,
            master,
            parent: None,
            bond,
            port: None,
        }
    }

    fn as_made() -> View {
        let bond = link(4, "net3", None, Some(config().options));
        let ports = [link(2, "net1", Some(4), None), link(3, "net2", Some(4), None)];
        View { pod: ports.into_iter().chain([bond]).collect(), ..View::default() }
    }

    fn told(view: &View) -> Vec<String> {
        let name = "net3".parse().unwrap();
        differences(&config(), &name, view, &CniResult::default(), &Found::default())
    }

    #[test]
    fn a_bond_as_it_was_made_has_no_differences_even_without_carrier() {
        assert_eq!(told(&as_made()), Vec::<String>::new());
    }

    #[test]
    fn all_differences_are_told_at_once() {
        let mut view = as_made();
        view.pod.remove(0);
        view.pod[0].master = None;
        let bond = &mut view.pod[1];
        bond.state = LinkState::Down;
        bond.mtu = 1400;
        bond.bond = Some(BondOptions { miimon: Some(50), ..BondOptions::new(BondMode::BalanceRr) });
        assert_eq!(
            told(&view),
            [
                "mode is balance-rr, not balance-xor",
                "miimon is 50, not 100",
                "net3 is down",
                "mtu is 1400, not 1500",
                "port net1 is gone",
                "net2 is no port of net3",
            ]
        );
    }

    #[test]
    fn a_missing_bond_and_another_link_in_its_place_are_told() {
        assert_eq!(told(&View::default()), ["net3 is gone"]);
        let mut view = as_made();
        view.pod[2].bond = None;
        assert_eq!(told(&view), ["net3 is no bond"]);
    }
}
