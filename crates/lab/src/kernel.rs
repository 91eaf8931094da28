//! Debian's kernels: the image to boot, and its modules.
//!
//! The modules that boot needs go into the initramfs; all others are read through a 9p share of
//! the unpacked package when `modprobe` asks for them.

use std::{
    borrow::Cow,
    fmt,
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use crate::{
    Error, Progress,
    apt::{self, Apt},
    cache::Cache,
    cpio::Archive,
    error::FileContext,
    userland::Userland,
};

/// Loaded before anything else in the guest, in this order: its channels to the host, the share
/// with all other modules, the cards, the switch.
const BOOT_MODULES: [&str; 8] =
    ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "virtio_net", "igb", "igbvf", "bridge"];

/// A kernel that Debian packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kernel {
    /// Debian 12: Linux 6.1.
    Bookworm,
    /// Debian 13: Linux 6.12.
    #[default]
    Trixie,
    /// The newest that is packaged for Debian 13.
    TrixieBackports,
}

impl Kernel {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::Bookworm, Self::Trixie, Self::TrixieBackports];

    fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::TrixieBackports => "trixie-backports",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suite())
    }
}

/// A text that names no kernel of the lab.
#[derive(Debug, thiserror::Error)]
#[error("the lab has the kernels bookworm, trixie and trixie-backports, not {0:?}")]
pub struct UnknownKernel(String);

impl FromStr for Kernel {
    type Err = UnknownKernel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kernel| kernel.suite() == text);
        found.ok_or_else(|| UnknownKernel(text.to_owned()))
    }
}

/// An unpacked kernel package.
#[derive(Debug, Clone)]
pub(crate) struct KernelFiles {
    dir: PathBuf,
}

impl KernelFiles {
    pub(crate) fn prepare(
        kernel: Kernel,
        userland: &Userland,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let recipe = (kernel, BOOT_MODULES);
        let dir = cache.entry(&format!("kernel-{kernel}"), &recipe, progress, |dir| {
            let apt = tempfile::tempdir_in(dir).file("make a directory in", dir)?;
            let apt = Apt::open(apt.path(), kernel.suite(), progress)?;
            let mut packages = apt.closure(&["linux-image-amd64"])?;
            // The rest of the closure would build an initramfs and configure a boot loader. Since
            // 7.0 what was one linux-image is packaged in these parts.
            packages.retain(|package| {
                let parts = ["linux-image-", "linux-base-", "linux-binary-", "linux-modules-"];
                parts.iter().any(|part| package.name.starts_with(part))
            });
            if packages.is_empty() {
                let wanted = "linux-image".to_owned();
                return Err(Error::NoPackage { suite: kernel.suite(), wanted });
            }
            let root = dir.join("package");
            apt.unpack(&packages, &root, &format!("the kernel of {kernel}"), progress)?;
            progress.begin(format_args!("preparing the kernel of {kernel}"));
            arrange(kernel, &root, dir)?;
            fs::remove_dir_all(&root).file("remove", &root)?;
            index_and_pack(kernel, dir, userland)
        })?;
        Ok(Self { dir })
    }

    /// A name for these files: another one when they change.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        self.dir.file_name().unwrap_or_default().to_string_lossy()
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The directory to share with the guest: `<release>/kernel/…`.
    pub(crate) fn modules(&self) -> PathBuf {
        self.dir.join("lib/modules")
    }

    /// The initramfs with the modules of boot and the index of all.
    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.join("modules.cpio")
    }
}

/// Moves image and modules to where the lab wants them: before trixie modules were below `/lib`,
/// since 7.0 the image is beside its modules.
fn arrange(kernel: Kernel, package: &Path, dir: &Path) -> Result<(), Error> {
    let missing = |missing: &str| Error::Kernel { kernel, missing: missing.to_owned() };
    let modules = ["usr/lib/modules", "lib/modules"].map(|path| package.join(path));
    let modules = modules.iter().find(|path| path.is_dir()).ok_or_else(|| missing("modules"))?;
    let places = [package.join("boot"), modules.clone()];
    let image = find_image(&places).ok_or_else(|| missing("vmlinuz"))?;
    fs::rename(&image, dir.join("vmlinuz")).file("move", &image)?;
    fs::create_dir(dir.join("lib")).file("make", dir.join("lib"))?;
    fs::rename(modules, dir.join("lib/modules")).file("move", modules)?;
    // Where newer versions of depmod look.
    std::os::unix::fs::symlink(".", dir.join("usr")).file("make", dir.join("usr"))
}

/// The `vmlinuz` or `vmlinuz-<release>` in one of the directories or just below.
fn find_image(dirs: &[PathBuf]) -> Option<PathBuf> {
    let list = |dir: &PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let entries: Vec<_> = dirs.iter().flat_map(list).map(|entry| entry.path()).collect();
    let below = entries.iter().filter(|path| path.is_dir()).flat_map(list);
    let mut all = below.map(|entry| entry.path()).chain(entries.iter().cloned());
    all.find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && (name == "vmlinuz" || name.starts_with("vmlinuz-"))
    })
}

fn index_and_pack(kernel: Kernel, dir: &Path, userland: &Userland) -> Result<(), Error> {
    let modules = dir.join("lib/modules");
    let release = fs::read_dir(&modules).file("read", &modules)?.flatten().next();
    let release = release
        .and_then(|entry| entry.file_name().into_string().ok())
        .ok_or_else(|| Error::Kernel { kernel, missing: "release".into() })?;
    depmod(dir, &release, userland)?;

    let tree = modules.join(&release);
    let dep =
        fs::read_to_string(tree.join("modules.dep")).file("read", tree.join("modules.dep"))?;
    let builtin = fs::read_to_string(tree.join("modules.builtin")).unwrap_or_default();
    let load = load_order(&dep, &builtin, &BOOT_MODULES)
        .map_err(|module| Error::Kernel { kernel, missing: format!("module {module}") })?;
    let path = dir.join("modules.cpio");
    pack(&tree, &release, &load, &path).file("write", path)
}

/// Runs the guest's own depmod, with the guest's own loader: this machine may have none.
fn depmod(base: &Path, release: &str, userland: &Userland) -> Result<(), Error> {
    let root = userland.root();
    let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu"));
    command.args(["--argv0", "depmod"]).arg(root.join("usr/bin/kmod"));
    command.arg("--basedir").arg(base).arg(release);
    apt::run(&mut command, "indexing the kernel's modules").map(drop)
}

/// The files to load for `wanted`, each after those that it needs; `Err` is a module not there.
fn load_order<'a>(
    dep: &'a str,
    builtin: &str,
    wanted: &[&'a str],
) -> Result<Vec<&'a str>, &'a str> {
    let named = |path: &str, name: &str| {
        let file = path.rsplit('/').next().unwrap_or_default();
        let stem = file.split('.').next().unwrap_or_default();
        stem.replace('-', "_") == name
    };
    let mut load = Vec::new();
    for &name in wanted {
        let line = dep.lines().filter_map(|line| line.split_once(':'));
        match line.into_iter().find(|(path, _)| named(path, name)) {
            // A line names the module, then what it needs; the last is to be loaded first.
            Some((path, needs)) => {
                for path in needs.split_whitespace().rev().chain([path]) {
                    if !load.contains(&path) {
                        load.push(path);
                    }
                }
            }
            None if builtin.lines().any(|path| named(path, name)) => {}
            None => return Err(name),
        }
    }
    Ok(load)
}

fn pack(tree: &Path, release: &str, load: &[&str], archive: &Path) -> io::Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(archive)?));
    archive.directory("lab", 0o755)?;
    archive.directory("lab/modules", 0o755)?;
    for (i, path) in load.iter().enumerate() {
        let name = path.rsplit('/').next().unwrap_or_default();
        archive.file(&format!("lab/modules/{i:02}-{name}"), 0o644, &fs::read(tree.join(path))?)?;
    }
    archive.directory("usr/lib/modules", 0o755)?;
    archive.directory(&format!("usr/lib/modules/{release}"), 0o755)?;
    for entry in fs::read_dir(tree)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("modules.") {
            let content = fs::read(entry.path())?;
            archive.file(&format!("usr/lib/modules/{release}/{name}"), 0o644, &content)?;
        }
    }
    // The index is here, the modules are in the share that init mounts.
    let share = format!("/run/modules/{release}/kernel");
    archive.symlink(&format!("usr/lib/modules/{release}/kernel"), &share)?;
    archive.finish()?.into_inner()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/drivers/net/ethernet/intel/igb/igb.ko.xz: kernel/drivers/i2c/i2c-algo-bit.ko.xz kernel/drivers/dca/dca.ko.xz
kernel/drivers/dca/dca.ko.xz:
kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz
kernel/net/9p/9pnet.ko.xz:
kernel/net/bridge/bridge.ko.xz: kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz
";

    #[test]
    fn a_module_is_loaded_after_what_it_needs_and_only_once() {
        let load = load_order(DEP, "", &["dca", "igb", "9pnet_virtio"]).unwrap();
        let names: Vec<_> = load.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
        let wanted = ["dca.ko.xz", "i2c-algo-bit.ko.xz", "igb.ko.xz", "9pnet.ko.xz"];
        assert_eq!(names[..4], wanted);
        assert_eq!(names[4..], ["9pnet_virtio.ko.xz"]);
    }

    #[test]
    fn a_built_in_module_needs_no_loading_and_a_missing_one_is_named() {
        let builtin = "kernel/drivers/virtio/virtio_pci.ko\n";
        assert_eq!(load_order(DEP, builtin, &["virtio_pci"]), Ok(vec![]));
        assert_eq!(load_order(DEP, builtin, &["bonding"]), Err("bonding"));
    }

    #[test]
    fn the_image_is_found_where_either_packaging_puts_it() {
        let dir = tempfile::tempdir().unwrap();
        let (boot, modules) = (dir.path().join("boot"), dir.path().join("modules"));
        let release = modules.join("7.3.4");
        for dir in [&boot, &release] {
            fs::create_dir_all(dir).unwrap();
        }
        let dirs = [boot.clone(), modules.clone()];
        assert_eq!(find_image(&dirs), None);
        fs::write(release.join("vmlinuz"), "").unwrap();
        assert_eq!(find_image(&dirs), Some(release.join("vmlinuz")));
        fs::remove_file(release.join("vmlinuz")).unwrap();
        fs::write(boot.join("vmlinuz-6.1.0-1-amd64"), "").unwrap();
        assert_eq!(find_image(&dirs), Some(boot.join("vmlinuz-6.1.0-1-amd64")));
    }

    #[test]
    fn a_kernel_is_named_by_its_suite() {
        for kernel in Kernel::ALL {
            assert_eq!(kernel.to_string().parse::<Kernel>().unwrap(), kernel);
        }
        let error = "sid".parse::<Kernel>().unwrap_err().to_string();
        assert!(error.contains("trixie-backports"), "{error}");
    }
}
