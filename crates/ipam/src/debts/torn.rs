//! Notes of debts that say nothing: emptied by a loss of power, or torn by the disk.
//!
//! Their place still tells the network and the attachment. With the configuration of a later
//! operation of the network that is all that an IPAM plugin needs to find the lease.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::{Args, ContainerId, NetConf, Request};

use super::{Content, Debt, DebtError, Debts, LOCK_PATIENCE, content, now, write};

/// Keys of an attachment, or of one operation, that are no other's.
const OF_ONE: [&str; 3] = ["runtimeConfig", "args", "cni.dev/valid-attachments"];

impl Debts {
    /// Writes those notes of a network anew that say nothing, with the configuration of another
    /// operation of the network; where that tells no IPAM plugin, or the place no attachment, the
    /// note is removed. Gives a sentence for each, for people.
    pub(crate) fn restore_torn(&self, config: &NetConf, path: &[PathBuf]) -> Vec<String> {
        let dir = self.dir.join(&config.name);
        let is_torn = |path: &PathBuf| matches!(content(path), Ok(Some(Content::Torn)));
        let torn = |name| Some(dir.join(name)).filter(is_torn);
        let mut torn =
            podbond_state::names(&dir).unwrap_or_default().into_iter().filter_map(torn).peekable();
        if torn.peek().is_none() {
            return Vec::new();
        }
        // Whoever has the lock is paying, and will be asked again.
        let Ok(_lock) = self.lock(Duration::ZERO) else { return Vec::new() };
        let told = torn.filter(is_torn).map(|file| {
            let (then, done) = match restored(&file, config, path) {
                Some(debt) => (
                    "it is written anew, with the configuration of this operation",
                    write(&file, &debt),
                ),
                None => ("nobody knows what was owed, and it is removed", remove(&file)),
            };
            told(&file, then, done)
        });
        let told = told.collect();
        // One that stays is in nobody's way.
        let _ = podbond_state::sweep(&dir);
        told
    }

    /// Removes the note at `path`, in a network's directory of these debts, if it says nothing at
    /// this moment, whatever it said before: an operation of its network may have written it anew.
    /// False where it does say something, and stays.
    pub fn remove_torn(&self, path: &Path) -> Result<bool, DebtError> {
        let _lock = self.lock(LOCK_PATIENCE)?;
        match content(path)? {
            Some(Content::Whole(_) | Content::Foreign) => return Ok(false),
            Some(Content::Torn) => remove(path)?,
            None => {}
        }
        for dir in path.parent().into_iter().chain([self.dir.as_path()]) {
            podbond_state::sweep(dir)?;
        }
        Ok(true)
    }
}

fn remove(file: &Path) -> Result<(), DebtError> {
    Ok(podbond_state::remove(file)?)
}

fn told(file: &Path, then: &str, done: Result<(), DebtError>) -> String {
    let note = format!("the note {} of a lease that is owed is torn", file.display());
    match done {
        Ok(()) => format!("{note}: {then}"),
        Err(error) => format!("{note}: {error}"),
    }
}

/// The debt that was noted there.
fn restored(file: &Path, config: &NetConf, path: &[PathBuf]) -> Option<Debt> {
    config.ipam.as_ref()?;
    let (container, ifname) = file.file_name()?.to_str()?.rsplit_once(':')?;
    let mut config = config.clone();
    config.set_prev_result(None);
    for key in OF_ONE {
        config.raw.remove(key);
    }
    let request = Request {
        container_id: ContainerId::try_from(container.to_owned()).ok()?,
        netns: None,
        ifname: ifname.parse().ok()?,
        args: Args::default(),
        path: path.to_vec(),
        config,
    };
    Some(Debt { request, problem: "its note was torn".to_owned(), since: now(), tried: 0 })
}
