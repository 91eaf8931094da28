//! valgrind, to count instructions with: Debian's, unpacked into the cache. So nothing is installed,
//! and it is the same on every machine: what it shows a program of the processor too.

use std::path::PathBuf;

use crate::{Error, Progress, apt, cache::Cache};

/// An old one: it needs nothing but the machine's C library, which may be newer, never older.
const SUITE: &str = "bookworm";
const PACKAGE: &str = "valgrind";

/// How to start valgrind.
#[derive(Debug, Clone)]
pub struct Valgrind {
    root: PathBuf,
}

impl Valgrind {
    /// Fetches it, unless it is in the cache.
    pub fn prepare(progress: &Progress) -> Result<Self, Error> {
        let dir = Cache::open()?.entry(PACKAGE, &(SUITE, PACKAGE), progress, |dir| {
            apt::unpack(SUITE, &[PACKAGE], &["valgrind_"], &dir.join("root"), progress)
        })?;
        Ok(Self { root: dir.join("root") })
    }

    /// Returns the executable itself; Debian's `valgrind` is a script that sets variables for C++.
    pub fn program(&self) -> PathBuf {
        self.root.join("usr/bin/valgrind.bin")
    }

    /// Returns what the variable `VALGRIND_LIB` must hold: the directory of its tools.
    pub fn tools(&self) -> PathBuf {
        self.root.join("usr/libexec/valgrind")
    }
}
