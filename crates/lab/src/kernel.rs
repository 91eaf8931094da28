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
};

use crate::{
    Error, Progress, apt, cache::Cache, cpio::Archive, error::FileContext, userland::Userland,
};

/// Loaded before anything else in the guest, in this order: its channels to the host, the share
/// with all other modules, the cards, the switch.
const BOOT_MODULES: [&str; 8] =
    ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "virtio_net", "igb", "igbvf", "bridge"];

/// The packages that are unpacked: what else is fetched would build an initramfs and configure a boot
/// loader. Since 7.0 what was one linux-image is packaged in these parts.
const PARTS: [&str; 4] = ["linux-image-", "linux-base-", "linux-binary-", "linux-modules-"];

/// A kernel that Debian packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub enum Kernel {
    /// Debian 11: Linux 5.10, the oldest that podbond is tried on.
    Bullseye,
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
    pub const ALL: [Self; 4] =
        [Self::Bullseye, Self::Bookworm, Self::Trixie, Self::TrixieBackports];

    fn suite(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
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
            let root = dir.join("package");
            apt::unpack(kernel.suite(), &["linux-image-amd64"], &PARTS, &root, progress)?;
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
    let missing =
        |what: &str| Error::Other(format!("the kernel package of {kernel} has no {what}"));
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
        .ok_or_else(|| Error::Other(format!("the kernel package of {kernel} has no modules")))?;
    let mut depmod = kmod("depmod", userland);
    depmod.arg("--basedir").arg(dir).arg(&release);
    apt::run(&mut depmod, "indexing the kernel's modules")?;
    let mut modprobe = kmod("modprobe", userland);
    modprobe.arg("--dirname").arg(dir).args(["--set-version", &release, "--config", "/dev/null"]);
    modprobe.args(["--show-depends", "--all"]).args(BOOT_MODULES);
    let load = load_order(&apt::run(&mut modprobe, "looking for the modules of boot")?);
    let path = dir.join("modules.cpio");
    pack(&modules.join(&release), &release, &load, &path).file("write", path)
}

/// Returns a tool of the guest's kmod, which is one program under many names.
fn kmod(tool: &str, userland: &Userland) -> Command {
    apt::unpacked(&userland.root(), &format!("usr/sbin/{tool}"))
}

/// Returns the files to load, each after those that it needs, from lines `insmod FILE` of modprobe;
/// what is built into the kernel is a line of another kind.
fn load_order(text: &str) -> Vec<PathBuf> {
    let mut load: Vec<PathBuf> = Vec::new();
    for path in text.lines().filter_map(|line| line.strip_prefix("insmod ")) {
        let path = PathBuf::from(path.trim());
        if !load.contains(&path) {
            load.push(path);
        }
    }
    load
}

fn pack(tree: &Path, release: &str, load: &[PathBuf], archive: &Path) -> io::Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(archive)?));
    archive.directory("lab", 0o755)?;
    archive.directory("lab/modules", 0o755)?;
    for (i, path) in load.iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("lab/modules/{i:02}-{name}"), 0o644, &fs::read(path)?)?;
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
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn modules_are_loaded_once_and_builtin_ones_not_at_all() {
        let text = "insmod /k/dca.ko.xz \ninsmod /k/igb.ko.xz \nbuiltin virtio_pci\n\
                    insmod /k/dca.ko.xz \ninsmod /k/igbvf.ko.xz \n";
        let wanted = ["/k/dca.ko.xz", "/k/igb.ko.xz", "/k/igbvf.ko.xz"].map(PathBuf::from);
        assert_eq!(load_order(text), wanted);
    }

    #[test]
    fn image_is_found_in_boot_and_beside_modules() {
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
    fn kernel_is_chosen_by_its_suite() {
        for kernel in Kernel::ALL {
            assert_eq!(Kernel::from_str(&kernel.to_string(), false), Ok(kernel));
        }
    }
}
