use podbond_kernel::{Link, LinkRef, Step, Vf, VfLinkState, VfSettings, VlanProtocol};
use podbond_names::Mac;

/// A change to what a PF keeps of a VF: both sides hold the fields that change, and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    from: VfSettings,
    to: VfSettings,
}

impl Change {
    fn none() -> Self {
        Self { from: VfSettings::default(), to: VfSettings::default() }
    }
}

/// A setting that its driver does not show, named by its configuration key. It can be neither read
/// back nor put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotShown(pub(crate) &'static str);

/// Settings of which only those remain that the driver shows in `shown`.
pub(crate) fn limit(wanted: &VfSettings, shown: &VfSettings) -> VfSettings {
    VfSettings {
        mac: shown.mac.and(wanted.mac),
        spoofchk: shown.spoofchk.and(wanted.spoofchk),
        trust: shown.trust.and(wanted.trust),
        ..wanted.clone()
    }
}

/// The steps that take a VF to `wanted`, and its link, where it has one, to the address `own`.
///
/// A driver refuses an address that the VF gives to itself when the PF has given it another one,
/// unless the VF is trusted; with some drivers (igb) the VF does not even learn of the PF's
/// until it is reset. So the VF is trusted for the moment in which its link takes the address. It
/// is on the node then, out of a pod's reach. The PF's own entry, where it is to have one, is written
/// after it, since a trusted VF's address may overwrite it. Where it is to have none it is emptied
/// before, since igb puts into it what the VF tells, and keeps from the VF what is sent to it while
/// it is empty. Undone in reverse the same holds.
pub(crate) fn settle(
    vf: &Vf,
    link: Option<(&LinkRef, &Link)>,
    own: Option<Mac>,
    wanted: &VfSettings,
) -> Result<Vec<Step>, NotShown> {
    let target = vf.settings.with(wanted);
    let mut is = vf.settings.clone();
    let mut steps = Vec::new();
    let mut address = Change::none();
    if let Some((at, link)) = link
        && let Some(to) = own
        && let Some(from) = link.mac.filter(|from| *from != to)
    {
        let mut before = Change::none();
        if is.trust == Some(false) {
            (before.from.trust, before.to.trust) = (is.trust, Some(true));
            is.trust = Some(true);
        }
        if wanted.mac == Some(Mac::ZERO) && is.mac != wanted.mac {
            (before.from.mac, before.to.mac) = (is.mac, wanted.mac);
            is.mac = wanted.mac;
        }
        if !before.to.is_empty() {
            steps.push(set(vf, before));
        }
        steps.push(Step::SetMac { at: at.clone(), from, to });
        if is.mac.is_some() && wanted.mac.is_some_and(|mac| mac != Mac::ZERO) {
            (address.from.mac, address.to.mac) = (is.mac, wanted.mac);
        }
    }
    let change = difference(&is, &target)?;
    let change = Change { from: address.from.with(&change.from), to: address.to.with(&change.to) };
    if !change.to.is_empty() {
        steps.push(set(vf, change));
    }
    Ok(steps)
}

fn set(vf: &Vf, change: Change) -> Step {
    Step::SetVf { pf: vf.pf_link.clone(), vf: vf.index, from: change.from, to: change.to }
}

/// What of `target` differs from `is`. The parts of a VLAN travel together, and so do the rates;
/// what of them a driver does not show is the kernel's default.
fn difference(is: &VfSettings, target: &VfSettings) -> Result<Change, NotShown> {
    let (mac, to_mac) = differing("mac", is.mac, target.mac)?;
    let (spoofchk, to_spoofchk) = differing("spoofchk", is.spoofchk, target.spoofchk)?;
    let (trust, to_trust) = differing("trust", is.trust, target.trust)?;
    let shown = is.link_state.or(Some(VfLinkState::Auto));
    let (link_state, to_link_state) = differing("link_state", shown, target.link_state)?;
    let (vlan, to_vlan) = differing_group(is, target, vlan);
    let (rates, to_rates) = differing_group(is, target, rates);
    let from = VfSettings { mac, spoofchk, trust, link_state, ..vlan.with(&rates) };
    let to = VfSettings {
        mac: to_mac,
        spoofchk: to_spoofchk,
        trust: to_trust,
        link_state: to_link_state,
        ..to_vlan.with(&to_rates)
    };
    Ok(Change { from, to })
}

fn differing<T: Copy + PartialEq>(
    key: &'static str,
    is: Option<T>,
    target: Option<T>,
) -> Result<(Option<T>, Option<T>), NotShown> {
    match (is, target) {
        (None, Some(_)) => Err(NotShown(key)),
        (is, target) if target.is_some() && is != target => Ok((is, target)),
        _ => Ok((None, None)),
    }
}

fn differing_group(
    is: &VfSettings,
    target: &VfSettings,
    group: impl Fn(&VfSettings) -> VfSettings,
) -> (VfSettings, VfSettings) {
    let (is, target) = (group(is), group(target));
    if is == target { Default::default() } else { (is, target) }
}

fn vlan(settings: &VfSettings) -> VfSettings {
    VfSettings {
        vlan: Some(settings.vlan.unwrap_or(0)),
        qos: Some(settings.qos.unwrap_or(0)),
        vlan_proto: Some(settings.vlan_proto.unwrap_or(VlanProtocol::Dot1Q)),
        ..VfSettings::default()
    }
}

fn rates(settings: &VfSettings) -> VfSettings {
    VfSettings {
        min_tx_rate: Some(settings.min_tx_rate.unwrap_or(0)),
        max_tx_rate: Some(settings.max_tx_rate.unwrap_or(0)),
        ..VfSettings::default()
    }
}
