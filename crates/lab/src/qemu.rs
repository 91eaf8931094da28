//! A QEMU with the `igb` device: the machine's own if it is new enough, or else Debian's, unpacked
//! into the cache and run with its own loader and libraries. So nothing is installed, no root
//! rights are needed, and the lab has the same virtual hardware on every machine.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Progress, apt, cache::Cache};

const SUITE: &str = "trixie-backports";
const PACKAGE: &str = "qemu-system-x86";
const PROGRAM: &str = "qemu-system-x86_64";

/// `igb` came with 8.0. In 10.0 a processor under TCG was seen, seldom, to look into a memory map that
/// another one had just replaced (an assertion in `iotlb_to_section`), which is the machine's end;
/// 11 has no such function.
const LEAST_MAJOR: u32 = 11;

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
        let own = Self { program: PROGRAM.into(), root: None };
        let named = env::var_os("PODBOND_LAB_QEMU").map(PathBuf::from);
        let qemu = if let Some(program) = named {
            Self { program, root: None }
        } else if own.major() >= Some(LEAST_MAJOR) && own.has_igb() {
            own
        } else {
            let dir = cache.entry("qemu", &(SUITE, PACKAGE), progress, |dir| {
                apt::unpack(SUITE, &[PACKAGE], &[""], &dir.join("root"), progress)
            })?;
            let root = dir.join("root");
            Self { program: root.join("usr/bin").join(PROGRAM), root: Some(root) }
        };
        let program = qemu.program.display();
        let no_igb =
            || Error::Other(format!("{program} has no igb device; QEMU 8.0 or newer has it"));
        if qemu.has_igb() { Ok(qemu) } else { Err(no_igb()) }
    }

    /// Returns a command that becomes QEMU, tied to its parent: when that ends, QEMU is killed. The
    /// words of another command may stand before it.
    pub(crate) fn command(&self, before: &[&str]) -> Command {
        // setpriv (util-linux) sets the death signal and becomes the program; doing it ourselves
        // between fork and exec would take unsafe code.
        let words = [before, &["setpriv", "--pdeathsig", "KILL", "--"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
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
        self.says(&["-device", "help"]).is_some_and(|help| help.contains("name \"igb\""))
    }

    /// The major version; none where there is no QEMU.
    fn major(&self) -> Option<u32> {
        parse_major(&self.says(&["--version"])?)
    }

    /// The standard output of QEMU with these arguments; none if it fails.
    fn says(&self, arguments: &[&str]) -> Option<String> {
        let mut words = Vec::new();
        self.name_program(|word| words.push(word.to_owned()));
        let mut command = Command::new(&words[0]);
        let output =
            command.args(&words[1..]).args(arguments).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The 11 of `QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)`.
fn parse_major(text: &str) -> Option<u32> {
    text.split_once("version ")?.1.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        let text = "QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)\nCopyright";
        assert_eq!(parse_major(text), Some(7));
        assert_eq!(parse_major("qemu: error"), None);
        assert!(None < Some(LEAST_MAJOR), "no QEMU is not new enough");
    }
}
