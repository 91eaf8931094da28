//! Restoring a VF: the steps from whatever is back to what was before ADD, taken until none is left.

use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_kernel::{
    Apply, Kernel, Link, LinkRef, LinkState, Netns, Step, Vf, View, is_userspace_driver,
};
use podbond_names::{LinkName, PciAddress};

use crate::Error;
use crate::igb;
use crate::observe::{has_link, has_name, is_userspace, link_of, look};
use crate::record::VfBefore;
use crate::vf_settings::{limit, plan_settings};

/// How long a link is waited for that the kernel is giving back from a namespace that is gone, and a
/// driver that is busy with its last reset.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the kernel is asked meanwhile.
const RESTORE_INTERVAL: Duration = Duration::from_millis(50);

/// Why a VF whose link is not to be seen is not restored.
const ELSEWHERE: &str = "its network interface is in another network namespace";

/// Restores a VF: has its driver make its link anew, on the node, and sets it as it was before.
///
/// A link that is moved back keeps much of what a pod did to it: links stacked on it (VLAN, macvlan), in
/// whatever namespace they are, flags like PROMISC, XDP programs, altnames, the alias and settings of
/// the driver. All of that ends with the link, and a new one comes in about the time that a move takes. It
/// comes also from a namespace that nobody finds any more.
pub(crate) fn restore(
    kernel: &mut Kernel,
    pci: PciAddress,
    before: &VfBefore,
) -> Result<(), Error> {
    let renewed = renew(kernel, pci, before);
    // By a move, where the driver does not do it: the VF is on the node then, and DEL is repeated.
    restore_settings(kernel, pci, before)?;
    renewed.map_err(|error| Error::NotRestored { pci, problems: vec![error.to_string()] })
}

/// Takes the driver from a VF and gives it back. A VF that a process has gets no link, and is left unchanged.
fn renew(kernel: &mut Kernel, pci: PciAddress, before: &VfBefore) -> podbond_kernel::Result<()> {
    let Some(vf) = kernel.vf(pci)?.filter(|vf| !is_userspace(vf)) else { return Ok(()) };
    // One that was killed in between has left it without.
    let driver = match vf.driver.clone().or_else(|| before.driver.clone()) {
        Some(driver) => driver,
        None => match driver_of_siblings(kernel, &vf)? {
            Some(driver) => driver,
            None => return Ok(()),
        },
    };
    Step::renewal(pci, vf.driver, driver).iter().try_for_each(|step| kernel.apply(step))
}

/// Returns the driver that makes links of the other VFs of the same PF.
fn driver_of_siblings(kernel: &Kernel, vf: &Vf) -> podbond_kernel::Result<Option<String>> {
    for (_, sibling) in kernel.sysfs().vfs_of(vf.pf)? {
        let driver = kernel.sysfs().driver(sibling)?;
        if let Some(driver) = driver.filter(|driver| !is_userspace_driver(driver)) {
            return Ok(Some(driver));
        }
    }
    Ok(None)
}

/// Takes steps until the VF is as it was. An error counts only while something is left to do: a driver that
/// is busy is asked again.
fn restore_settings(kernel: &mut Kernel, pci: PciAddress, before: &VfBefore) -> Result<(), Error> {
    let names: Vec<LinkRef> = before.link.clone().map(LinkRef::host).into_iter().collect();
    let start = Instant::now();
    let mut last = Vec::new();
    loop {
        let view = look(kernel, pci, &names)?;
        let (steps, errors) = match restore_plan(pci, before, &view) {
            RestorePlan::Done => return Ok(()),
            RestorePlan::LinkElsewhere => (Vec::new(), vec![ELSEWHERE.to_owned()]),
            RestorePlan::Steps(steps) => {
                let errors = steps.iter().filter_map(|step| kernel.apply(step).err());
                let errors = errors.map(|error| error.to_string()).collect();
                (steps, errors)
            }
        };
        if errors.is_empty() && steps != last {
            last = steps;
            continue;
        }
        if start.elapsed() > RESTORE_TIMEOUT {
            let problems = if errors.is_empty() {
                steps.iter().map(|step| format!("left to do: {step}")).collect()
            } else {
                errors
            };
            return Err(Error::NotRestored { pci, problems });
        }
        sleep(RESTORE_INTERVAL);
    }
}

/// Returns the VF, its link wherever it is, and the pod's link of this name. Of a VF that is claimed for
/// the pod the link is waited for which the kernel gives back from a namespace that is gone.
pub(crate) fn look_for_link(
    kernel: &mut Kernel,
    pci: PciAddress,
    ifname: &LinkName,
    is_claimed: bool,
) -> Result<View, Error> {
    let start = Instant::now();
    loop {
        let view = look(kernel, pci, &[LinkRef::pod(ifname.clone())])?;
        let is_away = link_of(&view, pci).is_none() && view.vf(pci).is_some_and(has_link);
        if !is_away || !is_claimed {
            return Ok(view);
        }
        if start.elapsed() > RESTORE_TIMEOUT {
            return Err(Error::NotRestored { pci, problems: vec![ELSEWHERE.to_owned()] });
        }
        sleep(RESTORE_INTERVAL);
    }
}

/// What is to be done until a VF is on the node as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RestorePlan {
    /// Nothing: it is as it was, or there is no such VF any more.
    Done,
    /// These steps. After them a new look is needed: moving a link may change it, as when it was a
    /// bond's port.
    Steps(Vec<Step>),
    /// Its link is not to be seen. It was in a namespace that is going away, and the kernel will give it
    /// back to the node.
    LinkElsewhere,
}

/// Returns what is to be done from what is to what was: first the link is moved to the node, then it is
/// set as it was. Pure.
fn restore_plan(pci: PciAddress, before: &VfBefore, view: &View) -> RestorePlan {
    let Some(vf) = view.vf(pci) else { return RestorePlan::Done };
    let steps = match link_of(view, pci) {
        Some((at, link)) => {
            let target = place_on_node(&at, link, before.link.as_ref(), view);
            if at == target { resetting(vf, &at, link, before) } else { moving(at, target, link) }
        }
        None if has_link(vf) => return RestorePlan::LinkElsewhere,
        None => settings(vf, None, before),
    };
    if steps.is_empty() { RestorePlan::Done } else { RestorePlan::Steps(steps) }
}

/// Returns a name on the node as the kernel gives it to a link whose own is taken there.
fn kernel_made_name(link: &Link) -> Option<LinkName> {
    format!("dev{}", link.index).parse().ok()
}

/// Returns where the link belongs. When its name on the node is not known, or was taken in the meantime, it
/// keeps the one that it has there, since a VF under another name is better than one that is lost.
fn place_on_node(at: &LinkRef, link: &Link, before: Option<&LinkName>, view: &View) -> LinkRef {
    let is_taken =
        |name: &LinkName| view.host.iter().any(|other| other != link && has_name(other, name));
    if let Some(name) = before.filter(|name| !is_taken(name)) {
        return LinkRef::host(name.clone());
    }
    match at.netns {
        Netns::Host => at.clone(),
        Netns::Pod => LinkRef::host(kernel_made_name(link).unwrap_or_else(|| link.name.clone())),
    }
}

fn moving(from: LinkRef, to: LinkRef, link: &Link) -> Vec<Step> {
    let down = (link.state == LinkState::Up)
        .then(|| Step::SetState { at: from.clone(), to: LinkState::Down });
    down.into_iter().chain([Step::Move { from, to }]).collect()
}

fn resetting(vf: &Vf, at: &LinkRef, link: &Link, before: &VfBefore) -> Vec<Step> {
    let mut steps = Vec::new();
    let state = before.state.unwrap_or(link.state);
    if state == LinkState::Down && link.state == LinkState::Up {
        steps.push(Step::SetState { at: at.clone(), to: LinkState::Down });
    }
    if let Some(to) = before.mtu.filter(|mtu| *mtu != link.mtu) {
        steps.push(Step::SetMtu { at: at.clone(), from: link.mtu, to });
    }
    steps.extend(settings(vf, Some((at, link)), before));
    if state == LinkState::Up && link.state == LinkState::Down {
        steps.push(Step::SetState { at: at.clone(), to: LinkState::Up });
    }
    steps
}

fn settings(vf: &Vf, link: Option<(&LinkRef, &Link)>, before: &VfBefore) -> Vec<Step> {
    let mut wanted = limit(&before.settings, &vf.settings);
    let shown = link.map(|(_, link)| link);
    if igb::keeps_entry(&vf.settings, shown, before.mac, &before.settings) {
        wanted.mac = None;
    }
    // Limited to what the driver shows, there is nothing that it could not show.
    plan_settings(vf, link, before.mac, &wanted).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use podbond_names::Mac;
    use serde_json::json;

    use super::*;
    use crate::plan;
    use crate::testing::{OWN_MAC, config, in_pod, link, name, on_host, pci, stranger, vf};

    fn before() -> VfBefore {
        VfBefore::observed(&vf(), &on_host())
    }

    fn texts(before: &VfBefore, view: &View) -> Vec<String> {
        match restore_plan(pci(), before, view) {
            RestorePlan::Done => Vec::new(),
            RestorePlan::Steps(steps) => steps.iter().map(ToString::to_string).collect(),
            RestorePlan::LinkElsewhere => vec!["elsewhere".to_owned()],
        }
    }

    /// Takes the steps until none is left, as DEL does.
    fn take_steps(before: &VfBefore, view: &mut View) {
        for _ in 0..3 {
            if let RestorePlan::Steps(steps) = restore_plan(pci(), before, view) {
                view.apply(&steps);
            }
        }
        assert_eq!(texts(before, view), Vec::<String>::new());
    }

    #[test]
    fn whatever_add_has_done_is_undone() {
        let keys = json!({
            "vlan": 100, "vlanProto": "802.1ad", "trust": "on", "spoofchk": "off",
            "max_tx_rate": 50, "mac": "02:00:00:00:00:cc",
        });
        for state in [LinkState::Down, LinkState::Up] {
            let mut before = on_host();
            before.host[0].state = state;
            let original = VfBefore::observed(&vf(), &before);
            let steps = plan(&config(&keys), &name("net1"), &before).unwrap();
            // Also when ADD was killed half-way, after any of its steps.
            for done in 0..=steps.len() {
                let mut view = before.clone();
                view.apply(&steps[..done]);
                take_steps(&original, &mut view);
                assert_eq!(view, before, "after {done} steps");
            }
        }
    }

    #[test]
    fn link_is_moved_to_the_node_before_it_is_reset() {
        let mut view = in_pod();
        view.pod[0].mtu = 9000;
        assert_eq!(
            texts(&before(), &view),
            ["bring net1 (pod) down", "move net1 (pod) to pf0v2 (host)"]
        );
    }

    #[test]
    fn link_given_back_by_the_kernel_gets_name_mtu_and_address_again() {
        for fallen in ["net1", "dev9"] {
            let mut view = on_host();
            view.host[0] =
                Link { mtu: 1400, mac: "02:00:00:00:00:cc".parse().ok(), ..link(fallen) };
            assert_eq!(texts(&before(), &view), [format!("rename {fallen} (host) to pf0v2")]);
            take_steps(&before(), &mut view);
            assert_eq!(view, on_host());
        }
    }

    #[test]
    fn unseen_link_is_waited_for_unless_the_vf_can_have_none() {
        let mut view = View { host: Vec::new(), ..on_host() };
        assert_eq!(restore_plan(pci(), &before(), &view), RestorePlan::LinkElsewhere);
        view.vfs[0].driver = Some("vfio-pci".to_owned());
        assert_eq!(restore_plan(pci(), &before(), &view), RestorePlan::Done);
        view.vfs[0].driver = None;
        assert_eq!(restore_plan(pci(), &before(), &view), RestorePlan::Done);
        view.vfs.clear();
        assert_eq!(restore_plan(pci(), &before(), &view), RestorePlan::Done);
    }

    #[test]
    fn taken_name_keeps_no_vf_in_the_pod() {
        let mut view = in_pod();
        view.host.push(stranger("pf0v2"));
        assert_eq!(texts(&before(), &view)[1], "move net1 (pod) to dev9 (host)");
        take_steps(&before(), &mut view);
        assert!(view.link(Netns::Host, &name("dev9")).is_some());
    }

    #[test]
    fn vf_without_link_gets_its_settings_back() {
        let mut view = View { host: Vec::new(), ..on_host() };
        view.vfs[0].driver = Some("vfio-pci".to_owned());
        let original = VfBefore::observed(&view.vfs[0], &view);
        let before = view.clone();
        view.vfs[0].settings.vlan = Some(100);
        take_steps(&original, &mut view);
        assert_eq!(view, before);
    }

    /// Promise: vf-without-pf-mac
    #[test]
    fn pf_without_address_keeps_the_links_own_and_no_other() {
        let mut before = on_host();
        before.vfs[0].settings.mac = Some(Mac::ZERO);
        let original = VfBefore::observed(&before.vfs[0], &before);
        let own = OWN_MAC.parse().ok();
        // igb, whose VF has reported it in the meantime.
        let mut view = in_pod();
        view.vfs[0].settings.mac = own;
        take_steps(&original, &mut view);
        assert_eq!(view.vfs[0].settings.mac, own);
        // Nobody knows which is its own.
        let unknown = VfBefore { mac: None, ..original.clone() };
        let emptied = "set VF 2 of pf0 to mac 00:00:00:00:00:00 (was mac 02:00:00:00:00:bb)";
        assert_eq!(texts(&unknown, &view), [emptied]);
        // The pod's is taken from it before the link tells its own.
        let mut view = before.clone();
        let keys = json!({"mac": "02:00:00:00:00:cc"});
        view.apply(&plan(&config(&keys), &name("net1"), &before).unwrap());
        for _ in ["bring it down and move it", "reset it"] {
            assert_eq!(view.vfs[0].settings.mac, "02:00:00:00:00:cc".parse().ok());
            let RestorePlan::Steps(steps) = restore_plan(pci(), &original, &view) else {
                panic!("{view:?}")
            };
            view.apply(&steps);
        }
        assert_eq!(view, before);
        (view.host[0].mac, view.vfs[0].settings.mac) = ("02:00:00:00:00:cc".parse().ok(), own);
        let emptied = "set VF 2 of pf0 to mac 00:00:00:00:00:00 trust on";
        assert!(texts(&original, &view)[0].starts_with(emptied), "{:?}", texts(&original, &view));
    }

    #[test]
    fn unknown_is_left_unchanged() {
        let mut view = in_pod();
        view.pod[0].mtu = 9000;
        view.vfs[0].settings.spoofchk = Some(false);
        let original = VfBefore { link: Some(name("pf0v2")), ..VfBefore::default() };
        take_steps(&original, &mut view);
        assert_eq!(view.host[0].mtu, 9000);
        assert_eq!(view.vfs[0].settings.spoofchk, Some(false));
    }
}
