//! The disks of a node, made once and kept in the cache: a root file system of Debian packages, and what
//! does not come from Debian: the kubelet and the image of the documented pod. Nodes write to neither:
//! what they change is QEMU's, for as long as it runs.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use podbond_lab::{Cache, Progress, Userland, apt};

use crate::{
    error::{Error, FileContext},
    image::Image,
    process,
};

/// The kubelet of Kubernetes 1.37 wants containerd 2, which no stable Debian has yet.
const SUITE: &str = "sid";

/// What a node's programs and a person looking into it need; libraries follow from these.
const PACKAGES: [&str; 22] = [
    "containerd",
    "runc",
    "containernetworking-plugins",
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "e2fsprogs",
    "ethtool",
    "findutils",
    "grep",
    "iproute2",
    "iptables",
    "iputils-ping",
    "jq",
    "kmod",
    "mawk",
    "mount",
    "procps",
    "sed",
    "tcpdump",
    "util-linux",
];

/// What serves no node.
const LEFT_OUT: [&str; 8] = [
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/lib/dpkg",
];

/// Links that Debian's packages leave to their installation: link, target.
const LINKS: [(&str, &str); 2] = [("usr/bin/awk", "mawk"), ("usr/sbin/iptables", "iptables-nft")];

/// Megabytes: what a node may write is the difference to its content. The file is sparse.
const ROOT_MEGABYTES: u64 = 6000;

/// The image that the documentation's pod runs. It is the sandbox's too: one less to import.
pub(crate) const POD_IMAGE: &str = "quay.io/openshift/origin-network-interface-bond-cni:4.11.0";

/// The name of the image as the sandbox of each pod.
pub(crate) const SANDBOX_IMAGE: &str = "registry.lab.example/pause:1";

/// What a person runs in the documented pod, and how a privileged pod looks at its node.
const POD_PROGRAMS: [&str; 15] = [
    "bash", "cat", "chmod", "cp", "date", "echo", "env", "grep", "ip", "ls", "mkdir", "nsenter",
    "ping", "sleep", "true",
];

/// The two disks, as raw images.
#[derive(Debug, Clone)]
pub(crate) struct Disks {
    pub(crate) root: PathBuf,
    pub(crate) kubernetes: PathBuf,
}

impl Disks {
    /// Makes them of Debian's packages and of this kubelet, unless they are in the cache.
    pub(crate) fn prepare(
        kubelet: &Path,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let userland = Userland::prepare(cache, progress)?;
        let recipe = (SUITE, PACKAGES, LEFT_OUT, LINKS, ROOT_MEGABYTES);
        let node = cache.entry("node-root", &recipe, progress, |dir| root(dir, progress))?;
        let metadata = fs::metadata(kubelet).file("read", kubelet)?;
        let identity = (kubelet, metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        let recipe = (identity, userland.root(), POD_IMAGE, SANDBOX_IMAGE, POD_PROGRAMS);
        let kubernetes = cache.entry("node-kubernetes", &recipe, progress, |dir| {
            kubernetes(dir, &node.join("root"), &userland, kubelet, progress)
        })?;
        Ok(Self { root: node.join(DISK), kubernetes: kubernetes.join(DISK) })
    }
}

/// The name of a disk in its entry of the cache.
const DISK: &str = "disk.img";

fn root(dir: &Path, progress: &Progress) -> Result<(), Error> {
    let root = dir.join("root");
    apt::unpack(SUITE, &PACKAGES, &[""], &root, progress)?;
    progress.begin("making the disk of a node");
    for path in LEFT_OUT.map(|path| root.join(path)) {
        if path.is_dir() {
            fs::remove_dir_all(&path).file("remove", path)?;
        }
    }
    for (link, target) in LINKS {
        let link = root.join(link);
        if link.symlink_metadata().is_err() {
            symlink(target, &link).file("make", link)?;
        }
    }
    make_disk(&root, &root, &dir.join(DISK), ROOT_MEGABYTES)
}

fn kubernetes(
    dir: &Path,
    node_root: &Path,
    userland: &Userland,
    kubelet: &Path,
    progress: &Progress,
) -> Result<(), Error> {
    progress.begin("making the disk with the kubelet and the pods' image");
    let files = dir.join("files");
    let images = files.join("images");
    fs::create_dir_all(&images).file("make", &images)?;
    fs::copy(kubelet, files.join("kubelet")).file("copy", kubelet)?;
    let image = images.join("pod.tar");
    pod_image(userland)?.write(&[POD_IMAGE, SANDBOX_IMAGE], &image).file("write", &image)?;
    let mut bytes = 0;
    for path in [&files.join("kubelet"), &image] {
        bytes += fs::metadata(path).file("read", path)?.len();
    }
    make_disk(&files, node_root, &dir.join(DISK), bytes / 1_000_000 * 11 / 10 + 16)?;
    fs::remove_dir_all(&files).file("remove", &files)
}

/// Returns an image of Debian's programs with the libraries that they are linked with.
fn pod_image(userland: &Userland) -> Result<Image, Error> {
    let root = userland.root();
    let mut image = Image::default()
        .link("bin", "usr/bin")
        .link("sbin", "usr/bin")
        .link("lib", "usr/lib")
        .link("lib64", "usr/lib64")
        .link("usr/bin/sh", "bash")
        .directory("tmp")
        .file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/bash\n".to_vec())
        .file("etc/group", 0o644, b"root:x:0:\n".to_vec())
        // Without a word from a pod its container waits; no signal but KILL ends a first process that
        // handles none, and the sandbox's is ended by that.
        .command(&["/bin/sleep", "infinity"]);
    for name in POD_PROGRAMS {
        let program = format!("usr/bin/{name}");
        let host = root.join(&program);
        image = image.executable(&program, &host).file("read", host)?;
        for library in apt::libraries(&root, &program)? {
            let place = library.strip_prefix(&root).unwrap_or(&library);
            let place = place.to_string_lossy().trim_start_matches('/').to_owned();
            image = image.executable(&place, &library).file("read", library)?;
        }
    }
    let loader = "usr/lib64/ld-linux-x86-64.so.2";
    image.executable(loader, &root.join(loader)).file("read", root.join(loader))
}

/// Makes an ext4 file system of a directory, everything in it root's, with the mke2fs of `tools`.
fn make_disk(from: &Path, tools: &Path, disk: &Path, megabytes: u64) -> Result<(), Error> {
    let mut command = apt::unpacked(tools, "usr/sbin/mke2fs");
    // No journal: nobody mounts it after a machine that lost its power.
    command.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0"]);
    command.args(["-E", "root_owner=0:0,lazy_itable_init=1", "-d"]).arg(from).arg(disk);
    command.arg(format!("{megabytes}M"));
    let mut command = as_root(command);
    process::output(&mut command, "making a file system").map(drop)
}

/// Returns the command run as root, of a user namespace if need be: mke2fs keeps the owners that it sees.
fn as_root(command: Command) -> Command {
    if rustix::process::geteuid().is_root() {
        return command;
    }
    let mut outer = Command::new("unshare");
    outer.args(["--user", "--map-root-user", "--"]).arg(command.get_program());
    outer.args(command.get_args());
    outer
}
