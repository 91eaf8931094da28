//! The agent as a process of this machine: when it is ready, what memory it holds, how long it computes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::error::Error;

/// The agent makes it when it is ready.
const WAS_READY: &str = "/run/podbond/agent-was-ready";

/// How long it may take until then.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Ticks of the clock by which the kernel counts a process' time, in a second: the same on all machines.
const TICKS: f64 = 100.0;

/// Where what the agent needs is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) conf_dir: PathBuf,
    pub(crate) bin_dir: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) podbond: PathBuf,
    pub(crate) audit: PathBuf,
    pub(crate) user: String,
}

/// An agent that runs.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
    /// From its start until it was ready.
    pub(crate) ready_after: Duration,
}

/// What a process holds in memory, in MB of 1,000,000 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// The part of it that is no file's.
    pub(crate) anonymous: f64,
}

impl Agent {
    /// Starts the agent of a node and waits until it is ready.
    pub(crate) fn start(program: &Path, node: &str, place: &Place) -> Result<Self, Error> {
        if let Err(source) = fs::remove_file(WAS_READY)
            && source.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::file("remove", WAS_READY)(source));
        }
        let log = place.dir.join(format!("agent-{node}.log"));
        let file = fs::File::create(&log).map_err(Error::file("make", &log))?;
        let mut command = Command::new(program);
        command.args(["run", "--node-name", node, "--podbond"]).arg(&place.podbond);
        command.arg("--kubelet-dir").arg(place.dir.join("kubelet"));
        command.arg("--cni-conf-dir").arg(&place.conf_dir);
        command.arg("--cni-bin-dir").arg(&place.bin_dir);
        command.env("KUBECONFIG", &place.kubeconfig).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(file);
        let began = Instant::now();
        let child = command.spawn().map_err(Error::start("the agent"))?;
        let mut agent = Self { child, log, ready_after: Duration::ZERO };
        while !Path::new(WAS_READY).exists() {
            if began.elapsed() > READY_LIMIT || agent.child.try_wait().is_ok_and(|it| it.is_some())
            {
                let said = fs::read_to_string(&agent.log).unwrap_or_default();
                let what = format!("the agent of {node}, ready");
                return Err(Error::Late {
                    what,
                    seconds: began.elapsed().as_secs(),
                    said: format!(":\n{said}"),
                });
            }
            thread::sleep(Duration::from_millis(1));
        }
        agent.ready_after = began.elapsed();
        Ok(agent)
    }

    /// Returns what memory it holds.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        Ok(memory(&status))
    }

    /// Returns how long it has computed.
    pub(crate) fn computed(&self) -> Result<Duration, Error> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        Ok(computed(&stat))
    }
}

impl Drop for Agent {
    /// Ends it, as a node does that goes down.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn memory(status: &str) -> Memory {
    let megabytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        kilobytes.and_then(|number| number.parse::<f64>().ok()).unwrap_or_default() * 1024.0 / 1e6
    };
    Memory { resident: megabytes("VmRSS:"), anonymous: megabytes("RssAnon:") }
}

/// Returns the time that `/proc/PID/stat` tells, in user space and in the kernel.
fn computed(stat: &str) -> Duration {
    // The second field is a name, and may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_megabytes() {
        let status = "Name:\tpodbond-agent\nVmRSS:\t   10000 kB\nRssAnon:\t    2000 kB\n";
        assert_eq!(memory(status), Memory { resident: 10.24, anonymous: 2.048 });
    }

    #[test]
    fn time_in_user_space_and_kernel_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 9";
        assert_eq!(computed(stat), Duration::from_secs(2));
    }
}
