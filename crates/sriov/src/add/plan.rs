//! The plan of ADD: the steps that give a pod its VF.

use podbond_kernel::{LinkRef, LinkState, LinkSysctl, Netns, Step, Vf, VfSettings, View};
use podbond_names::LinkName;

use crate::observe::{has_name, is_userspace, link_of};
use crate::vf_settings::{NotShown, plan_settings};
use crate::{Config, Error};

/// What sriov-cni turns on for a VF: neighbours learn at once that its address is here now, and an IPv6
/// address is used while duplicates of it are looked for.
const SYSCTLS: [LinkSysctl; 3] =
    [LinkSysctl::ArpNotify, LinkSysctl::NdiscNotify, LinkSysctl::OptimisticDad];

/// Returns the steps that give a pod its VF under the name `ifname`, set as `config` asks. What is so
/// already makes no step, so that the plan of an attachment that is as it should be is empty. Pure.
///
/// The view holds the VF, and its link in `host` or `pod`, wherever it is.
///
/// The VF is set before it is moved: a driver that refuses a setting refuses while the pod has seen
/// nothing.
pub fn plan(config: &Config, ifname: &LinkName, view: &View) -> Result<Vec<Step>, Error> {
    let vf = view.vf(config.device).ok_or(Error::NotAVf { pci: config.device })?;
    if is_userspace(vf) {
        let steps = plan_settings(vf, None, None, &config.settings);
        return steps.map_err(|setting| not_kept(vf, setting));
    }
    let (at, link) = link_of(view, config.device)
        .ok_or_else(|| Error::NoLink { pci: config.device, driver: vf.driver.clone() })?;
    let target = LinkRef::pod(ifname.clone());
    if at != target && view.pod.iter().any(|other| has_name(other, ifname)) {
        return Err(Error::NameTaken { name: ifname.clone() });
    }
    if at.netns == Netns::Host && link.master.is_some() {
        return Err(Error::Enslaved { pci: config.device, link: link.name.clone() });
    }

    let mut steps = Vec::new();
    let mut state = link.state;
    if at != target && state == LinkState::Up {
        steps.push(Step::SetState { at: at.clone(), to: LinkState::Down });
        state = LinkState::Down;
    }
    let (own, settings) = if link.master.is_some() {
        // The address of a bond's port is the bond's business, also as the PF knows it.
        (None, VfSettings { mac: None, ..config.settings.clone() })
    } else {
        (config.mac, config.settings.clone())
    };
    let set = plan_settings(vf, Some((&at, link)), own, &settings);
    steps.extend(set.map_err(|setting| not_kept(vf, setting))?);
    if at != target {
        steps.push(Step::Move { from: at, to: target.clone() });
        steps.push(Step::SetSysctls { at: target.clone(), sysctls: SYSCTLS.into(), on: true });
    }
    if state == LinkState::Down && config.state == LinkState::Up {
        steps.push(Step::SetState { at: target, to: LinkState::Up });
    }
    Ok(steps)
}

fn not_kept(vf: &Vf, NotShown(setting): NotShown) -> Error {
    Error::NotKept { setting, pf: vf.pf_link.clone(), vf: vf.index }
}

#[cfg(test)]
mod tests {
    use podbond_kernel::{Link, USERSPACE_DRIVERS};
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{config, in_pod, link, name, on_host, stranger};

    const SYSCTLS_ON: &str = "turn on arp_notify, ndisc_notify, optimistic_dad of net1 (pod)";

    fn planned(keys: &Value, view: &View) -> Result<Vec<Step>, Error> {
        plan(&config(keys), &name("net1"), view)
    }

    fn texts(keys: &Value, view: &View) -> Vec<String> {
        planned(keys, view).unwrap().iter().map(ToString::to_string).collect()
    }

    fn refused(view: &View) -> String {
        planned(&json!({}), view).unwrap_err().to_string()
    }

    #[test]
    fn vf_is_moved_and_brought_up() {
        assert_eq!(
            texts(&json!({"vlan": 0, "vlanQoS": 0, "trust": "off", "spoofchk": "on"}), &on_host()),
            ["move pf0v2 (host) to net1 (pod)", SYSCTLS_ON, "bring net1 (pod) up"]
        );
    }

    #[test]
    fn link_that_is_up_is_brought_down_first() {
        let mut view = on_host();
        view.host[0].state = LinkState::Up;
        assert_eq!(texts(&json!({}), &view)[0], "bring pf0v2 (host) down");
    }

    #[test]
    fn link_for_a_bond_stays_down_and_its_port_may_be_up() {
        let (keys, mut view) = (json!({"adminState": "down"}), on_host());
        view.host[0].state = LinkState::Up;
        let steps = texts(&keys, &view);
        assert_eq!(
            steps,
            ["bring pf0v2 (host) down", "move pf0v2 (host) to net1 (pod)", SYSCTLS_ON]
        );
        view = in_pod();
        view.pod[0].state = LinkState::Up;
        assert_eq!(texts(&keys, &view), Vec::<String>::new());
    }

    #[test]
    fn only_changes_are_set_and_parts_of_one_attribute_together() {
        let keys = json!({
            "vlan": 100, "vlanQoS": 3, "trust": "on", "spoofchk": "on", "link_state": "auto",
            "max_tx_rate": 50,
        });
        assert_eq!(
            texts(&keys, &on_host())[0],
            "set VF 2 of pf0 to vlan 100 qos 3 proto 802.1q trust on min_tx_rate 0 max_tx_rate 50 \
             (was vlan 0 qos 0 proto 802.1q trust off min_tx_rate 0 max_tx_rate 0)"
        );
    }

    #[test]
    fn vf_is_trusted_while_it_takes_an_address() {
        let keys = json!({"mac": "02:00:00:00:00:cc", "spoofchk": "off"});
        assert_eq!(
            texts(&keys, &on_host()),
            [
                "set VF 2 of pf0 to trust on (was trust off)",
                "set mac of pf0v2 (host) to 02:00:00:00:00:cc (was 02:00:00:00:00:bb)",
                "set VF 2 of pf0 to mac 02:00:00:00:00:cc spoofchk off trust off \
                 (was mac 02:00:00:00:00:aa spoofchk on trust on)",
                "move pf0v2 (host) to net1 (pod)",
                SYSCTLS_ON,
                "bring net1 (pod) up",
            ]
        );
    }

    #[test]
    fn vf_that_stays_trusted_is_trusted_once() {
        let steps = texts(&json!({"mac": "02:00:00:00:00:cc", "trust": "on"}), &on_host());
        assert_eq!(steps.iter().filter(|step| step.contains("trust")).count(), 1, "{steps:?}");
    }

    #[test]
    fn address_that_the_link_has_is_only_written_to_the_pf() {
        assert_eq!(
            texts(&json!({"mac": crate::testing::OWN_MAC}), &on_host())[0],
            "set VF 2 of pf0 to mac 02:00:00:00:00:bb (was mac 02:00:00:00:00:aa)"
        );
    }

    #[test]
    fn applied_plan_leaves_no_step_and_undone_no_change() {
        let everything = json!({
            "vlan": 100, "vlanProto": "802.1ad", "trust": "on", "spoofchk": "off",
            "link_state": "enable", "max_tx_rate": 50, "mac": "02:00:00:00:00:cc",
        });
        for keys in [json!({}), json!({"mac": "02:00:00:00:00:cc"}), everything] {
            let mut view = on_host();
            view.host[0].state = LinkState::Up;
            let before = view.clone();
            let steps = planned(&keys, &view).unwrap();
            view.apply(&steps);
            assert_eq!(texts(&keys, &view), Vec::<String>::new(), "{keys}");
            let back: Vec<Step> = steps.iter().rev().map(Step::inverse).collect();
            view.apply(&back);
            assert_eq!(view, before, "{keys}");
        }
    }

    #[test]
    fn address_of_a_bond_port_is_left_unchanged() {
        let mut view = in_pod();
        view.pod[0].master = Some(12);
        assert_eq!(texts(&json!({"mac": "02:00:00:00:00:cc"}), &view), Vec::<String>::new());
    }

    #[test]
    fn vf_of_a_userspace_driver_is_only_set() {
        for driver in USERSPACE_DRIVERS {
            let mut view = on_host();
            view.host.clear();
            view.vfs[0].driver = Some(driver.to_owned());
            assert_eq!(
                texts(&json!({"vlan": 7, "mac": "02:00:00:00:00:cc"}), &view),
                ["set VF 2 of pf0 to mac 02:00:00:00:00:cc vlan 7 qos 0 proto 802.1q \
                  (was mac 02:00:00:00:00:aa vlan 0 qos 0 proto 802.1q)"]
            );
        }
    }

    #[test]
    fn device_that_is_no_vf_is_refused_with_how_to_find_vfs() {
        let message = refused(&View { vfs: Vec::new(), ..on_host() });
        assert!(message.contains("0000:02:10.4 is no SR-IOV VF of this node"), "{message}");
        assert!(message.contains("/sys/bus/pci/devices/*/physfn"), "{message}");
    }

    #[test]
    fn vf_without_link_is_refused_with_the_reason() {
        let mut view = View { host: Vec::new(), ..on_host() };
        assert!(refused(&view).contains("a network namespace that is not in any record"));
        view.vfs[0].driver = None;
        assert!(refused(&view).contains("has no driver"));
    }

    #[test]
    fn name_or_altname_taken_in_the_pod_is_refused() {
        let mut view = on_host();
        view.pod.push(stranger("net1"));
        assert!(refused(&view).contains("the pod has a link net1 already"));
        view.pod[0] = Link { altnames: vec!["net1".to_owned()], ..stranger("eth0") };
        assert!(refused(&view).contains("the pod has a link net1 already"));
        view.pod[0] = stranger("eth0");
        assert!(planned(&json!({}), &view).is_ok());
    }

    #[test]
    fn port_of_a_bond_of_the_node_is_refused() {
        let mut view = on_host();
        view.host[0] = Link { master: Some(4), ..link("pf0v2") };
        assert!(refused(&view).contains("pf0v2, a port of a bond or bridge of the node"));
    }

    #[test]
    fn setting_that_the_driver_does_not_show_is_refused() {
        let mut view = on_host();
        view.vfs[0].settings.trust = None;
        let error = planned(&json!({"trust": "on"}), &view).unwrap_err().to_string();
        assert!(error.contains("trust: the driver of pf0 keeps none for VF 2"), "{error}");
        // Without trust to lend, the address is asked for as it is.
        let steps = texts(&json!({"mac": "02:00:00:00:00:cc"}), &view);
        assert!(steps[0].starts_with("set mac of pf0v2"), "{steps:?}");
    }
}
