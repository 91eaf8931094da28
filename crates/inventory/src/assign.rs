//! Which VFs belong to which resource, by the policies of the node: selectors, ranges and priorities.

use std::collections::BTreeSet;

use podbond_api::{
    DeviceType, LinkType, Management, NicSelector, ObjectKey, ResourceName, SriovNetworkNodePolicy,
    VfRange,
};
use podbond_names::PciAddress;

use crate::cards::{Inventory, Pf, Vf};
use crate::error::Error;
use crate::holder::Occupant;

/// Which PF gets how many VFs, and which VF belongs to which resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The PFs that a policy selects, in order of address.
    pub pfs: Vec<PfAssignment>,
    /// Selections that yield to a policy of a lower priority number.
    pub overridden: Vec<Overridden>,
}

/// The VFs of one PF by its policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PfAssignment {
    /// The PF.
    pub pf: PciAddress,
    /// How many VFs it gets: the most that one of its policies asks for, and no more than it can have.
    pub num_vfs: u16,
    /// The MTU in bytes that it is raised to: the largest that one of them asks for.
    pub mtu: Option<u32>,
    /// Who creates its VFs.
    pub management: Management,
    /// Its pools, in order of their first VF.
    pub groups: Vec<VfGroup>,
}

/// The VFs of one PF that belong to one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VfGroup {
    /// The policy that says so.
    pub policy: ObjectKey,
    /// The pool.
    pub resource: ResourceName,
    /// The VFs.
    pub vfs: VfRange,
    /// Their driver.
    pub device_type: DeviceType,
    /// Their MTU in bytes, if the policy gives one.
    pub mtu: Option<u32>,
}

/// A policy that yields VFs of a PF to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// The policy that yields.
    pub policy: ObjectKey,
    /// The PF.
    pub pf: PciAddress,
    /// The policy of the lower priority number.
    pub by: ObjectKey,
}

impl Assignment {
    /// Returns the existing VFs of a resource, in order of PF and index.
    pub fn pool<'i>(
        &self,
        resource: &ResourceName,
        inventory: &'i Inventory,
    ) -> Vec<(&'i Pf, &'i Vf)> {
        let groups = self.groups(inventory).filter(|(_, group)| group.resource == *resource);
        groups.flat_map(|(pf, group)| group.vfs_of(pf).map(move |vf| (pf, vf))).collect()
    }

    /// Returns the policy that a VF belongs to; none where it is in no pool.
    pub fn policy_of(&self, vf: PciAddress, inventory: &Inventory) -> Option<&ObjectKey> {
        let (pf, vf) = inventory.vf(vf)?;
        let assigned = self.pfs.iter().find(|assigned| assigned.pf == pf.pci)?;
        let group = assigned.groups.iter().find(|group| group.vfs.indices().contains(&vf.index));
        group.map(|group| &group.policy)
    }

    /// Returns the first VF of a resource that is free; `occupant` returns who holds one.
    pub fn free_vf(
        &self,
        resource: &ResourceName,
        inventory: &Inventory,
        occupant: impl Fn(&Vf) -> Result<Option<Occupant>, Error>,
    ) -> Result<PciAddress, Error> {
        let present: BTreeSet<_> =
            self.pfs.iter().flat_map(|pf| &pf.groups).map(|group| &group.resource).collect();
        if !present.contains(resource) {
            let present = present.into_iter().map(ToString::to_string).collect();
            return Err(Error::UnknownResource { resource: resource.clone(), present });
        }
        let mut held = Vec::new();
        for (_, vf) in self.pool(resource, inventory) {
            match occupant(vf)? {
                None => return Ok(vf.pci),
                Some(occupant) => held.push((vf.pci, occupant)),
            }
        }
        let resource = resource.clone();
        Err(if held.is_empty() {
            Error::NoVfs { resource }
        } else {
            Error::NoFreeVf { resource, held }
        })
    }

    /// Returns the pools of each PF that there is.
    pub(crate) fn groups<'a, 'i>(
        &'a self,
        inventory: &'i Inventory,
    ) -> impl Iterator<Item = (&'i Pf, &'a VfGroup)> {
        let groups = self.pfs.iter().flat_map(|pf| pf.groups.iter().map(move |group| (pf, group)));
        groups.filter_map(|(assigned, group)| Some((inventory.pf(assigned.pf)?, group)))
    }
}

impl VfGroup {
    /// Returns those of its VFs that exist.
    pub(crate) fn vfs_of<'p>(&self, pf: &'p Pf) -> impl Iterator<Item = &'p Vf> + use<'p> {
        self.vfs.indices().filter_map(|index| pf.vf(index))
    }
}

/// Returns the VFs of each policy on these cards. Labels of the node are ignored: all policies given are
/// for it.
///
/// Policies share a PF by VF ranges. Where they select the same VFs, the lower priority number wins; between
/// equals, and between two that name the PF themselves, that is an error.
pub fn assign(
    policies: &[SriovNetworkNodePolicy],
    inventory: &Inventory,
) -> Result<Assignment, Error> {
    for policy in policies {
        let mut matching =
            inventory.pfs.iter().filter(|pf| selects(&policy.nic_selector, pf)).peekable();
        if matching.peek().is_none() {
            return Err(Error::NoMatchingPf {
                policy: policy.key.clone(),
                present: inventory.pfs.iter().map(describe).collect(),
            });
        }
        matching.try_for_each(|pf| check(policy, pf))?;
    }
    assign_matching(policies, inventory)
}

/// Returns the same without an error for policies that match no PF, or one that cannot be what they ask
/// for: a card that was removed, or whose external VFs do not exist yet, must not keep others from serving.
/// New policies are for [`assign`].
pub(crate) fn assign_matching(
    policies: &[SriovNetworkNodePolicy],
    inventory: &Inventory,
) -> Result<Assignment, Error> {
    let mut assignment = Assignment::default();
    for pf in &inventory.pfs {
        let mut claims = Vec::new();
        for policy in policies.iter().filter(|policy| selects(&policy.nic_selector, pf)) {
            claims.extend(claims_of(policy, pf));
        }
        claims.sort_by_key(|claim| claim.policy.priority);
        let mut granted: Vec<Claim<'_>> = Vec::new();
        for claim in claims {
            match granted.iter().find(|other| other.vfs.overlaps(claim.vfs)) {
                None => granted.push(claim),
                Some(other) => assignment.overridden.push(claim.yield_to(other, pf)?),
            }
        }
        assignment.pfs.extend(merge(pf, &granted)?);
    }
    Ok(assignment)
}

fn describe(pf: &Pf) -> String {
    format!("{} {} {}:{}", pf.label(), pf.pci, pf.vendor, pf.device)
}

fn selects(selector: &NicSelector, pf: &Pf) -> bool {
    selector.vendor.is_none_or(|vendor| vendor == pf.vendor)
        && selector.device_id.is_none_or(|device| device == pf.device)
        && (selector.root_devices.is_empty() || selector.root_devices.contains(&pf.pci))
        && (selector.pf_names.is_empty() || !ranges_of(selector, pf).is_empty())
}

/// Returns an error where the PF cannot be what the policy asks for.
fn check(policy: &SriovNetworkNodePolicy, pf: &Pf) -> Result<(), Error> {
    let (key, asked) = (policy.key.clone(), policy.num_vfs);
    if asked > pf.total_vfs {
        let total = pf.total_vfs;
        return Err(Error::TooManyVfs { policy: key, pf: pf.label(), asked, total });
    }
    if let Some(wanted) = policy.link_type
        && pf.link.as_ref().and_then(|link| link.link_type) != Some(wanted)
    {
        let asked = match wanted {
            LinkType::Ethernet => "eth",
            LinkType::InfiniBand => "ib",
        };
        return Err(Error::LinkType { policy: key, pf: pf.label(), asked });
    }
    if policy.management == Management::External {
        if asked > pf.num_vfs {
            let present = pf.num_vfs;
            return Err(Error::TooFewExternalVfs { policy: key, pf: pf.label(), asked, present });
        }
        if let (Some(asked), Some(link)) = (policy.mtu, &pf.link)
            && asked > link.mtu
        {
            let present = link.mtu;
            return Err(Error::ExternalMtu { policy: key, pf: pf.label(), asked, present });
        }
    }
    Ok(())
}

/// VFs of a PF that a policy selects.
struct Claim<'p> {
    policy: &'p SriovNetworkNodePolicy,
    vfs: VfRange,
    /// Whether the policy names this very PF, by name or address.
    names_pf: bool,
}

fn claims_of<'p>(policy: &'p SriovNetworkNodePolicy, pf: &Pf) -> Vec<Claim<'p>> {
    let selector = &policy.nic_selector;
    let names_pf = !selector.pf_names.is_empty() || !selector.root_devices.is_empty();
    let all = VfRange::first(policy.num_vfs);
    let mut ranges = ranges_of(selector, pf);
    if selector.pf_names.is_empty() {
        ranges.push(None);
    }
    let ranges = ranges.into_iter().filter_map(|range| range.or(all));
    ranges.map(|vfs| Claim { policy, vfs, names_pf }).collect()
}

/// Returns the VF ranges that `pfNames` gives for a PF, each none for all VFs; empty where none names it.
fn ranges_of(selector: &NicSelector, pf: &Pf) -> Vec<Option<VfRange>> {
    let Some(link) = &pf.link else { return Vec::new() };
    let entries = selector.pf_names.iter().filter(|entry| entry.name == link.name);
    entries.map(|entry| entry.vfs).collect()
}

impl Claim<'_> {
    /// Returns how this claim yields to one that was granted before, or the error where it may not.
    fn yield_to(&self, other: &Self, pf: &Pf) -> Result<Overridden, Error> {
        let same_priority = self.policy.priority == other.policy.priority;
        let both_name_pf = self.names_pf && other.names_pf;
        if same_priority || both_name_pf {
            return Err(Error::Overlap {
                policy: self.policy.key.clone(),
                vfs: self.vfs,
                other: Box::new(other.policy.key.clone()),
                other_vfs: other.vfs,
                pf: pf.label(),
                same_priority: same_priority && !both_name_pf,
            });
        }
        Ok(Overridden { policy: self.policy.key.clone(), pf: pf.pci, by: other.policy.key.clone() })
    }
}

fn merge(pf: &Pf, granted: &[Claim<'_>]) -> Result<Option<PfAssignment>, Error> {
    let Some(first) = granted.first().map(|claim| claim.policy) else { return Ok(None) };
    if let Some(other) = granted.iter().find(|claim| claim.policy.management != first.management) {
        return Err(Error::MixedManagement {
            policy: other.policy.key.clone(),
            other: first.key.clone(),
            pf: pf.label(),
        });
    }
    let mut groups: Vec<_> = granted.iter().map(group).collect();
    groups.sort_by_key(|group| *group.vfs.indices().start());
    let asked = granted.iter().map(|claim| claim.policy.num_vfs).max();
    Ok(Some(PfAssignment {
        pf: pf.pci,
        num_vfs: asked.unwrap_or(0).min(pf.total_vfs),
        mtu: granted.iter().filter_map(|claim| claim.policy.mtu).max(),
        management: first.management,
        groups,
    }))
}

fn group(claim: &Claim<'_>) -> VfGroup {
    VfGroup {
        policy: claim.policy.key.clone(),
        resource: claim.policy.resource_name.clone(),
        vfs: claim.vfs,
        device_type: claim.policy.device_type,
        mtu: claim.policy.mtu,
    }
}
