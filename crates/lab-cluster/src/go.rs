//! A Go toolchain: the machine's own if it is new enough, or else Debian's, unpacked into the cache.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use podbond_lab::{Cache, Progress, apt};

use crate::error::{Error, FileContext};

const SUITE: &str = "trixie-backports";
const PACKAGE: &str = "golang-go";

/// How to start Go.
#[derive(Debug)]
pub(crate) struct Go {
    program: PathBuf,
    /// Where Debian's has its standard library; none: the machine's own knows.
    root: Option<PathBuf>,
}

impl Go {
    /// Returns one that is at least of the version in the line `go` of `module`, the text of a go.mod.
    pub(crate) fn prepare(module: &str, cache: &Cache, progress: &Progress) -> Result<Self, Error> {
        let own = Self { program: "go".into(), root: None };
        if own.version() >= required(module) {
            return Ok(own);
        }
        let dir = cache.entry(PACKAGE, &(SUITE, PACKAGE), progress, |dir| {
            apt::unpack(SUITE, &[PACKAGE], &["golang-"], &dir.join("root"), progress)
        })?;
        // One directory for each version, beside the link `go` to the one that is meant.
        let versions = dir.join("root/usr/lib");
        let root = fs::read_dir(&versions)
            .file("read", &versions)?
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with("go-"))
            .map_or_else(|| versions.join("go"), |entry| entry.path());
        Ok(Self { program: root.join("bin/go"), root: Some(root) })
    }

    /// Returns Go's command; it asks for no other version of itself.
    pub(crate) fn command(&self) -> Command {
        // Killed with this process: what it has compiled by then is in its own cache.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
        command.env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
        if let Some(root) = &self.root {
            command.env("GOROOT", root);
        }
        command
    }

    /// Returns the version; none where there is no Go.
    fn version(&self) -> Option<Vec<u32>> {
        let mut command = Command::new(&self.program);
        // The version of the program, not of what a go.mod in the current folder asks for.
        command.arg("version").env("GOTOOLCHAIN", "local").stdin(Stdio::null());
        parse_version(&String::from_utf8_lossy(&command.output().ok()?.stdout))
    }
}

/// Returns the 1.26.8 of `go version go1.26.8 linux/amd64`.
fn parse_version(text: &str) -> Option<Vec<u32>> {
    numbers(text.split_whitespace().nth(2)?.strip_prefix("go")?)
}

/// Returns the 1.26.0 of a go.mod's line `go 1.26.0`.
fn required(module: &str) -> Option<Vec<u32>> {
    numbers(module.lines().find_map(|line| line.strip_prefix("go "))?.trim())
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_go_is_not_taken() {
        let wanted = required("// go 9\nmodule x\n\ngo 1.26.0\n\ngodebug default=go1.26\n");
        assert_eq!(wanted, Some(vec![1, 26, 0]));
        let version = |text: &str| parse_version(&format!("go version {text} linux/amd64"));
        assert!(version("go1.26.8") >= wanted && version("go1.27.0") >= wanted);
        assert!(version("go1.25.9") < wanted && version("devel") < wanted);
        assert!(None < wanted, "no Go is not new enough");
    }
}
