//! Reads the ports of a bond, their VFs and PFs and the other bonds of the node, and plans ADD.

use podbond_cni::{Attachment, Request};
use podbond_kernel::{BondMode, Kernel, LinkRef, LinkState, Netns, Sysfs, View};
use podbond_names::{LinkName, PciAddress};
use podbond_record::Records;

use crate::add::plan::{Plan, plan};
use crate::config::{Config, LinksAre};
use crate::error::Error;
use crate::inspect::{OtherBond, Surroundings, observe_surroundings};
use crate::pod_links::read_pod_links;
use crate::record::{BondRecord, Function};

/// The plan for what the kernel shows now, and what is to be recorded of it.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) bond: BondRecord,
}

/// Reads what a plan needs of the kernel, and plans.
pub(crate) fn observe_and_plan(
    kernel: &mut Kernel,
    config: &Config,
    request: &Request,
    records: &Records,
) -> Result<Prepared, Error> {
    let attachment = request.attachment();
    let mut view = observe(kernel, config, &request.ifname)?;
    if config.links_are == LinksAre::OnHost {
        count_as_up(&mut view, &config.ports, records, &attachment);
    }
    let around = surroundings(kernel, config, records, Some(&attachment), &mut view)?;
    let plan = plan(config, &request.ifname, &view, &around)?;
    let ask = |function| look_at(kernel.sysfs(), function);
    let bond = BondRecord::of(plan.steps.clone(), config, &view, ask)?;
    Ok(Prepared { plan, bond })
}

/// Returns what stands below and beside a bond: its ports' VFs and their PFs' links are added to
/// the view, the other 802.3ad bonds of the node come from the records of all attachments but
/// `own`.
pub(crate) fn surroundings(
    kernel: &mut Kernel,
    config: &Config,
    records: &Records,
    own: Option<&Attachment>,
    view: &mut View,
) -> Result<Surroundings, Error> {
    let bonds = match config.options.mode {
        BondMode::Lacp => other_bonds(kernel.sysfs(), records, own)?,
        _ => Vec::new(),
    };
    observe_surroundings(kernel, config, bonds, view)
}

/// Returns the bonds of other attachments whose namespace may be alive.
fn other_bonds(
    sysfs: &Sysfs,
    records: &Records,
    own: Option<&Attachment>,
) -> Result<Vec<OtherBond>, Error> {
    let (all, _) = records.all()?;
    let mut bonds = Vec::new();
    for record in all.iter().filter(|record| own != Some(&record.attachment())) {
        let Some(bond) = BondRecord::read(record).filter(|_| !record.is_orphan()) else { continue };
        let Some(mode) = bond.mode() else { continue };
        let mut pfs = Vec::new();
        for function in bond.ports.iter().filter_map(|port| port.function) {
            pfs.push(sysfs.pf_of(function)?.unwrap_or(function));
        }
        bonds.push(OtherBond { name: record.to_string(), mode, pfs });
    }
    Ok(bonds)
}

/// Counts those of the node's links as up that the bond of another pod has brought down, whose
/// namespace went away before a DEL could bring them up: that is for this bond's DEL then, as the
/// other's finds them no more.
pub(crate) fn count_as_up(
    view: &mut View,
    ports: &[LinkName],
    records: &Records,
    own: &Attachment,
) {
    let mut down = view
        .host
        .iter_mut()
        .filter(|link| link.state == LinkState::Down && ports.contains(&link.name))
        .peekable();
    if down.peek().is_none() {
        return;
    }
    // What cannot be read tells of no link.
    let (all, _) = records.all().unwrap_or_default();
    let orphans: Vec<BondRecord> = all
        .iter()
        .filter(|record| record.attachment() != *own && record.is_orphan())
        .filter_map(BondRecord::read)
        .collect();
    for link in down {
        if orphans.iter().any(|bond| bond.was_up_on_host(link)) {
            link.state = LinkState::Up;
        }
    }
}

/// Returns what is to be recorded of a function. It has several links at times, of which some may be in
/// pods at this moment, if it is a PF, which has representors in switchdev mode, or of a card that has one
/// function for several ports.
fn look_at(sysfs: &Sysfs, function: PciAddress) -> podbond_kernel::Result<Function> {
    let may_have_vfs = sysfs.attribute(function, "sriov_totalvfs")?.is_some();
    let pf = sysfs.pf_of(function)?;
    Ok(Function {
        may_have_several_links: may_have_vfs || sysfs.links_of(function)?.len() > 1,
        vf_driver: if pf.is_some() { sysfs.driver(function)? } else { None },
    })
}

/// Returns what [`plan`] needs of the bond and its ports, and no more.
fn observe(kernel: &mut Kernel, config: &Config, ifname: &LinkName) -> Result<View, Error> {
    let mut view = View::default();
    read_pod_links(kernel, config.interfaces(ifname), &mut view)?;
    read_pod_links(kernel, config.ports.iter().cloned(), &mut view)?;
    if config.links_are == LinksAre::OnHost {
        for name in &config.ports {
            view.host.extend(kernel.link(&LinkRef::host(name.clone()))?);
        }
    }
    let netns = config.links_are.netns();
    let masters: Vec<u32> =
        config.ports.iter().filter_map(|name| view.link(netns, name)?.master).collect();
    for index in masters {
        let master = kernel.link_by_index(netns, index)?;
        match netns {
            Netns::Host => view.host.extend(master),
            Netns::Pod => view.pod.extend(master),
        }
    }
    Ok(view)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use podbond_cni::{Args, ContainerId, NetConf};
    use podbond_kernel::NetnsIdentity;
    use podbond_record::Record;
    use serde_json::json;

    use super::*;
    use crate::add::plan::tests::link;
    use crate::inspect::Surroundings;

    fn records() -> (tempfile::TempDir, Records) {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
        (dir, records)
    }

    fn request(container: &str, mode: &str) -> Request {
        let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond", "mode": mode,
            "linksInContainer": false, "links": [{"name": "net1"}, {"name": "net2"}]});
        Request {
            container_id: ContainerId::try_from(container.to_owned()).unwrap(),
            netns: None,
            ifname: "net3".parse().unwrap(),
            args: Args::default(),
            path: Vec::new(),
            config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
        }
    }

    /// Records the ADD of a container over the links of a view, in a namespace that is alive or
    /// over.
    fn write(records: &Records, container: &str, mode: &str, view: &View, is_alive: bool) {
        let request = request(container, mode);
        let config = Config::parse(&request.config, &request.args).unwrap();
        let around = Surroundings::default();
        let plan = plan(&config, &request.ifname, view, &around).unwrap();
        let bond =
            BondRecord::of(plan.steps, &config, view, |_| Ok::<_, Error>(Function::default()))
                .unwrap();
        let netns = NetnsIdentity::of(Path::new("/proc/self/ns/net")).unwrap();
        let netns = if is_alive { netns } else { moved(netns) };
        let mut record = Record::of_add(&request, netns);
        bond.put_into(&mut record).unwrap();
        records.write(&record).unwrap();
    }

    /// The identity of a namespace that is certainly over: another one is at its path.
    fn moved(netns: NetnsIdentity) -> NetnsIdentity {
        let mut value = serde_json::to_value(netns).unwrap();
        value["inode"] = json!(1);
        serde_json::from_value(value).unwrap()
    }

    fn up() -> View {
        View { host: vec![link(2, "net1"), link(3, "net2")], ..View::default() }
    }

    /// Promise: killed-sequences
    #[test]
    fn link_brought_down_by_an_orphaned_bond_counts_as_up() {
        let (_dir, records) = records();
        let mut down = up();
        down.host[0].state = LinkState::Down;
        let own = request("c1", "active-backup").attachment();
        let ports = ["net1", "net2"].map(|name| name.parse().unwrap());
        let counted = |view: &View| {
            let mut view = view.clone();
            count_as_up(&mut view, &ports, &records, &own);
            view
        };
        assert_eq!(counted(&down), down);
        // One's own, and one whose pod is alive, have their own DEL.
        write(&records, "c1", "active-backup", &up(), false);
        write(&records, "c2", "active-backup", &up(), true);
        assert_eq!(counted(&down), down);
        write(&records, "c3", "active-backup", &up(), false);
        let is_over = records.all().unwrap().0.iter().any(Record::is_orphan);
        // A test in a container may not see the node's namespaces.
        assert_eq!(counted(&down), if is_over { up() } else { down.clone() });
        // Another link has the name.
        down.host[0].parent = None;
        assert_eq!(counted(&down), down);
    }

    #[test]
    fn other_bonds_are_those_of_records_that_may_be_alive() {
        let (_dir, records) = records();
        write(&records, "c1", "802.3ad", &up(), true);
        write(&records, "c2", "802.3ad", &up(), true);
        let own = request("c1", "802.3ad").attachment();
        let root = tempfile::tempdir().unwrap();
        let bonds = other_bonds(&Sysfs::new(root.path()), &records, Some(&own)).unwrap();
        let [bond] = bonds.as_slice() else { panic!("{bonds:?}") };
        assert_eq!((bond.name.as_str(), bond.mode), ("net3 of container c2", BondMode::Lacp));
        assert_eq!(bond.pfs.len(), 2);
    }
}
