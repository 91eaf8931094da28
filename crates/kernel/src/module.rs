//! Whether a kernel module (bonding, 8021q) is built in, loaded or loadable; bonding loaded without a
//! bond0; the release of the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

/// Returns the running kernel's release, as `uname -r` prints it.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Returns major and minor of a release like `6.12.48+deb13-amd64`.
pub(crate) fn version(release: &str) -> [u32; 2] {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    [(); 2].map(|()| numbers.next().and_then(Result::ok).unwrap_or(0))
}

/// Whether the kernel has a driver that is usually built as a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Module {
    /// It is a part of the kernel.
    BuiltIn,
    /// It is loaded.
    Loaded,
    /// It is on disk, to be loaded when it is needed.
    Loadable,
    /// It is neither.
    Missing,
    /// The modules of the running kernel cannot be seen, as in a container.
    Unknown,
}

impl Module {
    /// Looks for the module `name` of the kernel `release` below the root directory: in
    /// `sys/module`, and in the lists that depmod(8) and the kernel's build leave beside modules.
    pub fn find(name: &str, release: &str, root: &Path) -> Self {
        let modules = root.join("lib/modules").join(release);
        if is_listed(&modules.join("modules.builtin"), name) == Some(true) {
            return Self::BuiltIn;
        }
        if root.join("sys/module").join(name).exists() {
            return Self::Loaded;
        }
        match is_listed(&modules.join("modules.dep"), name) {
            Some(true) => Self::Loadable,
            Some(false) => Self::Missing,
            None => Self::Unknown,
        }
    }
}

/// The driver of bonds, as the kernel asks for it (`MODULE_ALIAS_RTNL_LINK`). An administrator's
/// `blacklist bonding` counts for this name, and would not for the module's own.
const BONDING_ALIAS: &str = "rtnl-link-bond";

/// What the kernel gives modprobe as its PATH (`kernel/module/kmod.c`).
const HELPER_PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";

/// Loads bonding, unless it is loaded or built in, by the kernel's own helper and as the kernel does, but
/// without a bond: when the kernel itself loads it with the first bond, the driver makes a `bond0` on the
/// node as well (`max_bonds`, 1). Where the helper does not do it, as without the node's file system, the
/// kernel has yet to load it or to say why it cannot: no error. `root` is the root directory.
pub(crate) fn load_bonding(root: &Path) {
    if root.join("sys/module/bonding").exists() {
        return;
    }
    let Some(helper) = helper(root) else { return };
    let _ = Command::new(helper)
        .args(["-q", "--", BONDING_ALIAS, "max_bonds=0"])
        .env_clear()
        .env("PATH", HELPER_PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Returns the program that the kernel loads modules with; none where the administrator has turned
/// loading off.
fn helper(root: &Path) -> Option<PathBuf> {
    let path = fs::read_to_string(root.join("proc/sys/kernel/modprobe")).ok()?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_absolute())
}

/// Returns whether a list of modules holds this one; none when the list cannot be read.
fn is_listed(list: &Path, name: &str) -> Option<bool> {
    let list = fs::read_to_string(list).ok()?;
    Some(list.lines().any(|line| is_module(line, name)))
}

/// Returns whether a line, `<path>.ko[.<compression>][: <what it needs>]`, is about this module.
fn is_module(line: &str, name: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.strip_prefix(name).is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: no-bond-of-the-driver
    #[test]
    fn bonding_is_loaded_by_the_kernels_helper_without_a_bond() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let (program, called) = (root.join("modprobe"), root.join("called"));
        fs::write(&program, format!("#!/bin/sh\necho \"$@\" >{}\n", called.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let sysctl = root.join("proc/sys/kernel/modprobe");
        // No procfs, loading turned off, a program that is not there: the kernel says what is wrong.
        load_bonding(root);
        fs::create_dir_all(sysctl.parent().unwrap()).unwrap();
        for path in ["\n", "modprobe\n", "/nowhere/modprobe\n"] {
            fs::write(&sysctl, path).unwrap();
            load_bonding(root);
            assert!(!called.exists(), "{path}");
        }
        fs::write(&sysctl, format!("{}\n", program.display())).unwrap();
        load_bonding(root);
        assert_eq!(fs::read_to_string(&called).unwrap(), "-q -- rtnl-link-bond max_bonds=0\n");
        fs::remove_file(&called).unwrap();
        fs::create_dir_all(root.join("sys/module/bonding")).unwrap();
        load_bonding(root);
        assert!(!called.exists());
    }

    #[test]
    fn module_is_found_wherever_it_is() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let modules = root.join("lib/modules/6.12");
        let find = || Module::find("bonding", "6.12", root);
        assert_eq!(find(), Module::Unknown);
        fs::create_dir_all(&modules).unwrap();
        let dep = "kernel/net/tls/tls.ko.xz:\nkernel/drivers/net/nobonding.ko.xz: a/bonding.ko\n";
        fs::write(modules.join("modules.dep"), dep).unwrap();
        assert_eq!(find(), Module::Missing);
        let own = "kernel/drivers/net/bonding/bonding.ko.xz: kernel/net/tls/tls.ko.xz\n";
        fs::write(modules.join("modules.dep"), format!("{dep}{own}")).unwrap();
        assert_eq!(find(), Module::Loadable);
        fs::create_dir_all(root.join("sys/module/bonding")).unwrap();
        assert_eq!(find(), Module::Loaded);
        fs::write(modules.join("modules.builtin"), "kernel/drivers/net/bonding/bonding.ko\n")
            .unwrap();
        assert_eq!(find(), Module::BuiltIn);
    }
}
