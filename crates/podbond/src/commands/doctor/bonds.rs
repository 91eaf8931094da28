//! The bonds of the node and of its pods, and the findings about those of pods.

use std::collections::BTreeSet;
use std::path::Path;

use podbond_bond::{
    Error, Finding, HostLinksTaken, Object, OtherBond, PodBond, bond_findings, host_link_findings,
    kind, recorded_bonds,
};
use podbond_inventory::{Holders, Occupant};
use podbond_ipam::joined_routes;
use podbond_kernel::{Kernel, Link, LinkFunction, Netns, NetnsState, Sysfs, View};
use podbond_names::LinkName;
use podbond_record::{Holder, State};

use super::report::{BondReport, Located, Place, PortReport};
use crate::node::Pod;
use crate::output::note;
use crate::plugins::NodeFunctions;

/// What is read so far.
#[derive(Default)]
struct Bonds {
    reports: Vec<BondReport>,
    of_pods: Vec<(Place, PodBond)>,
    host_links: Vec<(Place, HostLinksTaken)>,
    findings: Vec<Located>,
}

/// Returns all bonds, those of the node first, and the findings about those of pods: of the pods that
/// are recorded, and of those that have only a claim on a VF. A pod that cannot be read is named on
/// standard error.
pub(super) fn read(
    pods: &[Pod],
    holders: &Holders,
    node: &View,
    sysfs: &Sysfs,
) -> podbond_kernel::Result<(Vec<BondReport>, Vec<Located>)> {
    let mut bonds = Bonds::default();
    for bond in bonds_of(&node.host) {
        bonds.reports.push(report(None, bond, &node.host, sysfs)?);
    }
    let unrecorded = unrecorded_pods(pods, holders);
    for pod in pods.iter().chain(&unrecorded) {
        let Some(netns) = &pod.netns else { continue };
        if let Err(error) = bonds.read_pod(pod, netns, node) {
            note(format_args!("podbond: pod {}: {error}", pod.name));
        }
    }
    bonds.compare_all();
    for (place, finding) in host_link_findings(std::mem::take(&mut bonds.host_links)) {
        bonds.add_findings(&place, vec![finding]);
    }
    Ok((bonds.reports, bonds.findings))
}

/// Returns the pods that are alive and have only a claim on a VF, by the paths of their network namespaces.
fn unrecorded_pods(pods: &[Pod], holders: &Holders) -> Vec<Pod> {
    let mut paths = BTreeSet::new();
    for (_, occupant) in holders.iter() {
        if let Occupant::Holder(Holder::Netns(path)) = occupant
            && NetnsState::of_path(path) == NetnsState::Alive
            && !pods.iter().any(|pod| pod.netns.as_ref() == Some(path))
        {
            paths.insert(path);
        }
    }
    paths.into_iter().map(|path| Pod::in_netns(path)).collect()
}

impl Bonds {
    fn read_pod(&mut self, pod: &Pod, netns: &Path, node: &View) -> Result<(), Error> {
        let mut kernel = Kernel::with_pod(netns)?;
        let links = kernel.shown_links(Netns::Pod)?;
        for bond in bonds_of(&links) {
            let place = place(&pod.name, &bond.name);
            self.add_findings(&place, bond_findings(bond, &links));
            self.reports.push(report(Some(&pod.name), bond, &links, kernel.sysfs())?);
            let read = PodBond::read(&mut kernel, bond, &links, node, &pod.records)?;
            self.of_pods.extend(read.map(|bond| (place, bond)));
        }
        for record in pod.records.iter().filter(|record| record.state == State::Active) {
            let of_ours = ["bond", "sriov"].iter().any(|plugin| record.is_of(plugin));
            if of_ours {
                let joined = joined_routes(&mut kernel, &record.ifname)?.into_iter();
                let object = || Object::Interface(record.ifname.clone());
                let found = joined.map(|why| Finding::new(&kind::ROUTE_JOINED, object(), why));
                self.add_findings(&place(&pod.name, &record.ifname), found.collect());
            }
            let taken = HostLinksTaken::of(&mut kernel, record, &NodeFunctions)?;
            let place = place(&pod.name, &record.ifname);
            self.host_links.extend(taken.map(|taken| (place, taken)));
        }
        for recorded in recorded_bonds(&pod.records) {
            let place = place(&pod.name, &recorded.record.ifname);
            self.add_findings(&place, recorded.difference(&mut kernel)?.into_iter().collect());
        }
        Ok(())
    }

    /// Adds the findings about each bond among all others.
    fn compare_all(&mut self) {
        let of_pods = std::mem::take(&mut self.of_pods);
        let all: Vec<OtherBond> =
            of_pods.iter().map(|(place, bond)| bond.as_other(place.to_string())).collect();
        for (place, bond) in of_pods {
            let own = place.to_string();
            let others = all.iter().filter(|other| other.name != own).cloned().collect();
            self.add_findings(&place, bond.beside(others).findings());
        }
    }

    fn add_findings(&mut self, place: &Place, findings: Vec<Finding>) {
        let located = |finding| Located { place: Some(place.clone()), finding };
        self.findings.extend(findings.into_iter().map(located));
    }
}

fn place(pod: &str, bond: &LinkName) -> Place {
    Place { pod: pod.to_owned(), bond: bond.clone() }
}

fn report(
    pod: Option<&str>,
    bond: &Link,
    links: &[Link],
    sysfs: &Sysfs,
) -> podbond_kernel::Result<BondReport> {
    let mut ports = Vec::new();
    for port in bond.ports(links) {
        ports.push(PortReport {
            name: port.name.clone(),
            state: port.state,
            carrier: port.carrier,
            function: LinkFunction::of(port, sysfs)?,
        });
    }
    Ok(BondReport {
        pod: pod.map(str::to_owned),
        name: bond.name.clone(),
        mode: bond.bond.as_ref().map_or("", |options| options.mode.name()),
        state: bond.state,
        carrier: bond.carrier,
        ports,
    })
}

fn bonds_of(links: &[Link]) -> impl Iterator<Item = &Link> {
    links.iter().filter(|link| link.bond.is_some())
}
