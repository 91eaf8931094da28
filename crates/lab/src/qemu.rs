//! A QEMU with the `igb` device: the machine's own, or Debian's, unpacked into the cache.
//!
//! Debian 12 has an older QEMU in its main suite, so what is fetched is Debian 13's, run with its
//! own loader and libraries: nothing is installed, no root rights are needed, and the lab has the
//! same virtual hardware on every machine.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Progress, apt::Apt, cache::Cache, error::FileContext};

const SUITE: &str = "trixie";
const PACKAGE: &str = "qemu-system-x86";
const PROGRAM: &str = "qemu-system-x86_64";

/// How to start QEMU.
#[derive(Debug, Clone)]
pub(crate) struct Qemu {
    program: PathBuf,
    /// The directory into which the packages were unpacked; none: the machine's own QEMU.
    root: Option<PathBuf>,
}

impl Qemu {
    /// The one in `PODBOND_LAB_QEMU`, or the machine's own, or Debian's in the cache.
    pub(crate) fn prepare(cache: &Cache, progress: &Progress) -> Result<Self, Error> {
        if let Some(path) = env::var_os("PODBOND_LAB_QEMU").map(PathBuf::from) {
            let qemu = Self { program: path.clone(), root: None };
            return if qemu.has_igb() { Ok(qemu) } else { Err(Error::NoIgb { path }) };
        }
        let own = Self { program: PROGRAM.into(), root: None };
        if own.has_igb() {
            return Ok(own);
        }
        let dir = cache.entry("qemu", &(SUITE, PACKAGE), progress, |dir| {
            let apt = tempfile::tempdir_in(dir).file("make a directory in", dir)?;
            let apt = Apt::open(apt.path(), SUITE, progress)?;
            apt.unpack(&apt.closure(&[PACKAGE])?, &dir.join("root"), "QEMU", progress)
        })?;
        let root = dir.join("root");
        let qemu = Self { program: root.join("usr/bin").join(PROGRAM), root: Some(root) };
        if qemu.has_igb() { Ok(qemu) } else { Err(Error::NoIgb { path: qemu.program }) }
    }

    /// A command that becomes QEMU, tied to the calling thread: when that ends, QEMU is killed.
    pub(crate) fn command(&self) -> Command {
        // setpriv (util-linux) sets the death signal and becomes the program; doing it ourselves
        // between fork and exec would take unsafe code.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        self.name_program(|arg| {
            command.arg(arg);
        });
        if let Some(root) = &self.root {
            command.env("QEMU_MODULE_DIR", root.join("usr/lib/x86_64-linux-gnu/qemu"));
            for firmware in ["usr/share/qemu", "usr/share/seabios"] {
                command.arg("-L").arg(root.join(firmware));
            }
        }
        command
    }

    /// Which QEMU it is, as a key for what was learnt about it.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    fn name_program(&self, mut arg: impl FnMut(&Path)) {
        if let Some(root) = &self.root {
            arg(&root.join("usr/lib64/ld-linux-x86-64.so.2"));
            arg(Path::new("--inhibit-cache"));
            arg(Path::new("--library-path"));
            arg(&root.join("usr/lib/x86_64-linux-gnu"));
        }
        arg(&self.program);
    }

    fn has_igb(&self) -> bool {
        let mut words = Vec::new();
        self.name_program(|word| words.push(word.to_owned()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["-device", "help"]).stdin(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success());
        output.is_some_and(|out| String::from_utf8_lossy(&out.stdout).contains("name \"igb\""))
    }
}
