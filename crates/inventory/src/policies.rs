use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use podbond_api::{
    DeviceType, Management, Object, ObjectKey, SriovNetworkNodePolicy, read_manifests,
};
use podbond_kernel::{Failed, Step, Transaction, transact};
use podbond_names::PciAddress;

use crate::assign::{assign, assign_matching};
use crate::files::{Files, lock};
use crate::plan::take_back;
use crate::record::PfRecord;
use crate::{Assignment, Cards, Error, Holders, Inventory, Ledger};

/// VFs, then what they need, then nothing, and one more for a link that was renamed meanwhile.
/// More rounds mean that something is changed back.
const ROUNDS: usize = 4;
/// For udev to be done with the names of new links.
const PAUSE: Duration = Duration::from_millis(200);

/// The policies that are in force on this node, kept on disk with what they changed.
#[derive(Debug)]
pub struct Policies<'l> {
    ledger: &'l Ledger,
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
    pub(crate) fn new(ledger: &'l Ledger, state: &Path) -> Self {
        Self {
            ledger,
            state: state.to_owned(),
            in_force: Files::new(state.join("policies")),
            pfs: Files::new(state.join("pfs")),
        }
    }

    /// The policies in force, in order of their keys.
    pub fn stored(&self) -> Result<Vec<SriovNetworkNodePolicy>, Error> {
        let mut policies = Vec::new();
        for name in self.in_force.names()? {
            let Some(text) = self.in_force.read_text(&name)? else { continue };
            let path = self.in_force.path(&name);
            let objects = read_manifests(&text, &path.display().to_string());
            match objects.map_err(|error| error.to_string()).as_deref() {
                Ok([Object::SriovNetworkNodePolicy(policy)]) => policies.push(policy.clone()),
                Ok(_) => {
                    let problem = "it holds no single SriovNetworkNodePolicy".to_owned();
                    return Err(Error::Damaged { path, problem });
                }
                Err(problem) => return Err(Error::Damaged { path, problem: problem.to_owned() }),
            }
        }
        Ok(policies)
    }

    /// What the policies in force make of the cards. A policy whose card was taken out is passed
    /// over.
    pub fn assignment(&self, inventory: &Inventory) -> Result<Assignment, Error> {
        assign_matching(&self.stored()?, inventory)
    }

    /// What [`Policies::apply`] would begin with; nothing is changed.
    pub fn plan(
        &self,
        cards: &mut impl Cards,
        policies: &[SriovNetworkNodePolicy],
        labels: Option<&BTreeMap<String, String>>,
    ) -> Result<Applied, Error> {
        let inventory = cards.inventory()?;
        let (target, mut applied) = self.target(policies, labels, &inventory)?;
        applied.steps = target.steps(&inventory, &self.ledger.holders(&inventory)?)?;
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
        let stored = self.stored()?;
        self.refuse_in_use(&stored, keys, &inventory)?;
        let is_stored = |key: &&ObjectKey| stored.iter().any(|policy| policy.key == **key);
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
        let holders = self.ledger.holders(inventory)?;
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
        let mut all = self.stored()?;
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

    /// Adds to an assignment what is known of the PFs from before.
    fn records(
        &self,
        policies: Vec<SriovNetworkNodePolicy>,
        assignment: Assignment,
        inventory: &Inventory,
    ) -> Result<Target, Error> {
        let mut earlier: Vec<PfRecord> = Vec::new();
        for name in self.pfs.names()? {
            earlier.extend(self.pfs.read_record::<PfRecord>(&name)?);
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
            Err(Failed { cause, left }) if left.is_empty() => {
                self.put_records_back(target)?;
                return Err(cause);
            }
            Err(Failed { cause, left }) => {
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
        for record in target.records.iter().filter(|record| !target.manages(record.pf)) {
            self.pfs.remove(&record.pf.to_string())?;
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
            let steps = target.steps(&inventory, &self.ledger.holders(&inventory)?)?;
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

/// Neither part holds an underscore, so that no two keys have one name.
fn file_name(key: &ObjectKey) -> String {
    format!("{}_{}", key.namespace, key.name)
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
