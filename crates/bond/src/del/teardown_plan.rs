//! Plans the removal of a bond and of the VLAN interface on it. Pure.

use podbond_kernel::{Link, LinkRef, Netns, NewBond, NewVlan, Step, View};
use podbond_names::LinkName;

use crate::config::bond_below_vlan;
use crate::record::{BondRecord, PortBefore};

/// Returns the steps that remove the bond of an attachment, and the VLAN interface on it.
///
/// The view must hold, where they exist, the pod's links `ifname` and [`bond_below_vlan`] of it.
pub(super) fn remove_bond(ifname: &LinkName, view: &View, recorded: &BondRecord) -> Vec<Step> {
    let Some(bond) = bond_of(ifname, view, recorded) else { return Vec::new() };
    let mut steps = Vec::new();
    let on_bond = view.link(Netns::Pod, ifname).filter(|link| is_vlan_on(link, bond));
    if let Some(link) = on_bond
        && let Some(vlan) = link.vlan
    {
        let (at, lower) = (LinkRef::pod(ifname.clone()), bond.name.clone());
        steps.push(Step::RemoveVlan(NewVlan { at, lower, tag: vlan.tag, mtu: link.mtu }));
    }
    if let Some(options) = bond.bond.clone() {
        // The driver frees and closes its ports with the bond: one message instead of one a port.
        let (at, mtu) = (LinkRef::pod(bond.name.clone()), bond.mtu);
        steps.push(Step::RemoveBond(NewBond { at, options, mtu, mac: None }));
    }
    steps
}

/// Returns the bond of an attachment: the pod's link `ifname`, or the bond below it where `ifname`
/// is a VLAN interface on that, or where ADD was to make it; the bond by another name, as far as the view
/// shows it.
pub(super) fn bond_of<'v>(
    ifname: &LinkName,
    view: &'v View,
    recorded: &BondRecord,
) -> Option<&'v Link> {
    let link = view.link(Netns::Pod, ifname);
    if let Some(bond) = link.filter(|link| link.bond.is_some()) {
        return Some(bond);
    }
    let below = view.link(Netns::Pod, &bond_below_vlan(ifname));
    let below = below.filter(|below| {
        let is_ours =
            link.is_some_and(|link| is_vlan_on(link, below)) || recorded.has_bond(&below.name);
        below.bond.is_some() && is_ours
    });
    below.or_else(|| renamed_bond(view, recorded))
}

/// Returns the bond that has every recorded port and the mode that ADD gave it: the attachment's own, which
/// the pod has renamed.
fn renamed_bond<'v>(view: &'v View, recorded: &BondRecord) -> Option<&'v Link> {
    let mode = recorded.mode()?;
    let master = |port: &PortBefore| recorded.find_port(Netns::Pod, &port.name, view)?.master;
    let mut masters = recorded.ports.iter().map(master);
    let first = masters.next()??;
    if !masters.all(|master| master == Some(first)) {
        return None;
    }
    let has_mode = |link: &&Link| link.bond.as_ref().is_some_and(|options| options.mode == mode);
    view.pod.iter().find(|link| link.index == first).filter(has_mode)
}

fn is_vlan_on(link: &Link, bond: &Link) -> bool {
    link.vlan.is_some_and(|vlan| vlan.lower == bond.index)
}
