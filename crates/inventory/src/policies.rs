use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use podbond_api::{DeviceType, Management, ObjectKey, SriovNetworkNodePolicy};
use podbond_kernel::{Failed, Step, Transaction, transact};
use podbond_names::PciAddress;

use crate::assign::{assign, assign_matching};
use crate::files::{Files, lock};
use crate::in_force::{InForce, file_name};
use crate::plan::take_back;
use crate::record::PfRecord;
use crate::{Assignment, Cards, Error, Holders, Holdings, Inventory};

/// VFs, then what they need, then nothing, and one more for a link that was renamed meanwhile.
/// More rounds mean that something is changed back.
const ROUNDS: usize = 4;
/// For udev to be done with the names of new links.
const PAUSE: Duration = Duration::from_millis(200);

/// The policies that are in force on this node, kept on disk with what they changed.
#[derive(Debug)]
pub struct Policies<'l> {
    holdings: &'l Holdings,
    state: PathBuf,
    in_force: Files,
    pfs: Files,
}

/// What applying policies came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The steps taken, or to be taken; none when all was as it should be.
    pub steps: Vec<Step>,
    /// Policies whose `nodeSelector` is not for this node: they are not in force here.
    pub not_for_node: Vec<ObjectKey>,
    /// Policies in force whose `nodeSelector` was not looked at, since no labels were given.
    pub selector_not_looked_at: Vec<ObjectKey>,
    /// What all policies in force make of the cards.
    pub assignment: Assignment,
}

/// What deleting policies came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The steps taken.
    pub steps: Vec<Step>,
    /// Those that were not in force.
    pub unknown: Vec<ObjectKey>,
}

/// What the node is to become.
struct Target {
    policies: Vec<SriovNetworkNodePolicy>,
    assignment: Assignment,
    /// How each PF was that is or was managed.
    records: Vec<PfRecord>,
    /// The same, as they are on disk.
    earlier: Vec<PfRecord>,
}

impl<'l> Policies<'l> {
    pub(crate) fn new(holdings: &'l Holdings, state: &Path) -> Self {
        Self {
            holdings,
            state: state.to_owned(),
            in_force: Files::new(state.join("policies")),
            pfs: Files::new(state.join("pfs")),
        }
    }

    /// The policies in force, in order of their keys; an error if one cannot be read.
    pub fn stored(&self) -> Result<Vec<SriovNetworkNodePolicy>, Error> {
        Ok(InForce::read(&self.in_force)?.but_for(|_| false)?.0)
    }

    /// The policies in force that can be read, in order of their keys, and an error for each that
    /// cannot, or whose PF's record cannot.
    pub fn readable(&self) -> Result<(Vec<SriovNetworkNodePolicy>, Vec<Error>), Error> {
        let InForce { policies, damaged } = InForce::read(&self.in_force)?;
        let mut errors: Vec<_> = damaged.into_iter().map(|(_, error)| error).collect();
        for name in self.pfs.names()? {
            errors.extend(self.pfs.read_record::<PfRecord>(&name).err());
        }
        Ok((policies, errors))
    }

    /// What the policies in force make of the cards. A policy whose card was taken out is passed
    /// over, and so is one whose record cannot be read.
    pub fn assignment(&self, inventory: &Inventory) -> Result<Assignment, Error> {
        assign_matching(&InForce::read(&self.in_force)?.policies, inventory)
    }

    /// What [`Policies::apply`] would begin with; nothing is changed. To apply no policy is to do
    /// nothing for those that are in force either.
    pub fn plan(
        &self,
        cards: &mut impl Cards,
        policies: &[SriovNetworkNodePolicy],
        labels: Option<&BTreeMap<String, String>>,
    ) -> Result<Applied, Error> {
        let inventory = cards.inventory()?;
        let (target, mut applied) = self.target(policies, labels, &inventory)?;
        if !policies.is_empty() {
            applied.steps = target.steps(&inventory, &self.holdings.holders(&inventory)?)?;
        }
        Ok(applied)
    }

    /// Puts policies in force beside those that are, or in their place where they have the same
    /// name: makes their VFs, and keeps them. When a step fails, all is put back and none of these
    /// policies is in force.
    ///
    /// `labels` are the node's; without them every policy is taken to be for this node.
    pub fn apply(
        &self,
        cards: &mut impl Cards,
        policies: &[SriovNetworkNodePolicy],
        labels: Option<&BTreeMap<String, String>>,
    ) -> Result<Applied, Error> {
        let _lock = lock(&self.state)?;
        let inventory = cards.inventory()?;
        let (target, mut applied) = self.target(policies, labels, &inventory)?;
        applied.steps = self.reach(&target, cards)?;
        Ok(applied)
    }

    /// Takes policies out of force and their VFs back: each PF that no other policy selects gets
    /// the number of VFs and the MTU that it had before. Refused while a pod holds one of the VFs.
    pub fn delete(&self, cards: &mut impl Cards, keys: &[ObjectKey]) -> Result<Deleted, Error> {
        let _lock = lock(&self.state)?;
        let inventory = cards.inventory()?;
        let goes = |name: &str| keys.iter().any(|key| file_name(key) == name);
        let (stored, damaged) = InForce::read(&self.in_force)?.but_for(goes)?;
        self.refuse_in_use(&stored, keys, &inventory)?;
        let is_stored = |key: &&ObjectKey| {
            stored.iter().any(|policy| policy.key == **key) || damaged.contains(&file_name(key))
        };
        let unknown: Vec<_> = keys.iter().filter(|key| !is_stored(key)).cloned().collect();
        let rest: Vec<_> =
            stored.iter().filter(|policy| !keys.contains(&policy.key)).cloned().collect();
        let assignment = assign_matching(&rest, &inventory)?;
        let target = self.records(rest, assignment, &inventory)?;
        // Where nothing is deleted, what other policies have left to do is not done either. A PF
        // that no policy manages is what an interrupted `apply` left.
        if unknown.len() == keys.len() && target.records.iter().all(|pf| target.manages(pf.pf)) {
            return Ok(Deleted { steps: Vec::new(), unknown });
        }
        Ok(Deleted { steps: self.reach(&target, cards)?, unknown })
    }

    fn refuse_in_use(
        &self,
        stored: &[SriovNetworkNodePolicy],
        keys: &[ObjectKey],
        inventory: &Inventory,
    ) -> Result<(), Error> {
        let holders = self.holdings.holders(inventory)?;
        let assignment = assign_matching(stored, inventory)?;
        for (pf, group) in assignment.groups().filter(|(_, group)| keys.contains(&group.policy)) {
            let Some(pf) = inventory.pf(pf) else { continue };
            for vf in group.vfs.indices().filter_map(|index| pf.vf(index)) {
                if let Some(occupant) = holders.of(vf.pci) {
                    let what = format!("deleting SriovNetworkNodePolicy {}", group.policy);
                    let occupant = Box::new(occupant.clone());
                    return Err(Error::InUse { what, index: vf.index, vf: vf.pci, occupant });
                }
            }
        }
        Ok(())
    }

    fn target(
        &self,
        policies: &[SriovNetworkNodePolicy],
        labels: Option<&BTreeMap<String, String>>,
        inventory: &Inventory,
    ) -> Result<(Target, Applied), Error> {
        let is_for_node = |policy: &&SriovNetworkNodePolicy| {
            let has = |(key, value)| labels.is_none_or(|labels| labels.get(key) == Some(value));
            policy.node_selector.iter().all(has)
        };
        let (here, elsewhere): (Vec<_>, Vec<_>) = policies.iter().partition(is_for_node);
        let here: Vec<_> = here.into_iter().cloned().collect();
        // Alone first: among the stored ones a policy may match nothing, but a new one may not.
        assign(&here, inventory)?;
        let goes = |name: &str| {
            policies.is_empty() || policies.iter().any(|new| file_name(&new.key) == name)
        };
        let (mut all, _) = InForce::read(&self.in_force)?.but_for(goes)?;
        all.retain(|old| !policies.iter().any(|new| new.key == old.key));
        let unlooked =
            |policy: &&SriovNetworkNodePolicy| labels.is_none() && !policy.node_selector.is_empty();
        let selector_not_looked_at =
            here.iter().filter(unlooked).map(|policy| policy.key.clone()).collect();
        all.extend(here);
        let assignment = assign_matching(&all, inventory)?;
        let applied = Applied {
            steps: Vec::new(),
            not_for_node: elsewhere.iter().map(|policy| policy.key.clone()).collect(),
            selector_not_looked_at,
            assignment: assignment.clone(),
        };
        Ok((self.records(all, assignment, inventory)?, applied))
    }

    /// Adds to an assignment what is known of the PFs from before. A record that cannot be read is
    /// as good as none: a loss of power tears it, after which a PF is as it was before.
    fn records(
        &self,
        policies: Vec<SriovNetworkNodePolicy>,
        assignment: Assignment,
        inventory: &Inventory,
    ) -> Result<Target, Error> {
        let mut earlier: Vec<PfRecord> = Vec::new();
        for name in self.pfs.names()? {
            match self.pfs.read_record::<PfRecord>(&name) {
                Err(
                    Error::Damaged { .. } | Error::State(podbond_state::Error::TooLarge { .. }),
                ) => {}
                record => earlier.extend(record?),
            }
        }
        let mut records = earlier.clone();
        for assigned in assignment.pfs.iter().filter(|pf| pf.management == Management::Managed) {
            let Some(pf) = inventory.pf(assigned.pf) else { continue };
            let known = earlier.iter().find(|record| record.pf == pf.pci);
            records.retain(|record| record.pf != pf.pci);
            records.push(PfRecord::new(pf, assigned, known));
        }
        Ok(Target { policies, assignment, records, earlier })
    }

    /// Makes the cards what they should be and keeps the policies. The records of what was before
    /// are written first, so that a crash at any point leaves what can be taken back.
    fn reach(&self, target: &Target, cards: &mut impl Cards) -> Result<Vec<Step>, Error> {
        for record in &target.records {
            self.pfs.write_record(&record.pf.to_string(), record)?;
        }
        let steps = match transact(cards, |transaction| self.rounds(target, transaction)) {
            Ok(((), steps)) => steps,
            Err(Failed { cause, not_undone: left }) if left.is_empty() => {
                self.put_records_back(target)?;
                return Err(cause);
            }
            Err(Failed { cause, not_undone: left }) => {
                let left = left.iter().map(ToString::to_string).collect();
                return Err(Error::LeftOver { cause: Box::new(cause), left });
            }
        };
        for policy in &target.policies {
            self.in_force.write(&file_name(&policy.key), &policy.to_manifest())?;
        }
        let kept: Vec<_> = target.policies.iter().map(|policy| file_name(&policy.key)).collect();
        for name in self.in_force.names()?.iter().filter(|name| !kept.contains(name)) {
            self.in_force.remove(name)?;
        }
        let managed = target.records.iter().filter(|record| target.manages(record.pf));
        let managed: Vec<_> = managed.map(|record| record.pf.to_string()).collect();
        for name in self.pfs.names()?.iter().filter(|name| !managed.contains(name)) {
            self.pfs.remove(name)?;
        }
        Ok(steps)
    }

    fn put_records_back(&self, target: &Target) -> Result<(), Error> {
        for record in &target.records {
            let name = record.pf.to_string();
            match target.earlier.iter().find(|earlier| earlier.pf == record.pf) {
                Some(earlier) => self.pfs.write_record(&name, earlier)?,
                None => self.pfs.remove(&name)?,
            }
        }
        Ok(())
    }

    fn rounds<C: Cards>(
        &self,
        target: &Target,
        transaction: &mut Transaction<'_, C>,
    ) -> Result<(), Error> {
        let mut left = String::new();
        for _ in 0..ROUNDS {
            let inventory = transaction.kernel().inventory()?;
            let steps = target.steps(&inventory, &self.holdings.holders(&inventory)?)?;
            let Some(first) = steps.first() else { return Ok(()) };
            left = first.to_string();
            let remade = |step: &Step| match step {
                Step::SetNumVfs { pf, .. } => Some(*pf),
                _ => None,
            };
            let remade: Vec<_> = steps.iter().filter_map(remade).collect();
            match transaction.apply(steps) {
                // The link of a new VF was given its name between the look and the step.
                Err(error) if error.is_gone() => thread::sleep(PAUSE),
                applied => applied?,
            }
            target.check_links(&remade, &transaction.kernel().inventory()?)?;
        }
        Err(Error::Unsettled { rounds: ROUNDS, left })
    }
}

impl Target {
    fn manages(&self, pf: PciAddress) -> bool {
        let managed = |assigned: &crate::PfAssignment| assigned.management == Management::Managed;
        self.assignment.pfs.iter().any(|assigned| assigned.pf == pf && managed(assigned))
    }

    fn steps(&self, inventory: &Inventory, holders: &Holders) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        for record in self.records.iter().filter(|record| !self.manages(record.pf)) {
            if let Some(pf) = inventory.pf(record.pf) {
                steps.extend(take_back(record, pf, holders)?);
            }
        }
        steps.extend(self.assignment.plan(inventory, holders)?);
        Ok(steps)
    }

    /// The step that makes VFs waits for their links. What has none by then has no driver.
    fn check_links(&self, remade: &[PciAddress], inventory: &Inventory) -> Result<(), Error> {
        let groups = self.assignment.groups().filter(|(pf, _)| remade.contains(pf));
        for (pf, group) in groups.filter(|(_, g)| g.device_type == DeviceType::Netdevice) {
            let Some(pf) = inventory.pf(pf) else { continue };
            let vfs = group.vfs.indices().filter_map(|index| pf.vf(index));
            if let Some(vf) = vfs.into_iter().find(|vf| vf.link.is_none() && !vf.is_userspace()) {
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
