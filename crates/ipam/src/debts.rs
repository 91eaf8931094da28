//! What IPAM plugins owe: leases that a DEL could not give back.
//!
//! A DEL that fails is a pod that stays in Terminating, and everything else of it is released by
//! then. So it succeeds, and the lease is noted here until it is given back.

mod torn;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use podbond_cni::{Code, Delegates, Failure, Request};
use podbond_state::Lock;
use serde::{Deserialize, Serialize};

/// The version of the form of the files that this code writes and reads.
const VERSION: u32 = 1;

/// How long a debt is waited for that another process is paying: an IPAM plugin may ask a server.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// How long one who has paid leaves the lock to others, before it pays the next debt: those who wait for
/// it look every 16 ms at least.
const BREATH: Duration = Duration::from_millis(24);

/// How much of a plugin's words is kept, in bytes.
const MAX_PROBLEM: usize = 4096;

/// The debts of the node: a file `<network>/<containerID>:<ifname>` for each attachment.
#[derive(Debug, Clone)]
pub struct Debts {
    dir: PathBuf,
}

/// A lease that its IPAM plugin has not taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Debt {
    /// The DEL that is due, with the configuration that the IPAM plugin needs.
    pub request: Request,
    /// What was wrong when it was last tried, in one line.
    pub problem: String,
    /// When it was first tried, in s since 1970.
    pub since: u64,
    /// When it was last tried, in s since 1970.
    pub tried: u64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    #[serde(flatten)]
    debt: Debt,
}

/// Why a debt cannot be noted, read or paid.
#[derive(Debug, thiserror::Error)]
pub enum DebtError {
    /// Its file.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// What is to be noted cannot be written as JSON, as a path that is not UTF-8.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// It tells nothing: it was torn, or another version of podbond wrote it.
    #[error(
        "{} tells of a lease that is owed, but not of which: try again, and if that does not help, \
         see that its IPAM plugin has it back, and remove the file",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// The IPAM plugin still refuses.
    #[error(
        "IPAM plugin {:?} still owes the lease of {} of container {}: {failure}; it is noted in {}",
        .debt.ipam(), .debt.request.ifname, .debt.request.container_id, path.display()
    )]
    Unpaid {
        /// What is owed.
        debt: Box<Debt>,
        /// The plugin's words.
        failure: Failure,
        /// The debt's file.
        path: PathBuf,
    },
}

impl Debt {
    /// The IPAM plugin.
    pub fn ipam(&self) -> &str {
        self.request.config.ipam.as_deref().unwrap_or_default()
    }
}

impl Default for Debts {
    /// Where a node keeps them.
    fn default() -> Self {
        Self::new(Path::new(podbond_state::DIR).join("debts"))
    }
}

impl Debts {
    /// With their files in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// All debts of the node, the one that was tried first at the front. A file that cannot be read
    /// as a debt is left out: later operations of its network mend it.
    pub fn list(&self) -> Result<Vec<Debt>, DebtError> {
        let mut debts = Vec::new();
        for network in podbond_state::names(&self.dir)? {
            debts.extend(self.in_dir(&self.dir.join(network))?);
        }
        debts.sort_by_key(|debt| debt.tried);
        Ok(debts)
    }

    /// The same for one network.
    pub fn of_network(&self, network: &str) -> Result<Vec<Debt>, DebtError> {
        let mut debts = self.in_dir(&self.dir.join(network))?;
        debts.sort_by_key(|debt| debt.tried);
        Ok(debts)
    }

    /// The debt of a request's attachment.
    pub fn of(&self, request: &Request) -> Result<Option<Debt>, DebtError> {
        self.read(&self.path(request))
    }

    /// The same, before its attachment is made anew: a note that tells nothing now, but may later, is
    /// an error. Its payment would take the new lease.
    pub(crate) fn before_add(&self, request: &Request) -> Result<Option<Debt>, DebtError> {
        let path = self.path(request);
        match content(&path)? {
            Some(Content::Torn | Content::Foreign) => Err(DebtError::Unreadable { path }),
            None | Some(Content::Whole(_)) => self.read(&path),
        }
    }

    /// Asks the IPAM plugin of a debt once more to take its lease back; when it does, the debt is
    /// forgotten. It is looked for in the directories of `path` (`CNI_PATH`), and then where it was
    /// looked for before. Success also when somebody else has paid it meanwhile.
    pub fn pay(
        &self,
        debt: &Debt,
        path: &[PathBuf],
        delegates: &Delegates<'_>,
    ) -> Result<(), DebtError> {
        let paid = self.pay_within(LOCK_PATIENCE, debt, path, delegates);
        thread::sleep(BREATH);
        paid
    }

    /// The same, waiting that long for another process that is paying.
    pub(crate) fn pay_within(
        &self,
        patience: Duration,
        debt: &Debt,
        dirs: &[PathBuf],
        delegates: &Delegates<'_>,
    ) -> Result<(), DebtError> {
        // Not without the lock: the attachment may be made anew once its debt is paid, and must not
        // lose its new lease to a second payment.
        let _lock = self.lock(patience)?;
        let path = self.path(&debt.request);
        let Some(mut debt) = self.read(&path)? else { return Ok(()) };
        let dirs = dirs.iter().chain(&debt.request.path).cloned().collect();
        match delegates.ipam_del(&Request { path: dirs, ..debt.request.clone() }) {
            Ok(()) => {
                podbond_state::remove(&path)?;
                self.tidy(&debt.request)
            }
            Err(failure) => {
                debt.problem = one_line(&failure);
                debt.tried = now();
                // Nothing but the reason would be old.
                let _ = write(&path, &debt);
                Err(DebtError::Unpaid { debt: Box::new(debt), failure, path })
            }
        }
    }

    /// Notes that the IPAM plugin of a request has not taken its lease back; gives the file. An
    /// earlier note is kept, with its time: it has the configuration that is closer to the ADD's.
    pub(crate) fn note(&self, request: &Request, failure: &Failure) -> Result<PathBuf, DebtError> {
        let _lock = self.lock(LOCK_PATIENCE)?;
        let (path, now) = (self.path(request), now());
        let earlier = self.read(&path)?;
        let new = || {
            let mut request = request.clone();
            // The result of an ADD may be large, and a DEL does without it.
            request.config.set_prev_result(None);
            Debt { request, problem: String::new(), since: now, tried: now }
        };
        let debt = earlier.unwrap_or_else(new);
        write(&path, &Debt { problem: one_line(failure), tried: now, ..debt })?;
        Ok(path)
    }

    /// Removes the directory of a network without debts.
    fn tidy(&self, request: &Request) -> Result<(), DebtError> {
        podbond_state::sweep(&self.dir.join(&request.config.name))?;
        Ok(podbond_state::sweep(&self.dir)?)
    }

    fn in_dir(&self, dir: &Path) -> Result<Vec<Debt>, DebtError> {
        let mut debts = Vec::new();
        for name in podbond_state::names(dir)? {
            let path = dir.join(name);
            debts.extend(self.read(&path)?);
        }
        Ok(debts)
    }

    /// What is there and whole, of a version that is known, and in its own file: a copy under
    /// another name would never be forgotten.
    fn read(&self, path: &Path) -> Result<Option<Debt>, DebtError> {
        Ok(match content(path)? {
            Some(Content::Whole(debt)) => Some(*debt).filter(|it| self.path(&it.request) == path),
            _ => None,
        })
    }

    fn lock(&self, patience: Duration) -> Result<Lock, podbond_state::Error> {
        Lock::take(&self.dir.with_extension("lock"), patience)
    }

    /// All parts are validated names without `/`, so that the path stays in its directory, and the
    /// last two are without `:`, so that no two attachments share it.
    fn path(&self, request: &Request) -> PathBuf {
        let file = format!("{}:{}", request.container_id, request.ifname);
        self.dir.join(&request.config.name).join(file)
    }
}

/// What is in a debt's place.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    Whole(Box<Debt>),
    /// Somebody else's form.
    Foreign,
    Torn,
}

fn content(path: &Path) -> Result<Option<Content>, DebtError> {
    match podbond_state::read(path) {
        Err(podbond_state::Error::TooLarge { .. }) => Ok(Some(Content::Torn)),
        bytes => Ok(bytes?.as_deref().map(parse)),
    }
}

fn write(path: &Path, debt: &Debt) -> Result<(), DebtError> {
    let bytes = to_bytes(debt).map_err(|error| DebtError::Unwritten {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    Ok(podbond_state::write(path, &bytes)?)
}

pub(crate) fn parse(bytes: &[u8]) -> Content {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let version = serde_json::from_slice::<Version>(bytes).ok().map(|of| of.version);
    match (version, serde_json::from_slice::<Record>(bytes)) {
        (Some(VERSION), Ok(record)) => Content::Whole(Box::new(record.debt)),
        (Some(version), _) if version != VERSION => Content::Foreign,
        _ => Content::Torn,
    }
}

pub(crate) fn to_bytes(debt: &Debt) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Record { version: VERSION, debt: debt.clone() })
}

/// What a plugin says may have lines of its own, and be as long as it likes: a debt must be noted
/// whatever it says.
pub(crate) fn one_line(failure: &Failure) -> String {
    let text = failure.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = lines.collect::<Vec<_>>().join(" / ");
    if line.len() > MAX_PROBLEM {
        line.truncate(line.floor_char_boundary(MAX_PROBLEM));
        line.push('\u{2026}');
    }
    line
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl From<DebtError> for Failure {
    fn from(error: DebtError) -> Self {
        let code = match &error {
            DebtError::State(podbond_state::Error::Locked { .. })
            | DebtError::Unreadable { .. } => Code::TryAgain,
            DebtError::State(_) | DebtError::Unwritten { .. } => Code::Io,
            DebtError::Unpaid { failure, .. } => failure.code,
        };
        Self::new(code, error)
    }
}

#[cfg(test)]
mod tests;
