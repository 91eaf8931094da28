//! What strace has seen of an operation.

use std::collections::BTreeMap;
use std::path::Path;

use podbond_bench::Kind;

use crate::error::Error;
use crate::process::Process;

/// What a process asked the kernel for, its descendants included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// System calls, the execve of the process among them.
    pub(crate) all: u64,
    /// Those that sent something through a netlink socket.
    pub(crate) netlink: u64,
    /// What they were made for.
    pub(crate) kinds: BTreeMap<Kind, u64>,
}

/// Runs a process once more, under strace, and counts.
pub(crate) fn count(process: &Process, strace: &Path) -> Result<Calls, Error> {
    let file = tempfile::NamedTempFile::new()?;
    let words = [strace.as_os_str(), "-f".as_ref(), "-qq".as_ref(), "-yy".as_ref(), "-o".as_ref()];
    let words = words.into_iter().chain([file.path().as_os_str(), "--".as_ref()]);
    process.under(words).run()?;
    let text = std::fs::read(file.path()).map_err(Error::file("read", file.path()))?;
    Ok(Calls::of(&String::from_utf8_lossy(&text)))
}

impl Calls {
    fn of(text: &str) -> Self {
        let mut calls = Self::default();
        for call in text.lines().filter_map(call) {
            let name = call.split('(').next().unwrap_or_default();
            calls.all += 1;
            calls.netlink += u64::from(is_to_netlink(call));
            *calls.kinds.entry(Kind::of(name)).or_default() += 1;
        }
        calls
    }

    /// Adds those of another process.
    pub(crate) fn add(&mut self, more: &Self) {
        self.all += more.all;
        self.netlink += more.netlink;
        for (kind, count) in &more.kinds {
            *self.kinds.entry(*kind).or_default() += count;
        }
    }
}

/// The call that a line begins, without the process's number; none where it ends one that was
/// interrupted by another process's, or tells of a signal or an exit.
fn call(line: &str) -> Option<&str> {
    let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    call.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(call)
}

fn is_to_netlink(call: &str) -> bool {
    ["sendto(", "sendmsg(", "sendmmsg("].iter().any(|name| call.starts_with(name))
        && call.split(',').next().is_some_and(|socket| socket.contains("<NETLINK:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_once_whatever_interrupts_them() {
        let text = "\
12 execve(\"/bin/ip\", [\"ip\"], 0x7ffc /* 0 vars */) = 0
12 sendto(3<NETLINK:[ROUTE:12]>, [{nlmsg_len=40}], 40, 0, NULL, 0) = 40
12 wait4(-1,  <unfinished ...>
13 sendmsg(4<NETLINK:[ROUTE:13]>, {msg_name=NULL}, 0) = 32
13 sendto(5<UNIX-STREAM:[1->2]>, \"<NETLINK:\", 3, 0, NULL, 0) = 3
13 +++ exited with 0 +++
12 <... wait4 resumed>NULL, 0, NULL) = 13
12 --- SIGCHLD {si_signo=SIGCHLD} ---
";
        let calls = Calls::of(text);
        assert_eq!((calls.all, calls.netlink), (5, 2));
        assert_eq!(calls.kinds, [(Kind::Network, 3), (Kind::Process, 2)].into());
    }
}
