//! The guest's userland: Debian packages, unpacked and packed again as an initramfs.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use crate::{Error, Progress, apt, cache::Cache, cpio::Archive, error::FileContext};

/// The same tools whichever kernel runs.
const SUITE: &str = "trixie";

/// What a person or a test may type in the lab. Libraries follow from these.
const PACKAGES: [&str; 24] = [
    "base-files",
    "bash",
    "containernetworking-plugins",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "ethtool",
    "findutils",
    "grep",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "jq",
    "kmod",
    "less",
    "mawk",
    "mount",
    "ncurses-base",
    "procps",
    "sed",
    "strace",
    "tcpdump",
    "util-linux",
];

/// Documentation, translations and what serves only to install packages: half of the size, and
/// the kernel unpacks an initramfs at each boot.
const LEFT_OUT: [&str; 13] = [
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/lib/x86_64-linux-gnu/security",
    "usr/lib/x86_64-linux-gnu/xtables",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/lib/dpkg",
];

/// The unpacked packages and the archive made of them.
#[derive(Debug, Clone)]
pub struct Userland {
    dir: PathBuf,
}

impl Userland {
    /// Fetches the packages, unless they are in the cache.
    pub fn prepare(cache: &Cache, progress: &Progress) -> Result<Self, Error> {
        let recipe = (SUITE, PACKAGES, LEFT_OUT);
        let dir = cache.entry("userland", &recipe, progress, |dir| {
            let root = dir.join("root");
            apt::unpack(SUITE, &PACKAGES, &[""], &root, progress)?;
            let path = dir.join("userland.cpio");
            pack(&root, &path).file("write", path)
        })?;
        Ok(Self { dir })
    }

    /// The initramfs with everything that is the same in each run.
    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.join("userland.cpio")
    }

    /// Returns the directory that the packages were unpacked into.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }
}

fn pack(root: &Path, archive: &Path) -> io::Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(archive)?));
    archive.tree(root, &|path| !LEFT_OUT.iter().any(|left_out| path == Path::new(left_out)))?;
    archive.finish()?.into_inner()?;
    Ok(())
}
