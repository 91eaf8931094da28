use podbond_cni::NetConf;
use podbond_kernel::{
    Link, LinkRef, LinkState, Netns, Step, Vf, VfLinkState, VfSettings, View, VlanProtocol,
};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::{Deserialize, Serialize};

use crate::plan::{find, has_name, is_userspace};
use crate::settings::{limit, settle};

/// A VF as it was before ADD changed anything. What is absent is not known and is let be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Original {
    /// The name of its link on the node; none where it had no link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<LinkName>,
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

impl Original {
    /// What the view shows of a VF.
    pub(crate) fn of(vf: &Vf, view: &View) -> Self {
        let link = view.host.iter().find(|link| link.parent == Some(vf.pci));
        Self {
            link: link.map(|link| link.name.clone()),
            mac: link.and_then(|link| link.mac),
            mtu: link.map(|link| link.mtu),
            state: link.map(|link| link.state),
            settings: vf.settings.clone(),
        }
    }
}

impl Original {
    /// What a VF was before an ADD with this configuration, as far as it can be guessed once the
    /// record is lost: what was asked for was not so before, but as a card makes its VFs.
    pub(crate) fn presumed(conf: &NetConf, link: Option<(&LinkRef, &Link)>) -> Self {
        let asked = |key: &str| {
            let value = conf.raw.get(key);
            value.is_some_and(|value| !value.is_null() && *value != "")
        };
        let rate = (asked("min_tx_rate") || asked("max_tx_rate")).then_some(0);
        let permanent = link.and_then(|(_, link)| link.permanent_mac);
        let was_given_a_mac = link.is_some_and(|(_, link)| link.mac != permanent);
        let settings = VfSettings {
            mac: permanent.filter(|_| was_given_a_mac),
            vlan: asked("vlan").then_some(0),
            qos: asked("vlan").then_some(0),
            vlan_proto: asked("vlan").then_some(VlanProtocol::Dot1Q),
            spoofchk: asked("spoofchk").then_some(true),
            trust: asked("trust").then_some(false),
            link_state: asked("link_state").then_some(VfLinkState::Auto),
            min_tx_rate: rate,
            max_tx_rate: rate,
        };
        let name = link.and_then(|(at, link)| match at.netns {
            Netns::Host => Some(link.name.clone()),
            Netns::Pod => nameless(link),
        });
        Self { link: name, mac: permanent, mtu: None, state: None, settings }
    }
}

/// What to tell of a link's address where nobody knows the one that it had before, as with igbvf,
/// which makes one up: the rest of a sentence.
pub(crate) fn unknown_mac(link: &Link) -> Option<String> {
    let mac = link.mac.filter(|_| link.permanent_mac.is_none())?;
    Some(format!(
        "; its driver tells no MAC address of its own, so that it keeps {mac}: where that was the \
         pod's, make the PF's VFs anew (sriov_numvfs to 0, then apply its policy)"
    ))
}

/// A name on the node as the kernel gives it to a link whose own is taken there.
fn nameless(link: &Link) -> Option<LinkName> {
    format!("dev{}", link.index).parse().ok()
}

/// What is left to do until a VF is on the node as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Release {
    /// Nothing: it is as it was, or there is no such VF any more.
    Done,
    /// These steps. After them a new look is needed: moving a link may change it, as when it was a
    /// bond's port.
    Steps(Vec<Step>),
    /// Its link is not to be seen. It was left in a namespace that is going away, and the kernel
    /// will give it back to the node.
    LinkElsewhere,
}

/// The way back, from whatever is to what was. Pure.
///
/// First the link comes home, then it is put back as it was.
pub(crate) fn release(pci: PciAddress, original: &Original, view: &View) -> Release {
    let Some(vf) = view.vf(pci) else { return Release::Done };
    let has_link = original.link.is_some() && vf.driver.is_some() && !is_userspace(vf);
    let steps = match (find(view, pci), &original.link) {
        (Some((at, link)), Some(name)) => {
            let home = home(&at, link, name, view);
            if at == home { restoring(vf, &at, link, original) } else { homing(at, home, link) }
        }
        _ if has_link => return Release::LinkElsewhere,
        _ => settings(vf, None, original),
    };
    if steps.is_empty() { Release::Done } else { Release::Steps(steps) }
}

/// Where the link belongs. When its name on the node was taken in the meantime it gets one as the
/// kernel would choose, since a VF under another name is better than one that is lost.
fn home(at: &LinkRef, link: &Link, original: &LinkName, view: &View) -> LinkRef {
    let taken = view.host.iter().any(|other| other != link && has_name(other, original));
    if !taken {
        return LinkRef::host(original.clone());
    }
    match at.netns {
        Netns::Host => at.clone(),
        Netns::Pod => LinkRef::host(nameless(link).unwrap_or_else(|| link.name.clone())),
    }
}

fn homing(from: LinkRef, to: LinkRef, link: &Link) -> Vec<Step> {
    let down = (link.state == LinkState::Up)
        .then(|| Step::SetState { at: from.clone(), to: LinkState::Down });
    down.into_iter().chain([Step::Move { from, to }]).collect()
}

fn restoring(vf: &Vf, at: &LinkRef, link: &Link, original: &Original) -> Vec<Step> {
    let mut steps = Vec::new();
    let state = original.state.unwrap_or(link.state);
    if state == LinkState::Down && link.state == LinkState::Up {
        steps.push(Step::SetState { at: at.clone(), to: LinkState::Down });
    }
    if let Some(to) = original.mtu.filter(|mtu| *mtu != link.mtu) {
        steps.push(Step::SetMtu { at: at.clone(), from: link.mtu, to });
    }
    steps.extend(settings(vf, Some((at, link)), original));
    if state == LinkState::Up && link.state == LinkState::Down {
        steps.push(Step::SetState { at: at.clone(), to: LinkState::Up });
    }
    steps
}

fn settings(vf: &Vf, link: Option<(&LinkRef, &Link)>, original: &Original) -> Vec<Step> {
    let mut wanted = limit(&original.settings, &vf.settings);
    if wanted.mac == Some(Mac::ZERO) && has_told_pf(vf, link, original) {
        wanted.mac = None;
    }
    // Limited to what the driver shows, there is nothing that it could not show.
    settle(vf, link, original.mac, &wanted).unwrap_or_default()
}

/// Whether the PF, which had no address of the VF, has the link's own by now. igb shows none until
/// the driver has reset the VF for the first time, as when its link was taken down: a card that is
/// made to forget it then keeps from the next pod what is sent to it.
fn has_told_pf(vf: &Vf, link: Option<(&LinkRef, &Link)>, original: &Original) -> bool {
    link.is_some_and(|(_, link)| {
        original.mac.is_some() && link.mac == original.mac && vf.settings.mac == original.mac
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::plan;
    use crate::testing::{
        OWN_MAC, config, in_pod, link, name, net_conf, on_host, pci, stranger, vf,
    };

    fn original() -> Original {
        Original::of(&vf(), &on_host())
    }

    fn left(original: &Original, view: &View) -> Vec<String> {
        match release(pci(), original, view) {
            Release::Done => Vec::new(),
            Release::Steps(steps) => steps.iter().map(ToString::to_string).collect(),
            Release::LinkElsewhere => vec!["elsewhere".to_owned()],
        }
    }

    /// Takes the steps until none is left, as DEL does.
    fn bring_back(original: &Original, view: &mut View) {
        for _ in 0..3 {
            if let Release::Steps(steps) = release(pci(), original, view) {
                view.apply(&steps);
            }
        }
        assert_eq!(left(original, view), Vec::<String>::new());
    }

    #[test]
    fn whatever_add_has_done_is_taken_back_by_looking_at_what_is() {
        let keys = json!({
            "vlan": 100, "vlanProto": "802.1ad", "trust": "on", "spoofchk": "off",
            "max_tx_rate": 50, "mac": "02:00:00:00:00:cc",
        });
        for state in [LinkState::Down, LinkState::Up] {
            let mut before = on_host();
            before.host[0].state = state;
            let original = Original::of(&vf(), &before);
            let steps = plan(&config(&keys), &name("net1"), &before).unwrap();
            // Also when ADD was killed half-way, after any of its steps.
            for done in 0..=steps.len() {
                let mut view = before.clone();
                view.apply(&steps[..done]);
                bring_back(&original, &mut view);
                assert_eq!(view, before, "after {done} steps");
            }
        }
    }

    #[test]
    fn the_link_comes_home_before_it_is_put_back() {
        let mut view = in_pod();
        view.pod[0].mtu = 9000;
        assert_eq!(
            left(&original(), &view),
            ["bring net1 (pod) down", "move net1 (pod) to pf0v2 (host)"]
        );
    }

    #[test]
    fn a_link_that_fell_back_to_the_node_gets_its_name_mtu_and_address_again() {
        for fallen in ["net1", "dev9"] {
            let mut view = on_host();
            view.host[0] =
                Link { mtu: 1400, mac: "02:00:00:00:00:cc".parse().ok(), ..link(fallen) };
            assert_eq!(left(&original(), &view), [format!("rename {fallen} (host) to pf0v2")]);
            bring_back(&original(), &mut view);
            assert_eq!(view, on_host());
        }
    }

    #[test]
    fn a_link_that_is_not_to_be_seen_is_waited_for_unless_the_vf_can_have_none() {
        let mut view = View { host: Vec::new(), ..on_host() };
        assert_eq!(release(pci(), &original(), &view), Release::LinkElsewhere);
        view.vfs[0].driver = Some("vfio-pci".to_owned());
        assert_eq!(release(pci(), &original(), &view), Release::Done);
        view.vfs[0].driver = None;
        assert_eq!(release(pci(), &original(), &view), Release::Done);
        view.vfs.clear();
        assert_eq!(release(pci(), &original(), &view), Release::Done);
    }

    #[test]
    fn a_name_that_was_taken_in_the_meantime_keeps_no_vf_in_the_pod() {
        let mut view = in_pod();
        view.host.push(stranger("pf0v2"));
        assert_eq!(left(&original(), &view)[1], "move net1 (pod) to dev9 (host)");
        bring_back(&original(), &mut view);
        assert!(view.link(Netns::Host, &name("dev9")).is_some());
    }

    #[test]
    fn a_vf_without_link_gets_its_settings_back() {
        let mut view = View { host: Vec::new(), ..on_host() };
        view.vfs[0].driver = Some("vfio-pci".to_owned());
        let original = Original::of(&view.vfs[0], &view);
        let before = view.clone();
        view.vfs[0].settings.vlan = Some(100);
        bring_back(&original, &mut view);
        assert_eq!(view, before);
    }

    #[test]
    fn without_a_record_the_link_comes_home_and_what_was_asked_for_is_taken_back() {
        let keys = json!({
            "vlan": 100, "vlanProto": "802.1ad", "trust": "on", "max_tx_rate": 50,
        });
        let mut view = on_host();
        let steps = plan(&config(&keys), &name("net1"), &view).unwrap();
        let before = view.vfs.clone();
        view.apply(&steps);
        let at = LinkRef::pod(name("net1"));
        let link = view.link(Netns::Pod, &at.name).unwrap();
        let original = Original::presumed(&net_conf(&keys), Some((&at, link)));
        let home = format!("dev{}", link.index);
        bring_back(&original, &mut view);
        assert!(view.link(Netns::Host, &name(&home)).is_some(), "{view:?}");
        assert_eq!(view.vfs, before);
    }

    #[test]
    fn an_address_that_nobody_can_put_back_is_told_with_what_to_do() {
        let told = unknown_mac(&link("net1")).unwrap();
        assert!(told.contains(OWN_MAC) && told.contains("make the PF's VFs anew"), "{told}");
        let known = Link { permanent_mac: OWN_MAC.parse().ok(), ..link("net1") };
        assert_eq!(unknown_mac(&known), None);
    }

    #[test]
    fn a_pf_that_had_no_address_keeps_the_links_own_and_no_other() {
        let mut before = on_host();
        before.vfs[0].settings.mac = Some(Mac::ZERO);
        let original = Original::of(&before.vfs[0], &before);
        let own = OWN_MAC.parse().ok();
        // igb, whose VF has told it in the meantime.
        let mut view = in_pod();
        view.vfs[0].settings.mac = own;
        bring_back(&original, &mut view);
        assert_eq!(view.vfs[0].settings.mac, own);
        // Nobody knows which is its own.
        let unknown = Original { mac: None, ..original.clone() };
        let emptied = "set VF 2 of pf0 to mac 00:00:00:00:00:00 (was mac 02:00:00:00:00:bb)";
        assert_eq!(left(&unknown, &view), [emptied]);
        // The pod's is taken from it before the link tells its own.
        let mut view = before.clone();
        let keys = json!({"mac": "02:00:00:00:00:cc"});
        view.apply(&plan(&config(&keys), &name("net1"), &before).unwrap());
        for _ in ["bring it down and move it", "put it back"] {
            assert_eq!(view.vfs[0].settings.mac, "02:00:00:00:00:cc".parse().ok());
            let Release::Steps(steps) = release(pci(), &original, &view) else {
                panic!("{view:?}")
            };
            view.apply(&steps);
        }
        assert_eq!(view, before);
        (view.host[0].mac, view.vfs[0].settings.mac) = ("02:00:00:00:00:cc".parse().ok(), own);
        let emptied = "set VF 2 of pf0 to mac 00:00:00:00:00:00 trust on";
        assert!(left(&original, &view)[0].starts_with(emptied), "{:?}", left(&original, &view));
    }

    #[test]
    fn what_is_not_known_is_let_be() {
        let mut view = in_pod();
        view.pod[0].mtu = 9000;
        view.vfs[0].settings.spoofchk = Some(false);
        let original = Original { link: Some(name("pf0v2")), ..Original::default() };
        bring_back(&original, &mut view);
        assert_eq!(view.host[0].mtu, 9000);
        assert_eq!(view.vfs[0].settings.spoofchk, Some(false));
    }
}
