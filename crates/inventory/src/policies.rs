//! Applying and deleting policies: VFs are created and set up, and each PF is restored when its last policy
//! is deleted.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use podbond_api::{DeviceType, Management, ObjectKey, SriovNetworkNodePolicy};
use podbond_kernel::{Failed, Step, Transaction, transact};
use podbond_names::{Mac, PciAddress};
use podbond_state::Lock;

use crate::assign::{Assignment, assign, assign_matching};
use crate::cards::{Cards, Inventory, Pf};
use crate::error::Error;
use crate::files::{Files, lock};
use crate::holder::Holders;
use crate::holdings::Holdings;
use crate::pf_record::PfRecord;
use crate::plan::{SetMacs, require_free, restore_pf};
use crate::policy_files::{StoredPolicies, file_name};

/// VFs, then what they need, then nothing, and one more for a link that is renamed meanwhile. More rounds
/// mean that something is changed back.
const ROUNDS: usize = 4;
/// For udev to give new links their names.
const UDEV_INTERVAL: Duration = Duration::from_millis(200);

/// The policies of this node, on disk with what they have changed.
#[derive(Debug)]
pub struct Policies<'h> {
    holdings: &'h Holdings,
    files: Files,
    pfs: Files,
}

/// What [`Policies::apply`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The steps, applied or planned; none when all was as it should be.
    pub steps: Vec<Step>,
    /// Policies whose `nodeSelector` does not select this node: they are not applied.
    pub not_for_node: Vec<ObjectKey>,
    /// Policies that were applied without regard to their `nodeSelector`, since no labels were given.
    pub selector_not_looked_at: Vec<ObjectKey>,
    /// The VFs of all policies of the node.
    pub assignment: Assignment,
}

/// What [`Policies::delete`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The steps that were applied.
    pub steps: Vec<Step>,
    /// Policies that the node does not have.
    pub unknown: Vec<ObjectKey>,
}

/// The wanted state of the node.
struct Target {
    policies: Vec<SriovNetworkNodePolicy>,
    assignment: Assignment,
    /// A record of each PF that is or was managed.
    records: Vec<PfRecord>,
    /// The records on disk.
    stored: Vec<PfRecord>,
}

impl Holdings {
    /// Returns the policies of the node.
    pub fn policies(&self) -> Policies<'_> {
        let (files, pfs) = (self.policy_files(), Files::new(self.state.join("pfs")));
        Policies { holdings: self, files, pfs }
    }
}

impl Policies<'_> {
    /// Returns the policies that can be read, in order of their keys, and an error for each policy and
    /// each PF's record that cannot.
    pub fn readable(&self) -> Result<(Vec<SriovNetworkNodePolicy>, Vec<Error>), Error> {
        let stored = StoredPolicies::read(&self.files)?;
        let mut errors = stored.errors(&self.files);
        for name in self.pfs.names()? {
            if let Some(Err(problem)) = self.pfs.read(&name, PfRecord::parse)? {
                errors.push(Error::Unreadable {
                    path: self.pfs.path(&name),
                    problem,
                    policies: Vec::new(),
                });
            }
        }
        Ok((stored.policies, errors))
    }

    /// Returns what [`Policies::apply`] would begin with, and changes nothing. Without policies there are
    /// no steps, whatever the stored ones still need.
    pub fn plan(
        &self,
        cards: &mut impl Cards,
        policies: &[SriovNetworkNodePolicy],
        labels: Option<&BTreeMap<String, String>>,
    ) -> Result<Applied, Error> {
        let inventory = cards.inventory()?;
        let (target, mut applied) = self.target(policies, labels, &inventory)?;
        if !policies.is_empty() {
            let holders = self.holdings.holders(&inventory)?;
            applied.steps = target.steps(&inventory, &holders, &target.set_macs(&inventory))?;
        }
        Ok(applied)
    }

    /// Applies policies beside the stored ones, or in their place where they have the same name: creates
    /// their VFs, and stores them. When a step fails, all is undone and none of these policies is stored.
    ///
    /// `labels` are the node's; without them every policy is taken to be for this node.
    pub fn apply(
        &self,
        cards: &mut impl Cards,
        policies: &[SriovNetworkNodePolicy],
        labels: Option<&BTreeMap<String, String>>,
    ) -> Result<Applied, Error> {
        let _lock = lock(&self.holdings.state)?;
        let inventory = cards.inventory()?;
        let (target, mut applied) = self.target(policies, labels, &inventory)?;
        if !policies.is_empty() {
            applied.steps = self.apply_target(&target, cards)?;
        }
        Ok(applied)
    }

    /// Deletes policies and their VFs: each PF that no other policy selects gets the number of VFs and the
    /// MTU that it had before. Refused while a pod holds one of the VFs.
    pub fn delete(&self, cards: &mut impl Cards, keys: &[ObjectKey]) -> Result<Deleted, Error> {
        let _lock = lock(&self.holdings.state)?;
        let inventory = cards.inventory()?;
        let stored = StoredPolicies::read(&self.files)?;
        stored.require_readable(keys, &self.files)?;
        self.refuse_in_use(&stored.policies, keys, &inventory)?;
        let unknown: Vec<_> = keys.iter().filter(|key| !stored.contains(key)).cloned().collect();
        let mut rest = stored.policies;
        rest.retain(|policy| !keys.contains(&policy.key));
        let assignment = assign_matching(&rest, &inventory)?;
        let target = self.target_of(rest, assignment, &inventory)?;
        // Where nothing is deleted, what other policies still need is not done either. A record of a PF
        // that no policy manages is of an interrupted `apply`.
        if unknown.len() == keys.len() && target.records.iter().all(|pf| target.manages(pf.pf)) {
            return Ok(Deleted { steps: Vec::new(), unknown });
        }
        Ok(Deleted { steps: self.apply_target(&target, cards)?, unknown })
    }

    fn refuse_in_use(
        &self,
        stored: &[SriovNetworkNodePolicy],
        keys: &[ObjectKey],
        inventory: &Inventory,
    ) -> Result<(), Error> {
        let holders = self.holdings.holders(inventory)?;
        let assignment = assign_matching(stored, inventory)?;
        for (pf, group) in assignment.groups(inventory) {
            if keys.contains(&group.policy) {
                let what = format!("deleting SriovNetworkNodePolicy {}", group.policy);
                require_free(group.vfs_of(pf), &holders, what)?;
            }
        }
        Ok(())
    }

    /// Returns the state of the node with these policies beside the stored ones.
    fn target(
        &self,
        policies: &[SriovNetworkNodePolicy],
        labels: Option<&BTreeMap<String, String>>,
        inventory: &Inventory,
    ) -> Result<(Target, Applied), Error> {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            policies.iter().partition(|policy| selects_node(policy, labels));
        let here: Vec<_> = here.into_iter().cloned().collect();
        // Alone first: a stored policy may match no PF, but a new one may not.
        assign(&here, inventory)?;
        let stored = StoredPolicies::read(&self.files)?;
        let keys: Vec<_> = policies.iter().map(|policy| policy.key.clone()).collect();
        if !policies.is_empty() {
            stored.require_readable(&keys, &self.files)?;
        }
        let mut all = stored.policies;
        all.retain(|old| !keys.contains(&old.key));
        let with_selector = here.iter().filter(|policy| !policy.node_selector.is_empty());
        let selector_not_looked_at = match labels {
            Some(_) => Vec::new(),
            None => with_selector.map(|policy| policy.key.clone()).collect(),
        };
        all.extend(here);
        let assignment = assign_matching(&all, inventory)?;
        let applied = Applied {
            steps: Vec::new(),
            not_for_node: elsewhere.iter().map(|policy| policy.key.clone()).collect(),
            selector_not_looked_at,
            assignment: assignment.clone(),
        };
        Ok((self.target_of(all, assignment, inventory)?, applied))
    }

    /// Returns the target of an assignment, with the records of PFs. A record that cannot be read is
    /// treated as missing: then the PF's present state counts as that before its first policy.
    fn target_of(
        &self,
        policies: Vec<SriovNetworkNodePolicy>,
        assignment: Assignment,
        inventory: &Inventory,
    ) -> Result<Target, Error> {
        let mut stored: Vec<PfRecord> = Vec::new();
        for name in self.pfs.names()? {
            stored.extend(self.pfs.read(&name, PfRecord::parse)?.and_then(Result::ok));
        }
        let mut records = stored.clone();
        for assigned in assignment.pfs.iter().filter(|pf| pf.management == Management::Managed) {
            let Some(pf) = inventory.pf(assigned.pf) else { continue };
            let earlier = stored.iter().find(|record| record.pf == pf.pci);
            records.retain(|record| record.pf != pf.pci);
            records.push(PfRecord::new(pf, assigned, earlier));
        }
        Ok(Target { policies, assignment, records, stored })
    }

    /// Brings the cards to the target and stores its policies. The records of PFs are written first, so
    /// that what a crash at any point leaves can be restored.
    fn apply_target(&self, target: &Target, cards: &mut impl Cards) -> Result<Vec<Step>, Error> {
        for record in &target.records {
            self.pfs.write(&record.pf.to_string(), &record.to_bytes())?;
        }
        // Held until all is done, or undone.
        let mut locks = BTreeMap::new();
        let applied =
            transact(cards, |transaction| self.apply_in_rounds(target, transaction, &mut locks));
        let (set_macs, steps) = match applied {
            Ok(done) => done,
            Err(Failed { cause, not_undone }) if not_undone.is_empty() => {
                self.restore_records(target)?;
                return Err(cause);
            }
            Err(Failed { cause, not_undone }) => {
                let not_undone = not_undone.iter().map(ToString::to_string).collect();
                return Err(Error::NotUndone { cause: Box::new(cause), not_undone });
            }
        };
        for policy in &target.policies {
            let manifest = policy.to_manifest().to_string();
            self.files.write(&file_name(&policy.key), manifest.as_bytes())?;
        }
        let kept = target.policies.iter().map(|policy| file_name(&policy.key));
        remove_others(&self.files, &kept.collect::<Vec<_>>())?;
        let managed = target.records.iter().filter(|record| target.manages(record.pf));
        for record in managed.clone() {
            let set_macs = set_macs.get(&record.pf).cloned().unwrap_or_default();
            if set_macs != record.set_macs {
                let mut record = record.clone();
                record.set_macs = set_macs;
                self.pfs.write(&record.pf.to_string(), &record.to_bytes())?;
            }
        }
        remove_others(&self.pfs, &managed.map(|record| record.pf.to_string()).collect::<Vec<_>>())?;
        Ok(steps)
    }

    fn restore_records(&self, target: &Target) -> Result<(), Error> {
        for record in &target.records {
            let name = record.pf.to_string();
            match target.stored.iter().find(|stored| stored.pf == record.pf) {
                Some(stored) => self.pfs.write(&name, &stored.to_bytes())?,
                None => self.pfs.remove(&name)?,
            }
        }
        Ok(())
    }

    /// Brings the cards to the target, and returns the administrative MAC addresses that are set, by PF and
    /// index. Nothing changes before every VF that there is of these PFs is locked, and its holder is
    /// looked at after that: what a runtime does with a VF is over then, or waits.
    fn apply_in_rounds<C: Cards>(
        &self,
        target: &Target,
        transaction: &mut Transaction<'_, C>,
        locks: &mut BTreeMap<PciAddress, Lock>,
    ) -> Result<BTreeMap<PciAddress, BTreeMap<u16, Mac>>, Error> {
        let mut next = String::new();
        let mut set_macs = target.set_macs(&transaction.kernel().inventory()?);
        for _ in 0..ROUNDS {
            let (inventory, steps) = loop {
                let inventory = transaction.kernel().inventory()?;
                let holders = self.holdings.holders(&inventory)?;
                let steps = target.steps(&inventory, &holders, &set_macs)?;
                if steps.is_empty() || !self.lock_more(target, &inventory, locks)? {
                    break (inventory, steps);
                }
            };
            let Some(first) = steps.first() else { return Ok(by_pf(&set_macs, &inventory)) };
            next = first.to_string();
            let resized: Vec<_> = steps.iter().filter_map(resized_pf).collect();
            let macs: Vec<_> = steps.iter().filter_map(|step| set_mac(step, &inventory)).collect();
            match transaction.apply(steps) {
                // The link of a new VF was renamed between the observation and the step.
                Err(error) if error.is_gone() => thread::sleep(UDEV_INTERVAL),
                applied => {
                    applied?;
                    set_macs.extend(macs);
                }
            }
            target.require_links(&resized, &transaction.kernel().inventory()?)?;
        }
        Err(Error::Unsettled { rounds: ROUNDS, next })
    }

    /// Locks the VFs of the target's PFs, in order of address, and returns whether there was one that was
    /// not locked before.
    fn lock_more(
        &self,
        target: &Target,
        inventory: &Inventory,
        locks: &mut BTreeMap<PciAddress, Lock>,
    ) -> Result<bool, Error> {
        let pfs = inventory.pfs.iter().filter(|pf| target.is_about(pf.pci));
        let vfs = pfs.flat_map(|pf| pf.vfs.iter().map(move |vf| (vf.pci, (pf, vf))));
        let mut vfs: BTreeMap<_, _> = vfs.collect();
        vfs.retain(|pci, _| !locks.contains_key(pci));
        for (&pci, (pf, vf)) in &vfs {
            let lock = self.holdings.vf_locks.lock(pci).map_err(|source| Error::VfLocked {
                pf: pf.label(),
                index: vf.index,
                vf: pci,
                source: Box::new(source),
            })?;
            locks.insert(pci, lock);
        }
        Ok(!vfs.is_empty())
    }
}

/// Returns addresses by PF and index of the VF.
fn by_pf(set_macs: &SetMacs, inventory: &Inventory) -> BTreeMap<PciAddress, BTreeMap<u16, Mac>> {
    let of_pf = |pf: &Pf| {
        let set = pf.vfs.iter().filter_map(|vf| Some((vf.index, *set_macs.get(&vf.pci)?)));
        (pf.pci, set.collect())
    };
    inventory.pfs.iter().map(of_pf).collect()
}

/// Returns the VF whose administrative MAC address a step sets, and the address.
fn set_mac(step: &Step, inventory: &Inventory) -> Option<(PciAddress, Mac)> {
    let Step::SetVf { pf, vf, to, .. } = step else { return None };
    let mut pfs = inventory.pfs.iter();
    let pf = pfs.find(|it| it.link.as_ref().is_some_and(|link| link.name == *pf))?;
    Some((pf.vf(*vf)?.pci, to.mac?))
}

/// Returns whether a policy's `nodeSelector` selects the node with these labels.
fn selects_node(
    policy: &SriovNetworkNodePolicy,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    labels.is_none_or(|labels| {
        policy.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// Returns the PF whose number of VFs a step sets.
fn resized_pf(step: &Step) -> Option<PciAddress> {
    match step {
        Step::SetNumVfs { pf, .. } => Some(*pf),
        _ => None,
    }
}

fn remove_others(files: &Files, kept: &[String]) -> Result<(), Error> {
    for name in files.names()?.iter().filter(|name| !kept.contains(name)) {
        files.remove(name)?;
    }
    Ok(())
}

impl Target {
    /// Returns whether a policy manages the VFs of a PF.
    fn manages(&self, pf: PciAddress) -> bool {
        let mut assigned = self.assignment.pfs.iter();
        assigned.any(|it| it.pf == pf && it.management == Management::Managed)
    }

    /// Returns whether a PF is, or was, managed.
    fn is_about(&self, pf: PciAddress) -> bool {
        self.records.iter().any(|record| record.pf == pf)
    }

    /// Returns the administrative MAC addresses that policies have set and no step of this target undoes.
    fn set_macs(&self, inventory: &Inventory) -> SetMacs {
        let of_pf = |record: &PfRecord| {
            let pf = inventory.pf(record.pf)?;
            let set = record.set_macs.iter();
            Some(
                set.filter_map(|(index, mac)| Some((pf.vf(*index)?.pci, *mac))).collect::<Vec<_>>(),
            )
        };
        self.records.iter().filter_map(of_pf).flatten().collect()
    }

    fn steps(
        &self,
        inventory: &Inventory,
        holders: &Holders,
        set_macs: &SetMacs,
    ) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        for record in self.records.iter().filter(|record| !self.manages(record.pf)) {
            if let Some(pf) = inventory.pf(record.pf) {
                steps.extend(restore_pf(record, pf, holders)?);
            }
        }
        steps.extend(self.assignment.plan(inventory, holders, set_macs)?);
        Ok(steps)
    }

    /// Returns an error for a new VF without a link: the step that creates VFs waits for their links, so
    /// that one without has no driver.
    fn require_links(&self, resized: &[PciAddress], inventory: &Inventory) -> Result<(), Error> {
        let groups = self.assignment.groups(inventory).filter(|(pf, _)| resized.contains(&pf.pci));
        for (pf, group) in groups.filter(|(_, g)| g.device_type == DeviceType::Netdevice) {
            let mut vfs = group.vfs_of(pf);
            if let Some(vf) = vfs.find(|vf| vf.link.is_none() && !vf.is_userspace()) {
                return Err(Error::NoVfLink {
                    pf: pf.label(),
                    index: vf.index,
                    vf: vf.pci,
                    driver: vf.driver.clone(),
                });
            }
        }
        Ok(())
    }
}
