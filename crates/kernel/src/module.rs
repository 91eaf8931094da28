//! Whether a kernel module (bonding, 8021q) is built in, loaded or loadable; the release of the
//! kernel.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Returns the running kernel's release, as `uname -r` prints it.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
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
