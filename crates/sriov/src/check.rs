//! CHECK: whether a pod's VF is still as ADD made it.

use podbond_cni::{CniResult, Delegates, Request};
use podbond_ipam::Observed;
use podbond_kernel::{Kernel, Link, LinkRef, Netns, VfSettings, View};
use podbond_names::{LinkName, Mac};
use podbond_record::{Record, Stored};

use crate::observe::{is_userspace, observe};
use crate::record::{VfBefore, VfWanted, device};
use crate::vf_settings::limit;
use crate::{Config, Error, Sriov, plan};

impl Sriov {
    /// CHECK: compares what is with what ADD would make and with what it answered, and asks the IPAM
    /// plugin.
    pub(crate) fn check_vf(
        &self,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let record = match self.records.read(&request.attachment())? {
            Stored::Whole(record) => Some(*record),
            Stored::Missing | Stored::Unreadable(_) => None,
        };
        let mut config = asked_for(request, record.as_ref())?;
        let expected = request.config.prev_result.as_ref().ok_or(Error::PrevResultMissing)?;
        leave_mac_to_later_plugins(&mut config, &request.ifname, expected);
        let mut kernel = Kernel::with_pod(request.netns.as_deref().ok_or(Error::NetnsMissing)?)?;
        let view = observe(&mut kernel, config.device, &request.ifname)?;
        let before = self.before(request, record.as_ref())?;
        if let (Some(before), Some(vf)) = (before, view.vf(config.device)) {
            config.settings = expected_settings(&config, &before, &vf.settings);
        }
        let observed = Observed::on(&mut kernel, &LinkRef::pod(request.ifname.clone()))?;
        let differences = differences(&config, &request.ifname, &view, expected, &observed);
        Ok(podbond_ipam::check(request, delegates, differences)?)
    }

    /// Returns what the VF was before, by our record or else by sriov-cni's.
    fn before(
        &self,
        request: &Request,
        record: Option<&Record>,
    ) -> Result<Option<VfBefore>, Error> {
        match record {
            Some(record) => Ok(VfBefore::recorded(record)),
            None => Ok(self.files.record(&request.attachment())?.map(|file| file.before)),
        }
    }
}

/// Returns what ADD was to make: by its record, since the defaults may have been others then, or else by the
/// configuration.
fn asked_for(request: &Request, record: Option<&Record>) -> Result<Config, Error> {
    let recorded = record.and_then(|record| {
        let VfWanted { mac, settings, state } = VfWanted::recorded(record)?;
        Some(Config { device: device(record)?, mac, settings, state })
    });
    match recorded {
        Some(config) => Ok(config),
        None => Config::parse(&request.config, &request.args),
    }
}

/// Drops the address that was asked for where the result has another one: a plugin that follows in the chain
/// has changed it, and the link's is compared with the result.
fn leave_mac_to_later_plugins(config: &mut Config, ifname: &LinkName, expected: &CniResult) {
    let own =
        expected.interfaces.iter().find(|it| it.name == ifname.as_str() && it.sandbox.is_some());
    if own.and_then(podbond_cni::Interface::ethernet).is_some_and(|mac| config.mac != Some(mac)) {
        config.mac = None;
        config.settings.mac = None;
    }
}

/// Returns every difference between what an ADD would make and what is there, and between its result and
/// what is there. Empty means that all is well. Pure.
///
/// The first kind is the plan itself: its steps are what is to be done.
fn differences(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    expected: &CniResult,
    observed: &Observed,
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
        .position(|interface| interface.name == ifname.as_str() && interface.sandbox.is_some());
    let Some(position) = position else {
        differences.push(format!("prevResult: it has no interface {ifname}"));
        return differences;
    };
    if view.vf(config.device).is_some_and(is_userspace) {
        return differences;
    }
    let link = view.link(Netns::Pod, ifname);
    if let (Some(mac), Some(is)) =
        (expected.interfaces[position].ethernet(), link.and_then(own_address))
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
    differences.extend(observed.differences(ifname, expected));
    differences
}

/// Returns what the PF is to keep of a VF: what was asked for, and of the rest what was there before ADD. But
/// for the address, which a trusted VF gives to itself.
fn expected_settings(config: &Config, before: &VfBefore, shown: &VfSettings) -> VfSettings {
    let rest = VfSettings { mac: None, ..limit(&before.settings, shown) };
    rest.with(&config.settings)
}

/// Returns a link's own address: a bond may lend its port another one.
fn own_address(link: &Link) -> Option<Mac> {
    link.port.as_ref().and_then(|port| port.permanent_mac).or(link.mac)
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Args, ContainerId, Interface, IpConfig, NetConf};
    use podbond_kernel::{LinkState, NetnsIdentity, PortState, VlanProtocol};
    use serde_json::json;

    use super::*;
    use crate::record::part;
    use crate::testing::{self, OWN_MAC, config, in_pod, name, net_conf, on_host};

    fn request(conf: &NetConf) -> Request {
        Request {
            container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
            netns: None,
            ifname: name("net1"),
            args: Args::default(),
            path: Vec::new(),
            config: conf.clone(),
        }
    }

    fn expected() -> CniResult {
        let interface = Interface {
            name: "net1".to_owned(),
            mac: Some(OWN_MAC.to_owned()),
            mtu: Some(1500),
            sandbox: Some("/run/netns/p1".to_owned()),
            ..Interface::default()
        };
        let address = "10.0.0.2/24".parse().unwrap();
        let ips = vec![IpConfig { interface: Some(0), ..IpConfig::new(address) }];
        CniResult { interfaces: vec![interface], ips, ..CniResult::default() }
    }

    fn texts(view: &View, addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let observed = Observed { addresses, ..Observed::default() };
        differences(&config(&json!({"trust": "off"})), &name("net1"), view, &expected(), &observed)
    }

    #[test]
    fn what_add_made_has_no_differences() {
        assert_eq!(texts(&in_pod(), &["10.0.0.2/24"]), Vec::<String>::new());
    }

    #[test]
    fn other_settings_are_to_be_as_before_add() {
        let before = on_host();
        let before_add = VfBefore::observed(&before.vfs[0], &before);
        let mut view = in_pod();
        view.vfs[0].settings.vlan = Some(8);
        view.vfs[0].settings.mac = "02:00:00:00:00:01".parse().ok();
        let config = config(&json!({"trust": "off"}));
        let settings = expected_settings(&config, &before_add, &view.vfs[0].settings);
        let config = Config { settings, ..config };
        let observed =
            Observed { addresses: vec!["10.0.0.2/24".parse().unwrap()], ..Observed::default() };
        let texts = differences(&config, &name("net1"), &view, &expected(), &observed);
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].starts_with("left to do: set VF 2 of pf0 to vlan 0 "), "{texts:?}");
    }

    #[test]
    fn port_with_its_bonds_address_and_mtu_has_no_differences() {
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
        assert_eq!(texts(&view, &["10.0.0.2/24"]), Vec::<String>::new());
    }

    /// Promise: check-after-upgrade
    #[test]
    fn record_is_compared_whatever_the_configuration_means_today() {
        let mut view = in_pod();
        let (conf, mut made) = (net_conf(&json!({})), config(&json!({"trust": "on", "vlan": 7})));
        made.settings.vlan_proto = Some(VlanProtocol::Dot1Ad);
        view.vfs[0].settings = view.vfs[0].settings.with(&made.settings);
        let before = VfBefore::observed(&on_host().vfs[0], &on_host());
        let netns = NetnsIdentity::of("/proc/self/ns/net".as_ref()).unwrap();
        let record = Record {
            netns: Some(netns),
            add: Record::of_del(&request(&conf)).add,
            link: Some(part(&before, &made).unwrap()),
            ..testing::record("c1", &conf)
        };
        let texts = |record: Option<&Record>| {
            let config = asked_for(&request(&conf), record).unwrap();
            let settings = expected_settings(&config, &before, &view.vfs[0].settings);
            let config = Config { settings, ..config };
            let observed =
                Observed { addresses: vec!["10.0.0.2/24".parse().unwrap()], ..Observed::default() };
            differences(&config, &name("net1"), &view, &expected(), &observed)
        };
        assert_eq!(texts(Some(&record)), [""; 0]);
        assert_eq!(texts(None).len(), 1);
    }

    /// Promise: check-after-upgrade
    #[test]
    fn mac_is_that_of_the_last_result() {
        let asked = json!({"mac": "02:00:00:00:00:01"});
        let left = |result: &CniResult| {
            let mut config = config(&asked);
            leave_mac_to_later_plugins(&mut config, &name("net1"), result);
            (config.mac, config.settings.mac)
        };
        assert_eq!(left(&expected()), (None, None));
        let mut own = expected();
        own.interfaces[0].mac = "02:00:00:00:00:01".parse().ok();
        let mac = own.interfaces[0].ethernet();
        assert_eq!(left(&own), (mac, mac));
        assert_eq!(left(&CniResult::default()), (mac, mac));
    }

    #[test]
    fn all_differences_are_reported_at_once() {
        let mut view = in_pod();
        view.pod[0].mac = "02:00:00:00:00:01".parse().ok();
        view.pod[0].mtu = 1400;
        view.pod[0].state = LinkState::Down;
        view.vfs[0].settings.trust = Some(true);
        assert_eq!(
            texts(&view, &[]),
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
    fn link_on_the_node_or_gone_differs() {
        let of_host = texts(&on_host(), &["10.0.0.2/24"]);
        assert_eq!(of_host[0], "left to do: move pf0v2 (host) to net1 (pod)");
        let gone = View { host: Vec::new(), ..on_host() };
        assert!(texts(&gone, &["10.0.0.2/24"])[0].contains("has no network interface"));
        assert_eq!(texts(&View::default(), &[]).len(), 1);
    }

    #[test]
    fn result_about_another_interface_differs() {
        let result = CniResult::default();
        let texts = differences(
            &config(&json!({})),
            &name("net1"),
            &in_pod(),
            &result,
            &Observed::default(),
        );
        assert_eq!(texts, ["prevResult: it has no interface net1"]);
    }
}
