//! Starts a process, in a network namespace if asked to, and measures its wall time or its peak
//! memory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use wait4::Wait4;

use crate::error::Error;

/// The first argument that makes this program print the peak memory of the command that follows.
pub const PEAK_MEMORY: &str = "peak-memory-of";

/// A process to start.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Process {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    input: Option<PathBuf>,
    netns: Option<PathBuf>,
}

/// How a process ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its wall time.
    pub time: Duration,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Process {
    /// Returns a process without arguments, environment and input, in this one's namespace.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    /// Adds arguments.
    pub fn arguments<T: Into<OsString>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(words.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    pub fn variable(mut self, key: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((key, value.into()));
        self
    }

    /// Sets the file that it reads as standard input.
    pub fn input(mut self, file: impl Into<PathBuf>) -> Self {
        self.input = Some(file.into());
        self
    }

    /// Sets the network namespace in which it begins.
    pub fn in_netns(mut self, netns: impl Into<PathBuf>) -> Self {
        self.netns = Some(netns.into());
        self
    }

    /// Runs it to its end and returns its wall time; an exit status other than 0 is an error.
    pub fn run(&self) -> Result<Duration, Error> {
        self.run_and_read().map(|(time, _)| time)
    }

    /// Runs it once more and returns its largest resident set in kB.
    ///
    /// Between fork and exec a process has its parent's memory, and the kernel counts the peak of
    /// that as its own (`exec_mmap` keeps it). So it is started by a process that has hardly any:
    /// this program, before it does anything else.
    pub fn peak_kb(&self) -> Result<u64, Error> {
        let mut words = vec![PEAK_MEMORY.into(), self.program.clone().into_os_string()];
        words.extend(self.arguments.iter().cloned());
        let small = Self { program: std::env::current_exe()?, arguments: words, ..self.clone() };
        let (_, printed) = small.run_and_read()?;
        printed.trim().parse().map_err(|_| small.failed(printed))
    }

    fn run_and_read(&self) -> Result<(Duration, String), Error> {
        let Ended { status, time, stdout, stderr } = self.end()?;
        if status.success() {
            Ok((time, stdout))
        } else {
            Err(self.failed(format!("{status}: {stdout}{stderr}")))
        }
    }

    /// Runs it to its end, whatever its exit status is.
    pub fn end(&self) -> Result<Ended, Error> {
        let Some(netns) = &self.netns else { return self.end_here() };
        // In a thread of its own, which ends in the namespace that it entered.
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(netns)?;
                self.end_here()
            });
            inside.join().unwrap_or_else(|_| Err(self.failed("its thread panicked".to_owned())))
        })
    }

    fn end_here(&self) -> Result<Ended, Error> {
        let input = match &self.input {
            Some(path) => Stdio::from(File::open(path).map_err(Error::file("read", path))?),
            None => Stdio::null(),
        };
        // Not pipes: they would have to be read while the clock runs.
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        command.stdin(input).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let begun = Instant::now();
        let ended = command.spawn().and_then(|mut child| child.wait());
        let time = begun.elapsed();
        let status =
            ended.map_err(|source| Error::Start { program: self.program.clone(), source })?;
        Ok(Ended { status, time, stdout: read_back(stdout)?, stderr: read_back(stderr)? })
    }

    fn failed(&self, why: String) -> Error {
        let mut what = self.program.display().to_string();
        for word in &self.arguments {
            what.extend([" ", &word.to_string_lossy()]);
        }
        Error::Failed { what, why }
    }
}

/// Runs a command with this process's input and prints its largest resident set in kB.
pub fn print_peak_memory(mut command: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = command.next() else { return ExitCode::FAILURE };
    let mut process = Command::new(program);
    process.args(command).stdout(Stdio::null());
    match process.spawn().and_then(Wait4::wait4) {
        Ok(end) if end.status.success() => {
            println!("{}", end.rusage.maxrss / 1024);
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

/// Returns what was written to a file without a name.
fn read_back(mut file: File) -> Result<String, Error> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Moves this thread into a network namespace.
fn enter(netns: &Path) -> Result<(), Error> {
    let file = File::open(netns).map_err(Error::file("open", netns))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| Error::file("enter", netns)(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_process_has_no_time() {
        assert!(Process::new("/bin/true").run().is_ok());
        assert!(matches!(Process::new("/bin/false").run(), Err(Error::Failed { .. })));
    }

    #[test]
    fn peak_memory_of_failed_command_is_a_failure() {
        let run = |program: &str| {
            format!("{:?}", print_peak_memory([OsString::from(program)].into_iter()))
        };
        assert_eq!(run("/bin/true"), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(run("/bin/false"), format!("{:?}", ExitCode::FAILURE));
    }
}
