//! A directory of CNI plugins, and the changes of its files.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_state::Lock;

use super::observe;
use super::plan::{Change, EXECUTABLE, OWN_DIR, Observed, kept_path};
use crate::arguments::PluginName;
use crate::error::Error;

/// This executable, also when its file has been replaced since it was started.
const OWN: &str = "/proc/self/exe";

/// How long another `install` of the directory is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// A directory of CNI plugins.
pub(super) struct PluginDir<'a>(&'a Path);

impl<'a> PluginDir<'a> {
    /// Creates the directory, if there is none.
    pub(super) fn create(dir: &'a Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        Self::open(dir)
    }

    /// Returns a directory that exists.
    pub(super) fn open(dir: &'a Path) -> Result<Self, Error> {
        fs::read_dir(dir).map_err(failed("read", dir))?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        self.0
    }

    /// Locks the directory against another `install`.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let own = self.0.join(OWN_DIR);
        match fs::symlink_metadata(&own) {
            Ok(metadata) if !metadata.is_dir() => {
                let error = io::Error::new(
                    ErrorKind::NotADirectory,
                    "it is podbond's directory of what it replaces: move away what is there",
                );
                Err(failed("use", &own)(error))
            }
            _ => Ok(Lock::take_passing(&own.join("lock"), LOCK_TIMEOUT)?),
        }
    }

    /// Returns what the directory holds.
    pub(super) fn observe(&self) -> Result<Observed, Error> {
        let path = self.0.join(EXECUTABLE);
        let executable =
            observe::executable(&path, Path::new(OWN)).map_err(failed("replace", &path))?;
        let mut plugins = Vec::new();
        for plugin in PluginName::ALL {
            let (at, kept) = (self.0.join(plugin.file()), self.0.join(kept_path(plugin)));
            let found =
                observe::plugin(&at, (&path, executable)).map_err(failed("replace", &at))?;
            let kept = observe::kept(&kept, &at).map_err(failed("read", &kept))?;
            plugins.push((plugin, found, kept));
        }
        Ok(Observed { executable, plugins })
    }

    /// Makes a change.
    pub(super) fn apply(&self, change: &Change) -> Result<(), Error> {
        match change {
            Change::Copy { to } => copy(&self.0.join(to)),
            Change::Link { from, to } => {
                let to = self.0.join(to);
                remove(&to)?;
                fs::hard_link(self.0.join(from), &to).map_err(failed("link", &to))
            }
            Change::Rename { from, to } => {
                let to = self.0.join(to);
                fs::rename(self.0.join(from), &to).map_err(failed("write", &to))
            }
            Change::Remove(path) => remove(&self.0.join(path)),
        }
    }

    /// Syncs the directories to the disk, so that a loss of power loses nothing that was replaced.
    pub(super) fn sync(&self) -> Result<(), Error> {
        for dir in [self.0.join(OWN_DIR), self.0.to_owned()] {
            let synced = File::open(&dir).and_then(|dir| dir.sync_all());
            synced.map_err(failed("sync", &dir))?;
        }
        Ok(())
    }

    /// Removes podbond's own directory if nothing is kept in it.
    pub(super) fn remove_empty(&self) {
        let _ = fs::remove_dir(self.0.join(OWN_DIR));
    }
}

/// Copies this executable.
fn copy(to: &Path) -> Result<(), Error> {
    remove(to)?;
    let written = File::open(OWN).and_then(|mut own| {
        let mut options = OpenOptions::new();
        let mut copy = options.write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut own, &mut copy)?;
        // Past the umask.
        copy.set_permissions(Permissions::from_mode(observe::MODE))?;
        copy.sync_all()
    });
    // Half a copy shall not stay: the disk may be full.
    written.inspect_err(|_| drop(fs::remove_file(to))).map_err(failed("write", to))
}

/// Removes a file; success where there is none.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(failed("remove", path)),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::File { action, path, source }
}
