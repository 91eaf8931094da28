use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use podbond_bond::{
    Bond, Config, Finding, Object, OtherBond, Reason, Surroundings, bond_findings, findings,
};
use podbond_cni::{Args, NetConf};
use podbond_inventory::{Holders, Occupant};
use podbond_kernel::{Kernel, Link, LinkState, Netns, NetnsState, View};
use podbond_names::LinkName;
use podbond_record::{Holder, Record, State};
use serde::Serialize;

use super::{Located, Place};
use crate::output::note;
use crate::pods::Pod;

/// After how long the person who waits is told how far it is.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// A bond as it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BondReport {
    /// Its pod; none of a bond of the node.
    pub(super) pod: Option<String>,
    pub(super) name: LinkName,
    pub(super) mode: &'static str,
    pub(super) state: LinkState,
    pub(super) carrier: bool,
    pub(super) ports: Vec<PortReport>,
}

#[derive(Serialize)]
pub(super) struct PortReport {
    pub(super) name: LinkName,
    pub(super) state: LinkState,
    pub(super) carrier: bool,
    /// The PF that it runs over, by the name of its link; none of a link that is no VF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pf: Option<LinkName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vf: Option<u16>,
}

/// A bond of a pod, with what is needed to judge it once all bonds are known.
struct Seen {
    place: Place,
    config: Config,
    view: View,
    around: Surroundings,
}

/// What was seen so far.
#[derive(Default)]
struct Look {
    reports: Vec<BondReport>,
    seen: Vec<Seen>,
    found: Vec<Located>,
}

/// Returns all bonds, those of the node first, and what is to be said of those of pods: of the pods that
/// are known, and of those that hold a VF by a claim alone.
pub(super) fn look(
    pods: &[Pod],
    holders: &Holders,
    node: &View,
) -> (Vec<BondReport>, Vec<Located>) {
    let of_node = bonds_of(&node.host).map(|bond| report(None, bond, &node.host, node));
    let mut look = Look { reports: of_node.collect(), ..Look::default() };
    let mut namespaces: Vec<(&Path, String, &[Record])> = Vec::new();
    for pod in pods {
        let netns = pod.netns.iter();
        namespaces.extend(netns.map(|netns| (netns.as_path(), pod.name.clone(), &pod.records[..])));
    }
    for (_, occupant) in holders.iter() {
        if let Occupant::Holder(Holder::Netns(netns)) = occupant
            && NetnsState::of_path(netns) == NetnsState::Alive
            && !namespaces.iter().any(|(known, ..)| known == netns)
        {
            namespaces.push((netns, netns.display().to_string(), &[]));
        }
    }
    let (begun, all) = (Instant::now(), namespaces.len());
    for (number, (netns, name, records)) in namespaces.into_iter().enumerate() {
        if begun.elapsed() > PROGRESS_AFTER && stderr().is_terminal() {
            note(format_args!("looking at pod {} of {all}: {name} …", number + 1));
        }
        if let Err(error) = look.at(netns, &name, records, node) {
            note(format_args!("podbond: pod {name}: {error}"));
        }
    }
    look.end()
}

impl Look {
    /// Looks into a pod's namespace.
    fn at(
        &mut self,
        netns: &Path,
        pod: &str,
        records: &[Record],
        node: &View,
    ) -> Result<(), podbond_bond::Error> {
        let mut kernel = Kernel::with_pod(netns)?;
        let links = kernel.links(Netns::Pod)?;
        for bond in bonds_of(&links) {
            let live = bond_findings(bond, &links).into_iter();
            let of_bond = place(pod, &bond.name);
            self.found
                .extend(live.map(|finding| Located { place: Some(of_bond.clone()), finding }));
            let Some(options) = bond.bond.clone() else { continue };
            let ports = ports_of(bond, &links).map(|port| port.name.clone()).collect();
            let mut config = Config::of_existing(options, ports);
            let asked = bonds_in(records).find_map(|(ifname, conf)| {
                let asked = Config::parse(&conf, &Args::default()).ok()?;
                (asked.bond_name(ifname) == bond.name).then_some(asked)
            });
            if let Some(asked) = asked {
                config.untrusted = asked.untrusted;
            }
            let mut view = View { pod: links.clone(), ..node.clone() };
            let around = Bond::default().surroundings(&mut kernel, &config, &mut view)?;
            self.reports.push(report(Some(pod), bond, &links, &view));
            self.seen.push(Seen { place: of_bond, config, view, around });
        }
        for (bond, conf) in bonds_in(records) {
            let differences = podbond_bond::compare(&mut kernel, &conf, &Args::default(), bond)?;
            if !differences.is_empty() {
                let differences = differences.join("; ");
                let reason = Reason::NotAsAskedFor { differences };
                let finding = Finding::new(Object::Bond(bond.clone()), reason);
                self.found.push(Located { place: Some(place(pod, bond)), finding });
            }
        }
        Ok(())
    }

    /// Judges each bond beside all others.
    fn end(mut self) -> (Vec<BondReport>, Vec<Located>) {
        let other = |seen: &Seen| OtherBond::of(seen.place.to_string(), &seen.config, &seen.view);
        let all: Vec<OtherBond> = self.seen.iter().map(other).collect();
        for bond in &mut self.seen {
            let own = bond.place.to_string();
            let others = all.iter().filter(|other| other.name != own);
            bond.around.bonds = others.cloned().collect();
            let found = findings(&bond.config, &bond.view, &bond.around).into_iter();
            let place = || Some(bond.place.clone());
            self.found.extend(found.map(|finding| Located { place: place(), finding }));
        }
        (self.reports, self.found)
    }
}

/// Returns the bonds that podbond made and that came to their end, each with its configuration and, as
/// `prevResult`, what came of it.
fn bonds_in(records: &[Record]) -> impl Iterator<Item = (&LinkName, NetConf)> {
    records.iter().filter(|record| record.state == State::Active).filter_map(|record| {
        let add = record.add.as_ref().filter(|add| add.config.plugin == "bond")?;
        let result = match &record.chain {
            Some(chain) => chain.result.clone(),
            None => add.result.clone(),
        };
        let mut conf = add.config.clone();
        conf.set_prev_result(Some(result?));
        Some((&record.ifname, conf))
    })
}

fn place(pod: &str, bond: &LinkName) -> Place {
    Place { pod: pod.to_owned(), bond: bond.clone() }
}

fn report(pod: Option<&str>, bond: &Link, links: &[Link], view: &View) -> BondReport {
    let port = |port: &Link| {
        let vf = view.vf_of(port);
        PortReport {
            name: port.name.clone(),
            state: port.state,
            carrier: port.carrier,
            pf: vf.map(|vf| vf.pf_link.clone()),
            vf: vf.map(|vf| vf.index),
        }
    };
    BondReport {
        pod: pod.map(str::to_owned),
        name: bond.name.clone(),
        mode: bond.bond.as_ref().map_or("", |options| options.mode.name()),
        state: bond.state,
        carrier: bond.carrier,
        ports: ports_of(bond, links).map(port).collect(),
    }
}

fn bonds_of(links: &[Link]) -> impl Iterator<Item = &Link> {
    links.iter().filter(|link| link.bond.is_some())
}

fn ports_of<'l>(bond: &Link, links: &'l [Link]) -> impl Iterator<Item = &'l Link> {
    let index = bond.index;
    links.iter().filter(move |link| link.master == Some(index))
}
