//! valgrind, to count instructions with: Debian's, unpacked into the cache. So nothing is installed,
//! and it is the same on every machine: what it shows a program of the processor too.

use std::path::PathBuf;

use crate::{Error, Progress, apt::Apt, cache::Cache, error::FileContext};

/// An old one: it needs nothing but the machine's C library, which may be newer, never older.
const SUITE: &str = "bookworm";
const PACKAGE: &str = "valgrind";

/// How to start valgrind.
#[derive(Debug, Clone)]
pub struct Valgrind {
    root: PathBuf,
}

impl Valgrind {
    /// Fetches it (15 MB) unless it is in the cache.
    pub fn prepare(progress: &Progress) -> Result<Self, Error> {
        let dir = Cache::open()?.entry(PACKAGE, &(SUITE, PACKAGE), progress, |dir| {
            let apt = tempfile::tempdir_in(dir).file("make a directory in", dir)?;
            let apt = Apt::open(apt.path(), SUITE, progress)?;
            let mut packages = apt.closure(&[PACKAGE])?;
            packages.retain(|package| package.name == PACKAGE);
            if packages.is_empty() {
                return Err(Error::NoPackage { suite: SUITE, wanted: PACKAGE.to_owned() });
            }
            apt.unpack(&packages, &dir.join("root"), PACKAGE, progress)
        })?;
        Ok(Self { root: dir.join("root") })
    }

    /// The executable itself; Debian's `valgrind` is a script that sets variables for C++.
    pub fn program(&self) -> PathBuf {
        self.root.join("usr/bin/valgrind.bin")
    }

    /// What the variable `VALGRIND_LIB` must hold: the directory of its tools.
    pub fn tools(&self) -> PathBuf {
        self.root.join("usr/libexec/valgrind")
    }
}
