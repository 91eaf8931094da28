//! What a system call is made for.

use serde::{Deserialize, Serialize};

/// What a system call is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Speaking with the kernel's network: sockets and what goes through them.
    Network,
    /// Files and directories.
    Files,
    /// Memory of the process's own.
    Memory,
    /// Processes, threads, signals, namespaces, time.
    Process,
}

const FILES: [&str; 21] = [
    "access",
    "chmod",
    "close",
    "fchmod",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "fsync",
    "getdents64",
    "ioctl",
    "lseek",
    "lstat",
    "mkdir",
    "newfstatat",
    "open",
    "pread64",
    "read",
    "rmdir",
    "stat",
    "write",
];

/// Beginnings of names, for calls that have many forms.
const FILES_BEGIN: [&str; 7] =
    ["faccess", "link", "mkdirat", "open", "readlink", "rename", "unlink"];

const NETWORK: [&str; 10] = [
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "setsockopt",
];

const MEMORY: [&str; 6] = ["brk", "madvise", "mmap", "mprotect", "mremap", "munmap"];

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Network, Self::Files, Self::Memory, Self::Process];

    /// The kind of the call of this name.
    pub fn of(name: &str) -> Self {
        if NETWORK.contains(&name) || name.starts_with("socket") {
            Self::Network
        } else if FILES.contains(&name)
            || name.starts_with("statx")
            || FILES_BEGIN.iter().any(|begin| name.starts_with(begin))
        {
            Self::Files
        } else if MEMORY.contains(&name) {
            Self::Memory
        } else {
            Self::Process
        }
    }

    /// In a table's head.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Files => "files",
            Self::Memory => "memory",
            Self::Process => "process",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_known_by_their_names() {
        use Kind::{Files, Memory, Network, Process};
        let kinds =
            ["sendto", "socket", "openat", "renameat2", "mmap", "execve", "setns"].map(Kind::of);
        assert_eq!(kinds, [Network, Network, Files, Files, Memory, Process, Process]);
    }
}
