//! One process: started, waited for, and what it cost.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use wait4::{ResUse, Wait4};

use crate::error::Error;

/// A process to start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    input: Option<PathBuf>,
    netns: Option<PathBuf>,
}

/// What it cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// From before it was started until it was waited for.
    pub(crate) wall: Duration,
    /// User and system time, its descendants' included.
    pub(crate) cpu: Duration,
    /// In kB. Never less than what this program has itself, whose memory the process shares until
    /// it becomes another program.
    pub(crate) rss_kb: u64,
}

impl Process {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    pub(crate) fn arguments<T: Into<OsString>>(
        mut self,
        words: impl IntoIterator<Item = T>,
    ) -> Self {
        self.arguments.extend(words.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of an environment that is otherwise empty.
    pub(crate) fn variable(mut self, key: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((key, value.into()));
        self
    }

    /// What it reads; nothing, if not said.
    pub(crate) fn input(mut self, file: impl Into<PathBuf>) -> Self {
        self.input = Some(file.into());
        self
    }

    /// The network namespace in which it begins.
    pub(crate) fn in_netns(mut self, netns: impl Into<PathBuf>) -> Self {
        self.netns = Some(netns.into());
        self
    }

    /// The same process as another program runs it, which gets its command line.
    pub(crate) fn under<T: Into<OsString>>(&self, words: impl IntoIterator<Item = T>) -> Self {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().unwrap_or_default().into();
        let own = std::iter::once(self.program.clone().into_os_string());
        let arguments = words.chain(own).chain(self.arguments.iter().cloned()).collect();
        Self { program, arguments, ..self.clone() }
    }

    /// Runs it to its end; it must succeed.
    pub(crate) fn run(&self) -> Result<Cost, Error> {
        self.run_and_read().map(|(cost, _)| cost)
    }

    /// The same, with what it printed.
    pub(crate) fn run_and_read(&self) -> Result<(Cost, String), Error> {
        let Some(netns) = &self.netns else { return self.run_here() };
        // A thread of its own, which ends in the namespace that it entered.
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(netns)?;
                self.run_here()
            });
            inside.join().unwrap_or_else(|_| Err(self.refused("its thread panicked".to_owned())))
        })
    }

    fn run_here(&self) -> Result<(Cost, String), Error> {
        let start = |source| Error::Start { program: self.program.clone(), source };
        let input = match &self.input {
            Some(path) => Stdio::from(File::open(path).map_err(Error::file("read", path))?),
            None => Stdio::null(),
        };
        // Not a pipe: it would have to be read while the clock runs.
        let (printed, said) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        command.stdin(input).stdout(printed.try_clone()?).stderr(said.try_clone()?);
        let begun = Instant::now();
        let child = command.spawn().map_err(start)?;
        let ResUse { status, rusage } = child.wait4().map_err(start)?;
        let wall = begun.elapsed();
        let printed = read_back(printed)?;
        if !status.success() {
            let why = format!("{status}: {printed}{}", read_back(said)?);
            return Err(self.refused(why));
        }
        let cpu = rusage.utime + rusage.stime;
        Ok((Cost { wall, cpu, rss_kb: rusage.maxrss / 1024 }, printed))
    }

    fn refused(&self, why: String) -> Error {
        let words = std::iter::once(self.program.as_os_str())
            .chain(self.arguments.iter().map(OsString::as_os_str));
        let line: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        Error::Refused { what: line.join(" "), why }
    }
}

/// What was written to a file without a name.
fn read_back(mut file: File) -> Result<String, Error> {
    use std::io::{Read, Seek};
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn enter(netns: &Path) -> Result<(), Error> {
    let file = fs::File::open(netns).map_err(Error::file("open", netns))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| Error::file("enter", netns)(errno.into()))
}
