//! Which of a pod's devices each of its networks gets, as the kubelet has given them to the pod: in order, and so
//! that the ports of a bond are VFs of different PFs where that is possible. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use podbond_agent_socket::{Containers, Resolved};
use podbond_api::ObjectKey;
use podbond_names::{LinkName, PciAddress};

use crate::chain::{Attachment, Chain, DeviceRequest, links_in_pod};
use crate::error::{Error, MissingDevice, NoDevice};
use crate::passed_over::PassedOver;

/// How many assignments are looked at. Those of a bond with two ports are a few; 64 networks of one resource
/// could have more than anybody can wait for.
const MAX_STEPS: usize = 20_000;

/// A bond some of whose ports are VFs of one PF: it does not survive that PF. Displayed, it says so, with what to
/// do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedPf {
    /// The bond.
    pub bond: LinkName,
    /// Its ports on the PF.
    pub ports: Vec<LinkName>,
    /// The PF.
    pub pf: String,
}

impl fmt::Display for SharedPf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<&str> = self.ports.iter().map(LinkName::as_str).collect();
        write!(
            f,
            "bond {}: its ports {} are VFs of one PF ({}), since the pod has no device of another one for \
             them: the bond does not survive that PF; give each port a resource with VFs of a PF of its own",
            self.bond,
            ports.join(" and "),
            self.pf
        )
    }
}

/// Gives each network of a chain that names a resource one of the pod's devices of it: the n-th network the n-th
/// device in string order, each device once. One that the pod's annotation names goes to its network first, if
/// the pod has it. The order is changed only where that puts the ports of a bond on different PFs, which `pf_of`
/// returns of a VF. Returns the bonds for which the devices do not suffice.
///
/// # Errors
/// [`Error::NoDevice`] for the first network without one.
pub fn assign_devices(
    chain: &mut Chain,
    pod: &ObjectKey,
    resolved: &Resolved,
    pf_of: impl Fn(PciAddress) -> Option<PciAddress>,
) -> Result<Vec<SharedPf>, Error> {
    let mut pools = pools(resolved);
    let mut devices = in_order(chain, pod, resolved, &mut pools)?;
    let bonds = bonds(chain);
    let pf_of = |id: &str| {
        let address: Option<PciAddress> = id.parse().ok();
        address.map_or_else(|| id.to_owned(), |vf| pf_of(vf).unwrap_or(vf).to_string())
    };
    if conflicts(&bonds, &devices, &pf_of) > 0 {
        spread(chain, &bonds, &mut devices, pools, &pf_of);
    }
    for (attachment, device) in chain.attachments.iter_mut().zip(&devices) {
        if attachment.resource_name.is_some()
            && let Some(device) = device
        {
            give(attachment, device);
        }
    }
    Ok(shared(chain, &bonds, &devices, &pf_of))
}

fn give(attachment: &mut Attachment, device: &str) {
    attachment.give_device(device);
    if attachment.wanted_device.is_some_and(|wanted| wanted.to_string() == device) {
        attachment.passed_over.retain(|it| *it != PassedOver::DeviceOfResource);
    }
}

/// The devices of each resource that no network has yet.
type Pools<'r> = BTreeMap<&'r str, BTreeSet<&'r str>>;

fn pools(resolved: &Resolved) -> Pools<'_> {
    let mut pools = Pools::new();
    for of_resource in &resolved.devices {
        let pool = pools.entry(of_resource.resource.as_str()).or_default();
        pool.extend(of_resource.devices.iter().map(String::as_str));
    }
    pools
}

/// Returns the device of each attachment, in the order of the chain, and takes it out of its pool. That of an
/// attachment without a resource is the one that its configuration names.
fn in_order(
    chain: &Chain,
    pod: &ObjectKey,
    resolved: &Resolved,
    pools: &mut Pools<'_>,
) -> Result<Vec<Option<String>>, Error> {
    let given: BTreeMap<String, usize> =
        pools.iter().map(|(resource, pool)| ((*resource).to_owned(), pool.len())).collect();
    let mut devices = vec![None; chain.attachments.len()];
    for (device, attachment) in devices.iter_mut().zip(&chain.attachments) {
        *device = match (&attachment.resource_name, &attachment.device) {
            (Some(resource), _) => {
                let wanted = attachment.wanted_device.map(|wanted| wanted.to_string());
                let pool = pools.get_mut(resource.as_str());
                wanted.filter(|wanted| pool.is_some_and(|pool| pool.remove(wanted.as_str())))
            }
            (None, DeviceRequest::This(address)) => Some(address.to_string()),
            (None, _) => None,
        };
    }
    for (device, attachment) in devices.iter_mut().zip(&chain.attachments) {
        let Some(resource) = attachment.resource_name.as_ref().filter(|_| device.is_none()) else {
            continue;
        };
        let next = pools.get_mut(resource.as_str()).and_then(BTreeSet::pop_first);
        let next = next.ok_or_else(|| {
            let given = given.get(resource).copied().unwrap_or(0);
            Error::NoDevice(Box::new(NoDevice {
                pod: pod.clone(),
                ifname: attachment.ifname.clone(),
                nad: attachment.name(),
                resource: resource.clone(),
                missing: missing(chain, resource, resolved, given),
            }))
        })?;
        *device = Some(next.to_owned());
    }
    Ok(devices)
}

/// Returns why a pod that has this many devices of a resource has none left for a network.
fn missing(chain: &Chain, resource: &str, resolved: &Resolved, given: usize) -> MissingDevice {
    let named = chain.attachments.iter().filter_map(|it| it.resource_name.as_deref());
    let mentions = named.filter(|name| *name == resource).count();
    match (given, resolved.requested.get(resource)) {
        (1.., _) => MissingDevice::TooFew { given, mentions },
        (0, None) => MissingDevice::NotRequested { resource: resource.to_owned() },
        (0, Some(Containers::InitOnly)) => MissingDevice::InitOnly,
        (0, Some(Containers::Running)) => MissingDevice::NotGiven,
    }
}

/// A bond of the chain, and the attachments before it that are its ports, by position.
struct BondPorts {
    bond: LinkName,
    ports: Vec<usize>,
}

fn bonds(chain: &Chain) -> Vec<BondPorts> {
    let mut bonds = Vec::new();
    for (position, attachment) in chain.attachments.iter().enumerate() {
        let links: Vec<LinkName> = attachment.configs.iter().flat_map(links_in_pod).collect();
        let before = chain.attachments.iter().take(position).enumerate();
        let ports: Vec<usize> =
            before.filter(|(_, it)| links.contains(&it.ifname)).map(|(port, _)| port).collect();
        if ports.len() > 1 {
            bonds.push(BondPorts { bond: attachment.ifname.clone(), ports });
        }
    }
    bonds
}

/// Returns how many ports share the PF of an earlier port of their bond.
fn conflicts(
    bonds: &[BondPorts],
    devices: &[Option<String>],
    pf_of: &dyn Fn(&str) -> String,
) -> usize {
    let of_bond = |bond: &BondPorts| {
        let devices = bond.ports.iter().filter_map(|port| devices[*port].as_deref());
        let pfs: Vec<String> = devices.map(pf_of).collect();
        pfs.len() - pfs.iter().collect::<BTreeSet<_>>().len()
    };
    bonds.iter().map(of_bond).sum()
}

/// Changes which devices the ports of bonds have, where that puts more of them on different PFs. What they
/// have had goes to the other networks.
fn spread(
    chain: &Chain,
    bonds: &[BondPorts],
    devices: &mut Vec<Option<String>>,
    spare: Pools<'_>,
    pf_of: &dyn Fn(&str) -> String,
) {
    let resource_of = |position: usize| {
        let attachment = &chain.attachments[position];
        let is_wanted =
            attachment.wanted_device.map(|wanted| wanted.to_string()) == devices[position];
        attachment.resource_name.as_deref().filter(|_| !is_wanted)
    };
    let is_port = |position: usize| bonds.iter().any(|bond| bond.ports.contains(&position));
    let movable: Vec<(usize, &str)> = (0..chain.attachments.len())
        .filter_map(|position| Some((position, resource_of(position)?)))
        .collect();
    let mut free: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (resource, pool) in spare {
        free.entry(resource).or_default().extend(pool.into_iter().map(str::to_owned));
    }
    let mut taken = devices.clone();
    for (position, resource) in &movable {
        free.entry(resource).or_default().extend(taken[*position].take());
    }
    let ports: Vec<(usize, &str)> =
        movable.iter().copied().filter(|(position, _)| is_port(*position)).collect();
    let before = conflicts(bonds, devices, pf_of);
    let best = (before, devices.clone());
    let mut search =
        Search { bonds, pf_of, ports: &ports, in_order: devices, free, taken, best, steps: 0 };
    search.go_on(0);
    let Search { best: (conflicts, best), mut free, .. } = search;
    if conflicts >= before {
        return;
    }
    let mut chosen = best;
    for (position, resource) in &ports {
        if let (Some(pool), Some(device)) = (free.get_mut(resource), &chosen[*position]) {
            pool.remove(device);
        }
    }
    for (position, resource) in movable.iter().filter(|(position, _)| !is_port(*position)) {
        let Some(pool) = free.get_mut(resource) else { continue };
        let own = devices[*position].clone().filter(|device| pool.remove(device));
        chosen[*position] = own.or_else(|| pool.pop_first());
    }
    *devices = chosen;
}

/// The search for the devices of bonds' ports with the fewest conflicts.
struct Search<'s> {
    bonds: &'s [BondPorts],
    pf_of: &'s dyn Fn(&str) -> String,
    /// The ports that may have another device, each with its resource.
    ports: &'s [(usize, &'s str)],
    /// The devices in order.
    in_order: &'s [Option<String>],
    free: BTreeMap<&'s str, BTreeSet<String>>,
    /// The devices of those that have one so far.
    taken: Vec<Option<String>>,
    /// The fewest conflicts, and the devices with which there are so few.
    best: (usize, Vec<Option<String>>),
    steps: usize,
}

impl Search<'_> {
    /// Tries each device for the ports from this one on: first those that cause no conflict, of these first
    /// the one that is the port's in order.
    fn go_on(&mut self, next: usize) {
        self.steps += 1;
        let so_far = conflicts(self.bonds, &self.taken, self.pf_of);
        if so_far >= self.best.0 || self.steps > MAX_STEPS {
            return;
        }
        let Some((port, resource)) = self.ports.get(next).copied() else {
            self.best = (so_far, self.taken.clone());
            return;
        };
        for device in self.candidates(port, resource) {
            if let Some(free) = self.free.get_mut(resource) {
                free.remove(&device);
            }
            self.taken[port] = Some(device.clone());
            self.go_on(next + 1);
            self.taken[port] = None;
            if let Some(free) = self.free.get_mut(resource) {
                free.insert(device);
            }
        }
    }

    /// Returns the devices for a port, of each PF the first one.
    fn candidates(&mut self, port: usize, resource: &str) -> Vec<String> {
        let free = self.free.get(resource).cloned().unwrap_or_default();
        let own = self.in_order[port].clone().filter(|own| free.contains(own));
        let mut pfs = BTreeSet::new();
        let mut candidates = Vec::new();
        for device in own.into_iter().chain(free) {
            if !pfs.insert((self.pf_of)(&device)) {
                continue;
            }
            self.taken[port] = Some(device.clone());
            candidates.push((conflicts(self.bonds, &self.taken, self.pf_of), device));
        }
        self.taken[port] = None;
        // Stable: the one in order, then in string order.
        candidates.sort_by_key(|(conflicts, _)| *conflicts);
        candidates.into_iter().map(|(_, device)| device).collect()
    }
}

fn shared(
    chain: &Chain,
    bonds: &[BondPorts],
    devices: &[Option<String>],
    pf_of: &dyn Fn(&str) -> String,
) -> Vec<SharedPf> {
    let mut shared = Vec::new();
    for bond in bonds {
        let mut by_pf: BTreeMap<String, Vec<LinkName>> = BTreeMap::new();
        for port in &bond.ports {
            let Some(device) = &devices[*port] else { continue };
            by_pf.entry(pf_of(device)).or_default().push(chain.attachments[*port].ifname.clone());
        }
        let several = by_pf.into_iter().filter(|(_, ports)| ports.len() > 1);
        shared.extend(several.map(|(pf, ports)| SharedPf { bond: bond.bond.clone(), ports, pf }));
    }
    shared
}

#[cfg(test)]
mod tests;
