//! The directory of records: reading, writing and locking them, and queries over all of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::{Attachment, ContainerId};
use podbond_names::PciAddress;
use podbond_state::{
    Lock, abandoned, create, names, read, remove, unfinished, unfinished_of, writable, write,
};
use serde::{Deserialize, Serialize};

use crate::record::VERSION;
use crate::{Error, Record, State};

/// How long to wait for another operation on the same attachment: an IPAM plugin may ask a server.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// The records of the node's attachments.
#[derive(Debug, Clone)]
pub struct Records {
    /// For attachments with a lease, which outlives the kernel.
    persistent: PathBuf,
    /// For all others: a restart of the node removes them, as it does their links.
    volatile: PathBuf,
    locks: PathBuf,
}

/// What is stored of an attachment.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// There is no record.
    Missing,
    /// A record.
    Whole(Box<Record>),
    /// A file that is not a record: it is treated as missing.
    Unreadable(Unreadable),
}

/// A file in a record's place that is not a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why not, as the end of a sentence that begins with the file.
    pub problem: String,
    /// The attachment that the file's name names.
    pub attachment: Option<Attachment>,
}

#[derive(Serialize)]
struct Written<'r> {
    version: u32,
    #[serde(flatten)]
    record: &'r Record,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Default for Records {
    /// Returns the records of the node: in `/var/lib/podbond` and `/run/podbond`.
    fn default() -> Self {
        Self::new(Path::new(podbond_state::DIR), Path::new("/run/podbond"))
    }
}

impl Records {
    /// Returns the records below a directory that outlives the kernel and one that does not. Neither
    /// need exist.
    pub fn new(persistent: &Path, volatile: &Path) -> Self {
        Self {
            persistent: persistent.join("attachments"),
            volatile: volatile.join("attachments"),
            locks: volatile.join("locks"),
        }
    }

    /// Locks an attachment, waiting until no other process has it locked.
    pub fn lock(&self, attachment: &Attachment) -> Result<Lock, Error> {
        Ok(Lock::take_passing(&self.locks.join(file_name(attachment)), LOCK_TIMEOUT)?)
    }

    /// Returns what is recorded of an attachment.
    pub fn read(&self, attachment: &Attachment) -> Result<Stored, Error> {
        let name = file_name(attachment);
        match load(&self.persistent.join(&name))? {
            Stored::Missing => load(&self.volatile.join(&name)),
            stored => Ok(stored),
        }
    }

    /// Fails where the lease of an attachment is pending after its DEL.
    pub fn expect_lease_released(&self, attachment: &Attachment) -> Result<(), Error> {
        let Stored::Whole(record) = self.read(attachment)? else { return Ok(()) };
        match &record.ipam_problem {
            Some(problem) => {
                let (attachment, problem) = (record.to_string(), problem.clone());
                Err(Error::LeasePending { attachment, problem })
            }
            None => Ok(()),
        }
    }

    /// Writes a record atomically, in the place of an earlier one of the attachment.
    pub fn write(&self, record: &Record) -> Result<(), Error> {
        Ok(write(&self.path(record), &to_bytes(record)?)?)
    }

    /// Writes the first record of an attachment: of several processes one succeeds, the others get
    /// `EEXIST`.
    pub fn create(&self, record: &Record) -> Result<(), Error> {
        Ok(create(&self.path(record), &to_bytes(record)?)?)
    }

    /// Ends the part of a plugin whose links are restored. The message of an IPAM plugin that did not take
    /// back the lease stays recorded, for a later DEL or GC; without one the record is removed, but for
    /// that of a chain, which [`Records::end_chain`] removes.
    pub fn end_plugin(&self, record: Record, ipam_problem: Option<&str>) -> Result<(), Error> {
        let mut record = record;
        match ipam_problem {
            Some(problem) => record.set_ipam_pending(problem),
            None if record.chain.is_none() => return self.remove(&record.attachment()),
            None if record.ipam_problem.is_none() => return Ok(()),
            None => record.ipam_problem = None,
        }
        self.write(&record)
    }

    /// Ends an attachment of a chain all of whose plugins are undone: the record is removed, or keeps the
    /// pending lease alone.
    pub fn end_chain(&self, attachment: &Attachment) -> Result<(), Error> {
        match self.read(attachment)? {
            Stored::Whole(mut record) if record.ipam_problem.is_some() => {
                (record.chain, record.link, record.devices) = (None, None, Vec::new());
                record.state = State::IpamPending;
                self.write(&record)
            }
            _ => self.remove(attachment),
        }
    }

    /// Removes the record of an attachment; success where there is none.
    pub fn remove(&self, attachment: &Attachment) -> Result<(), Error> {
        let name = file_name(attachment);
        remove(&self.volatile.join(&name))?;
        Ok(remove(&self.persistent.join(&name))?)
    }

    /// Returns all records in order of their keys, and the files that are not records.
    pub fn all(&self) -> Result<(Vec<Record>, Vec<Unreadable>), Error> {
        self.select(|_| true, |_| true)
    }

    /// Returns the records of a container in the order of its chain, and the files that are not records.
    pub fn of_container(
        &self,
        container_id: &ContainerId,
    ) -> Result<(Vec<Record>, Vec<Unreadable>), Error> {
        let prefix = format!("{container_id}:");
        let (mut records, unreadable) = self.select(|name| name.starts_with(&prefix), |_| true)?;
        records.sort_by_key(|record| record.chain.as_ref().map_or(usize::MAX, |it| it.position));
        Ok((records, unreadable))
    }

    /// Returns the records that hold a PCI function, whatever the state of their namespaces.
    pub fn holding(&self, device: PciAddress) -> Result<Vec<Record>, Error> {
        // Every ADD asks this: only files with the address in them are parsed.
        let address = device.to_string().into_bytes();
        let names_it = |bytes: &[u8]| bytes.windows(address.len()).any(|part| part == address);
        let (mut records, _) = self.select(|_| true, names_it)?;
        records.retain(|record| record.holds(device));
        Ok(records)
    }

    /// Tries whether records can be written.
    pub fn writable(&self) -> Result<(), Error> {
        writable(&self.persistent).map_err(Error::Unwritable)
    }

    /// Removes the temporary files of killed processes.
    pub fn remove_temporary_files(&self) -> Result<(), Error> {
        for dir in [&self.persistent, &self.volatile] {
            for path in abandoned(dir)? {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the temporary files of a container's records. None of them may be being written.
    pub fn remove_temporary_files_of(&self, container_id: &ContainerId) -> Result<(), Error> {
        let prefix = format!("{container_id}:");
        for dir in [&self.persistent, &self.volatile] {
            for path in unfinished(dir)? {
                let name = path.file_name().and_then(|name| unfinished_of(name.to_str()?));
                if name.is_some_and(|name| name.starts_with(&prefix)) {
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the file of a record.
    pub fn path(&self, record: &Record) -> PathBuf {
        let dir = if record.has_ipam() { &self.persistent } else { &self.volatile };
        dir.join(file_name(&record.attachment()))
    }

    fn select(
        &self,
        is_wanted_name: impl Fn(&str) -> bool,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<(Vec<Record>, Vec<Unreadable>), Error> {
        let (mut records, mut unreadable): (Vec<Record>, Vec<Unreadable>) = Default::default();
        for dir in [&self.persistent, &self.volatile] {
            for name in names(dir)?.into_iter().filter(|name| is_wanted_name(name)) {
                match load_if(&dir.join(name), &is_wanted)? {
                    Stored::Missing => {}
                    Stored::Whole(record) => records.push(*record),
                    Stored::Unreadable(file) => unreadable.push(file),
                }
            }
        }
        records.sort_by(|a, b| (&a.container_id, &a.ifname).cmp(&(&b.container_id, &b.ifname)));
        Ok((records, unreadable))
    }
}

/// Returns a lock for DEL. One that cannot be made, as on a full disk, must not keep a pod from being
/// deleted.
pub fn if_possible(lock: Result<Lock, Error>) -> Result<Option<Lock>, Error> {
    match lock {
        Err(error) if !error.is_locked() => Ok(None),
        lock => lock.map(Some),
    }
}

/// Returns the name of a record's file. Both parts are validated names without `/`, so that the path stays in
/// its directory, and without `:`, so that no two attachments have one name.
fn file_name(attachment: &Attachment) -> String {
    format!("{}:{}", attachment.container_id, attachment.ifname)
}

/// Returns the attachment that a file's name names.
fn attachment_of(path: &Path) -> Option<Attachment> {
    let (container, ifname) = path.file_name()?.to_str()?.rsplit_once(':')?;
    let container_id = ContainerId::try_from(container.to_owned()).ok()?;
    Some(Attachment { container_id, ifname: ifname.parse().ok()? })
}

/// Returns a record as it is written to its file.
pub(crate) fn to_bytes(record: &Record) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(&Written { version: VERSION, record })
        .map_err(|error| Error::Unwritten(error.to_string()))
}

fn load(path: &Path) -> Result<Stored, Error> {
    load_if(path, &|_| true)
}

/// Reads a record if its bytes are wanted; else it counts as missing.
fn load_if(path: &Path, is_wanted: &dyn Fn(&[u8]) -> bool) -> Result<Stored, Error> {
    let parsed = match read(path) {
        Err(podbond_state::Error::TooLarge { max, .. }) => {
            Err(format!("has more than {max} bytes"))
        }
        Ok(None) => return Ok(Stored::Missing),
        Ok(Some(bytes)) if !is_wanted(&bytes) => return Ok(Stored::Missing),
        Ok(Some(bytes)) => parse(&bytes),
        Err(error) => return Err(error.into()),
    };
    let attachment = attachment_of(path);
    let in_its_file = parsed.and_then(|record| match &attachment {
        Some(named) if *named == record.attachment() => Ok(record),
        _ => Err(format!("is that of {record}")),
    });
    Ok(match in_its_file {
        Ok(record) => Stored::Whole(Box::new(record)),
        Err(problem) => {
            Stored::Unreadable(Unreadable { path: path.to_owned(), problem, attachment })
        }
    })
}

/// Returns the record in a file. The error is the end of a sentence that begins with the file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Record, String> {
    match serde_json::from_slice(bytes) {
        Ok(Version { version: VERSION }) => {}
        Ok(Version { version }) => {
            return Err(format!(
                "has version {version}, and this podbond reads {VERSION} alone: install the podbond that \
                 wrote it"
            ));
        }
        Err(error) => return Err(format!("does not parse ({error})")),
    }
    serde_json::from_slice(bytes).map_err(|error| format!("is wrong ({error})"))
}

#[cfg(test)]
mod tests;
