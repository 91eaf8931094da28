//! Files that say nothing: those that a killed process did not write to their end, and records that
//! a loss of power has torn.

use std::path::{Path, PathBuf};

use podbond_cni::{Attachment, ContainerId};
use podbond_inventory::Ledger;
use podbond_ipam::Debts;
use podbond_state::{abandoned, is_before_boot, names, read, sweep, unfinished};
use serde_json::{Map, Value};

use crate::error::Error;

#[derive(Default)]
pub(super) struct Files {
    pub(super) unfinished: Vec<PathBuf>,
    pub(super) torn: Vec<Torn>,
    pub(super) errors: Vec<Error>,
}

/// A record that cannot be read: files are written whole, so that only the disk can have lost what
/// was in it.
pub(super) struct Torn {
    pub(super) path: PathBuf,
    /// Whether all that it told of is over: it was written before the node booted, which no
    /// namespace outlives, or noted what is owed for an attachment that is gone.
    pub(super) is_over: bool,
    /// Whose it is, as far as its name tells.
    pub(super) of: Option<Attachment>,
    kept: Kept,
}

/// Who writes a record.
enum Kept {
    /// The attachment of its name alone. No later one has that: a container is never made anew.
    Alone,
    /// Debts, all under one lock.
    Debts(Debts),
    /// Who has which VF, all under one lock.
    Holds(Ledger),
}

/// What has become of a file that said nothing when it was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Removed,
    /// Somebody has written it since.
    Written,
}

/// Looks at all directories in which records are.
pub(super) fn look(state: &Path) -> Files {
    let mut files = Files::default();
    let attachments = state.join("attachments");
    files.unfinished(&attachments);
    for container in files.names(&attachments) {
        let dir = attachments.join(&container);
        let of = |name: &str| attachment(&container, name.strip_suffix(".json")?);
        files.records(&dir, of);
    }
    let of = |name: &str| {
        let (container, ifname) = name.split_once(':')?;
        attachment(container, ifname)
    };
    files.records(&state.join("bond"), of);
    let debts = state.join("debts");
    for network in files.names(&debts) {
        let first = files.torn.len();
        files.records(&debts.join(network), of);
        for debt in &mut files.torn[first..] {
            debt.is_over = true;
            debt.kept = Kept::Debts(Debts::new(&debts));
        }
    }
    let first = files.torn.len();
    files.records(&state.join("vfs"), |_| None);
    for hold in &mut files.torn[first..] {
        hold.kept = Kept::Holds(Ledger::new(state, Path::new(podbond_sriov::DIR)));
    }
    // Each may hold `-`, so that the name does not tell one from the other for sure.
    files.records(Path::new(podbond_sriov::DIR), |_| None);
    for dir in ["policies", "pfs"] {
        files.unfinished(&state.join(dir));
    }
    files.unfinished(&Path::new(podbond_sriov::DIR).join("pci"));
    for kind in ["nads", "pods"] {
        let kind = state.join("manifests").join(kind);
        for namespace in files.names(&kind) {
            files.unfinished(&kind.join(namespace));
        }
    }
    files
}

impl Torn {
    /// Removes it unless somebody has written it since: as an operation of its network writes what is
    /// owed anew.
    pub(super) fn remove(&self) -> Result<Fate, Error> {
        let removed = match &self.kept {
            Kept::Debts(debts) => {
                debts.remove_torn(&self.path).map_err(|error| Error::Failed(error.into()))?
            }
            Kept::Holds(ledger) => ledger.remove_torn(&self.path)?,
            Kept::Alone if is_torn(&self.path)? => {
                remove(&self.path)?;
                true
            }
            Kept::Alone => !self.path.exists(),
        };
        Ok(if removed { Fate::Removed } else { Fate::Written })
    }
}

/// Removes a file that was not written to its end, unless somebody is writing it by now.
pub(super) fn remove_unfinished(path: &Path) -> Result<Fate, Error> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    if !abandoned(dir)?.iter().any(|abandoned| abandoned == path) {
        return Ok(if path.exists() { Fate::Written } else { Fate::Removed });
    }
    remove(path)?;
    Ok(Fate::Removed)
}

/// Removes a file, and with the last one its directory: that of a sandbox says nothing either.
fn remove(path: &Path) -> Result<(), Error> {
    podbond_state::remove(path)?;
    match path.parent() {
        Some(dir) if names(dir)?.is_empty() && unfinished(dir)?.is_empty() => Ok(sweep(dir)?),
        _ => Ok(()),
    }
}

impl Files {
    fn names(&mut self, dir: &Path) -> Vec<String> {
        names(dir).unwrap_or_else(|error| {
            self.errors.push(error.into());
            Vec::new()
        })
    }

    fn unfinished(&mut self, dir: &Path) {
        match abandoned(dir) {
            Ok(paths) => self.unfinished.extend(paths),
            Err(error) => self.errors.push(error.into()),
        }
    }

    /// A directory of which each file is a JSON object.
    fn records(&mut self, dir: &Path, of: impl Fn(&str) -> Option<Attachment>) {
        self.unfinished(dir);
        for name in self.names(dir) {
            let path = dir.join(&name);
            if !path.is_file() {
                continue;
            }
            match is_torn(&path) {
                Ok(true) => {
                    let is_over = is_before_boot(&path);
                    self.torn.push(Torn { path, is_over, of: of(&name), kept: Kept::Alone });
                }
                Ok(false) => {}
                Err(error) => self.errors.push(error),
            }
        }
    }
}

fn is_torn(path: &Path) -> Result<bool, Error> {
    match read(path) {
        Ok(Some(bytes)) => Ok(serde_json::from_slice::<Map<String, Value>>(&bytes).is_err()),
        Ok(None) => Ok(false),
        // Nobody of ours wrote it.
        Err(podbond_state::Error::TooLarge { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn attachment(container: &str, ifname: &str) -> Option<Attachment> {
    let container_id = ContainerId::try_from(container.to_owned()).ok()?;
    Some(Attachment { container_id, ifname: ifname.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::*;

    const LONG: Duration = Duration::from_mins(2);

    fn place(path: &Path, content: &str, age: Duration) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn unfinished_files_are_told_once_nobody_can_be_writing_them() {
        let state = tempfile::tempdir().unwrap();
        let dirs = ["attachments", "attachments/c1", "bond", "vfs", "policies", "pfs"];
        for dir in dirs.into_iter().chain(Some("manifests/pods/demo")) {
            let dir = state.path().join(dir);
            place(&dir.join(".old.new"), "{", LONG);
            place(&dir.join(".now.new"), "{", Duration::ZERO);
            place(&dir.join("whole"), "{}", LONG);
        }
        let files = look(state.path());
        assert_eq!(files.unfinished.len(), 7);
        assert!(files.unfinished.iter().all(|path| path.ends_with(".old.new")));
        assert!(files.torn.is_empty() && files.errors.is_empty());
        let (rewritten, others) = files.unfinished.split_first().unwrap();
        place(rewritten, "{", Duration::ZERO);
        assert_eq!(remove_unfinished(rewritten).unwrap(), Fate::Written);
        place(rewritten, "{", LONG);
        assert_eq!(remove_unfinished(rewritten).unwrap(), Fate::Removed);
        for path in others {
            assert_eq!(remove_unfinished(path).unwrap(), Fate::Removed);
        }
        assert!(look(state.path()).unfinished.is_empty());
        let whole = state.path().join("vfs/whole");
        remove(&whole).unwrap();
        assert!(whole.parent().unwrap().join(".now.new").exists());
        remove(&state.path().join("vfs/.now.new")).unwrap();
        assert!(!whole.parent().unwrap().exists());
    }

    #[test]
    fn torn_records_are_told_with_whose_they_are_and_whether_that_is_over() {
        let state = tempfile::tempdir().unwrap();
        let (now, ages_ago) = (Duration::ZERO, Duration::from_hours(24 * 365 * 20));
        for (name, content, age) in [
            ("attachments/c1/net1.json", "", ages_ago),
            ("attachments/c1/net2.json", "{}", ages_ago),
            ("bond/c1:net3", "{\"version\":1", now),
            ("debts/n/c2:net3", "", now),
            ("vfs/0000:01:10.0.json", "\0\0\0", ages_ago),
        ] {
            place(&state.path().join(name), content, age);
        }
        let torn = look(state.path()).torn;
        let told = torn.iter().map(|torn| {
            let of = torn.of.as_ref().map(|of| format!("{} {}", of.container_id, of.ifname));
            (torn.path.file_name().unwrap().to_str().unwrap(), torn.is_over, of.unwrap_or_default())
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("net1.json", true, "c1 net1".to_owned()),
                ("c1:net3", false, "c1 net3".to_owned()),
                ("c2:net3", true, "c2 net3".to_owned()),
                ("0000:01:10.0.json", true, String::new()),
            ]
        );
    }
}
