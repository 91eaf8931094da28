//! What is on the node and belongs to nobody: found from the records alone, whatever the version of
//! a network's configuration, and taken away.

mod files;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use podbond_api::ObjectKey;
use podbond_attach::{Attachments, Record};
use podbond_bond::Bond;
use podbond_cni::{Attachment, ContainerId};
use podbond_inventory::Holder;
use podbond_ipam::{Debt, Debts};
use podbond_kernel::no_netns;
use podbond_names::{LinkName, PciAddress};
use podbond_sriov::Sriov;
use serde::Serialize;

use crate::error::Error;
use crate::node::Node;

pub(crate) use text::lines;

/// How much of a container's ID people are shown, as `crictl` has it.
const SHORT_ID: usize = 12;

/// What belongs to nobody, in the order in which it is taken away.
pub(crate) struct Survey {
    leftovers: Vec<Leftover>,
    /// What could not be looked at.
    pub(crate) errors: Vec<Error>,
}

/// One thing that belongs to nobody.
struct Leftover {
    object: String,
    what: String,
    remains: Remains,
}

enum Remains {
    /// Of `podbond apply`, with the DEL of all its plugins.
    Attachment(Box<Record>),
    /// Made by the plugins for a runtime.
    Bond(Box<podbond_bond::LeftBehind>),
    Vf(Box<podbond_sriov::LeftBehind>),
    Claim(PciAddress, PathBuf),
    Hold(PciAddress, Holder),
    Lease(podbond_host_local::Orphan),
    Debt(Box<Debt>),
    Torn(files::Torn),
    Unfinished(PathBuf),
    /// Nobody can tell whether it may go.
    Unknown,
}

/// What has become of a thing that belongs to nobody.
#[derive(Serialize)]
pub(crate) struct Row {
    object: String,
    what: String,
    done: Done,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Removed,
    /// Not yet: nothing is to be changed.
    ToDo,
    Failed,
    /// It stays, since nobody can tell whether it may go, or since it says something by now.
    Left,
}

/// Which attachments are known to be gone, and which to be there.
#[derive(Default)]
struct Known {
    gone: BTreeSet<Attachment>,
    alive: BTreeSet<Attachment>,
}

impl Known {
    fn of(attachments: &Attachments) -> Self {
        let ids = |records: &[Record]| records.iter().map(id_of).collect();
        Self { gone: ids(&attachments.gone), alive: ids(&attachments.alive) }
    }

    /// Whether nothing is known of an attachment from its own record.
    fn is_news(&self, attachment: &Attachment) -> bool {
        !self.gone.contains(attachment) && !self.alive.contains(attachment)
    }
}

fn id_of(record: &Record) -> Attachment {
    Attachment { container_id: record.container_id.clone(), ifname: record.ifname.clone() }
}

/// The records of podbond's that are empty or torn.
pub(crate) fn torn(state: &Path) -> Vec<PathBuf> {
    files::look(state).torn.into_iter().map(|torn| torn.path).collect()
}

impl Survey {
    /// Looks for all that belongs to nobody. Nothing is changed.
    pub(crate) fn make(node: &Node<'_>) -> Self {
        let mut survey = Self { leftovers: Vec::new(), errors: Vec::new() };
        let attachments = Attachments::of(&node.records());
        let known = Known::of(&attachments);
        let files = files::look(node.state());
        let torn: BTreeSet<&Path> = files.torn.iter().map(|file| file.path.as_path()).collect();

        for record in &attachments.gone {
            let object = format!("{} of pod {}", record.ifname, record.pod);
            let what = format!("attachment to {}, whose namespace is gone", record.name());
            survey.add(object, what, Remains::Attachment(Box::new(record.clone())));
        }
        for error in &attachments.unread {
            match error {
                podbond_attach::Error::Record { path, .. } if torn.contains(path.as_path()) => {}
                podbond_attach::Error::Record { path, problem } => {
                    survey.add(path.display().to_string(), problem.clone(), Remains::Unknown);
                }
                other => survey.errors.push(Error::Failed(other.clone().into())),
            }
        }
        // Those whose leases no configuration tells of.
        let mut without_lease = survey.add_bonds(&known);
        without_lease.extend(
            files.torn.iter().filter(|file| file.is_over).filter_map(|file| file.of.clone()),
        );
        let of_vfs = survey.add_vfs(&known);
        without_lease.extend(survey.add_holds(node, &attachments, &known, &torn));
        without_lease
            .retain(|attachment| known.is_news(attachment) && !of_vfs.contains(attachment));
        let (orphans, failures) = podbond_host_local::orphans(|lease| {
            lease.holder.attachment().is_some_and(|holder| without_lease.contains(holder))
        });
        for orphan in orphans {
            let object = orphan.lease.address.to_string();
            let what = format!("lease of {} to {}", orphan.network, orphan.lease.holder);
            survey.add(object, what, Remains::Lease(orphan));
        }
        survey.errors.extend(failures.into_iter().map(Error::Failed));
        survey.add_debts();
        survey.add_files(files);
        survey
    }

    fn add(&mut self, object: String, what: String, remains: Remains) {
        self.leftovers.push(Leftover { object, what, remains });
    }

    /// Bonds that the plugin made for a runtime; gives those whose records do not tell of their lease.
    fn add_bonds(&mut self, known: &Known) -> BTreeSet<Attachment> {
        let mut attachments = BTreeSet::new();
        match Bond::default().left_behind(no_netns) {
            Ok(bonds) => {
                for bond in bonds {
                    if known.is_news(&bond.attachment) {
                        if !bond.tells_lease() {
                            attachments.insert(bond.attachment.clone());
                        }
                        let what = "bond, whose namespace is gone".to_owned();
                        self.add(bond.name.clone(), what, Remains::Bond(Box::new(bond)));
                    }
                }
            }
            Err(error) => self.errors.push(Error::Failed(error.into_failure("bond"))),
        }
        attachments
    }

    /// VFs that the plugin, or the incumbent's, gave to a runtime's pod.
    fn add_vfs(&mut self, known: &Known) -> BTreeSet<Attachment> {
        let mut attachments = BTreeSet::new();
        let sriov = Sriov::default();
        match sriov.left_behind(no_netns) {
            Ok(vfs) => {
                for vf in vfs {
                    let id = attachment(&vf.container, &vf.ifname);
                    if known.is_news(&id) {
                        let container = short(vf.container.as_str());
                        let what = format!(
                            "{} of container {container}, whose namespace is gone",
                            vf.ifname
                        );
                        self.add(format!("VF {}", vf.device), what, Remains::Vf(Box::new(vf)));
                        attachments.insert(id);
                    }
                }
            }
            Err(error) => self.errors.push(Error::Failed(error.into_failure("sriov"))),
        }
        match sriov.claims_left_behind(no_netns) {
            Ok(claims) => {
                for (vf, netns) in claims {
                    let what = format!("claimed for {}, which is gone", netns.display());
                    self.add(format!("VF {vf}"), what, Remains::Claim(vf, netns));
                }
            }
            Err(error) => self.errors.push(Error::Failed(error.into_failure("sriov"))),
        }
        attachments
    }

    /// VFs that the ledger holds for pods that are gone. Those of an attachment go with it.
    fn add_holds(
        &mut self,
        node: &Node<'_>,
        attachments: &Attachments,
        known: &Known,
        torn: &BTreeSet<&Path>,
    ) -> BTreeSet<Attachment> {
        let mut of_holds = BTreeSet::new();
        let (holds, errors) = node.ledger.left_behind();
        for error in errors {
            match error {
                podbond_inventory::Error::Damaged { path, .. } if torn.contains(path.as_path()) => {
                }
                podbond_inventory::Error::Damaged { path, problem } => {
                    self.add(path.display().to_string(), problem, Remains::Unknown);
                }
                other => self.errors.push(other.into()),
            }
        }
        for (vf, holder) in holds {
            let container = ContainerId::try_from(holder.container_id.clone()).ok();
            let id = container.map(|container| attachment(&container, &holder.interface));
            let goes_with =
                |record: &Record| Some(id_of(record)) == id && record.device == Some(vf);
            let is_alive = id.as_ref().is_some_and(|id| known.alive.contains(id));
            if !is_alive && !attachments.gone.iter().any(goes_with) {
                let what = format!("held by {holder}, whose namespace is gone");
                self.add(format!("VF {vf}"), what, Remains::Hold(vf, holder));
                of_holds.extend(id);
            }
        }
        of_holds
    }

    /// Leases that an IPAM plugin did not take back when their attachments went.
    fn add_debts(&mut self) {
        match Debts::default().list() {
            Ok(debts) => {
                for debt in debts {
                    let container = short(debt.request.container_id.as_str());
                    let object = format!("{} of container {container}", debt.request.ifname);
                    let (ipam, network) = (debt.ipam(), &debt.request.config.name);
                    let what = format!("lease of {network} that {ipam} did not take back");
                    self.add(object, what, Remains::Debt(Box::new(debt)));
                }
            }
            Err(error) => self.errors.push(Error::Failed(error.into())),
        }
    }

    fn add_files(&mut self, files: files::Files) {
        for file in files.torn {
            let object = file.path.display().to_string();
            if file.is_over {
                let what = "torn record of what is gone".to_owned();
                self.add(object, what, Remains::Torn(file));
            } else {
                let what = "torn record: remove it once its pod is gone".to_owned();
                self.add(object, what, Remains::Unknown);
            }
        }
        for path in files.unfinished {
            let what = "unfinished file of a process that was killed".to_owned();
            self.add(path.display().to_string(), what, Remains::Unfinished(path));
        }
        self.errors.extend(files.errors);
    }

    /// The pods whose attachments are taken away. Their manifests stay.
    pub(crate) fn pods(&self) -> BTreeSet<ObjectKey> {
        let pod = |leftover: &Leftover| match &leftover.remains {
            Remains::Attachment(record) => Some(record.pod.clone()),
            _ => None,
        };
        self.leftovers.iter().filter_map(pod).collect()
    }

    /// What would be taken away.
    pub(crate) fn foreseen(self) -> Vec<Row> {
        let row = |Leftover { object, what, remains }| {
            let done = if matches!(remains, Remains::Unknown) { Done::Left } else { Done::ToDo };
            Row { object, what, done, error: None }
        };
        self.leftovers.into_iter().map(row).collect()
    }

    /// Takes it all away, going on past errors.
    pub(crate) fn carry_out(self, node: &Node<'_>) -> Vec<Row> {
        self.leftovers.into_iter().map(|leftover| leftover.remove(node)).collect()
    }
}

impl Leftover {
    fn remove(self, node: &Node<'_>) -> Row {
        let Self { object, what, remains } = self;
        let failed = |failure: podbond_cni::Failure| Error::Failed(failure);
        let outcome = match &remains {
            Remains::Attachment(record) => Error::gather(node.take_away(record)),
            Remains::Bond(bond) => Bond::default()
                .remove_left_behind(bond, &node.plugin_path, node.delegates)
                .map_err(|error| failed(error.into_failure("bond"))),
            Remains::Vf(vf) => Sriov::default()
                .remove_left_behind(vf, &node.plugin_path, node.delegates)
                .map_err(|error| failed(error.into_failure("sriov"))),
            Remains::Claim(vf, netns) => Sriov::default()
                .drop_claim(*vf, netns)
                .map_err(|error| failed(error.into_failure("sriov"))),
            Remains::Hold(vf, holder) => node.ledger.release(*vf, holder).map_err(Error::from),
            Remains::Lease(lease) => lease.release().map_err(failed),
            Remains::Debt(debt) => Debts::default()
                .pay(debt, &node.plugin_path, node.delegates)
                .map_err(|error| failed(error.into())),
            Remains::Torn(file) => match file.remove() {
                Ok(files::Fate::Written) => return written_since(object),
                removed => removed.map(drop),
            },
            Remains::Unfinished(path) => match files::remove_unfinished(path) {
                Ok(files::Fate::Written) => return written_since(object),
                removed => removed.map(drop),
            },
            Remains::Unknown => {
                return Row { object, what, done: Done::Left, error: None };
            }
        };
        let (done, error) = match outcome {
            Ok(()) => (Done::Removed, None),
            Err(error) => (Done::Failed, Some(error.lines().join("; "))),
        };
        Row { object, what, done, error }
    }
}

/// A file that said nothing when it was looked at, and does by now.
fn written_since(object: String) -> Row {
    let what = "file that was torn, and has been written anew meanwhile".to_owned();
    Row { object, what, done: Done::Left, error: None }
}

impl Row {
    /// Why it could not be taken away.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.as_ref().map(|error| format!("{}: {error}", self.object))
    }
}

fn attachment(container: &ContainerId, ifname: &LinkName) -> Attachment {
    Attachment { container_id: container.clone(), ifname: ifname.clone() }
}

fn short(container: &str) -> &str {
    container.get(..SHORT_ID).unwrap_or(container)
}

#[cfg(test)]
mod tests;
