//! What there is before an operation, and must be there again after it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::operation::output_text;

/// The manifests of the documented case.
pub(crate) const EXAMPLES: &str = "/root/examples";

/// The PFs of the lab.
const PFS: [&str; 2] = ["pf0", "pf1"];

/// Where plugins and commands keep what they remember.
const STATE: [&str; 2] = ["/var/lib/podbond", "/var/lib/cni"];

/// Where the records of attachments are: those that outlive the kernel, and those that do not.
pub(crate) const RECORDS: [&str; 2] = ["/var/lib/podbond/attachments", "/run/podbond/attachments"];

/// What tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A pod's namespace, and what the operation is about.
pub(crate) struct Scene {
    /// The name of the namespace.
    pub(crate) netns: String,
    /// Who makes that namespace.
    pub(crate) created_by: CreatedBy,
    /// Links without hardware.
    pub(crate) links: Vec<Dummy>,
    /// What the first VF of each PF is called, of as many as there are names. Somebody has used them
    /// on the node: they are up.
    pub(crate) vfs: &'static [&'static str],
    /// Whether it needs the VFs and NADs of the documented case.
    pub(crate) networks: Networks,
}

/// Who makes and removes the pod's namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreatedBy {
    /// A runtime, which calls plugins.
    Runtime,
    /// `podbond apply` and `podbond delete`.
    Podbond,
}

/// Whether the policies and networks of the documented case are applied, or there are VFs without them, which
/// a bond may take from the node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Networks {
    Documented,
    VfsAlone,
    None,
}

/// A dummy link.
pub(crate) struct Dummy {
    /// Whether it is the pod's from the beginning.
    pub(crate) is_pods: bool,
    pub(crate) name: String,
    pub(crate) mac: String,
    /// Whether it shares that address with a link before it: DEL leaves no two ports with one, and
    /// what it leaves instead is no loss.
    pub(crate) shares_mac: bool,
    pub(crate) is_up: bool,
}

impl Scene {
    /// Whether it is about VFs of the node's cards.
    pub(crate) fn has_vfs(&self) -> bool {
        self.networks != Networks::None
    }

    /// Sets everything up, where nothing is.
    pub(crate) fn build(&self) {
        self.repair();
        allow_host_links();
        match self.networks {
            Networks::Documented => apply_networks(),
            Networks::VfsAlone => PFS.iter().for_each(|pf| make_vf(pf)),
            Networks::None => {}
        }
        for (pf, name) in PFS.iter().zip(self.vfs) {
            let vf = first_vf(pf);
            ip(&["link", "set", &vf, "down"]);
            ip(&["link", "set", &vf, "name", name, "up"]);
        }
    }

    /// Makes what went with the namespace: the namespace itself, and links without hardware, which
    /// the kernel never gives back. Those that share an address get it again.
    pub(crate) fn repair(&self) {
        if self.created_by == CreatedBy::Podbond {
            return;
        }
        let mut lines = Vec::new();
        let has_netns = self.netns_path().exists();
        if !has_netns {
            lines.push(format!("netns add {}", self.netns));
        }
        for Dummy { is_pods, name, mac, shares_mac, is_up } in &self.links {
            let is_there = if *is_pods { has_netns } else { is_on_node(name) };
            let state = if *is_up { "up" } else { "down" };
            let netns = if *is_pods { format!("netns {}", self.netns) } else { String::new() };
            if !is_there {
                lines.push(format!("link add {name} {netns} address {mac} {state} type dummy"));
            } else if *shares_mac {
                ip(&["-n", &self.netns, "link", "set", name, "address", mac]);
            }
        }
        batch(&lines);
    }

    /// Removes the pod's namespace, as the end of a pod does; success where there is none.
    pub(crate) fn remove_netns(&self) {
        if self.netns_path().exists() {
            ip(&["netns", "del", &self.netns]);
        }
    }

    /// What a reboot leaves: files on disk, all of them older than the kernel that runs, which has
    /// another boot ID.
    pub(crate) fn reboot(&self) {
        self.remove_all_links();
        let _ = fs::remove_dir_all("/run/podbond");
        for dir in STATE {
            age(Path::new(dir), SystemTime::UNIX_EPOCH, "");
        }
        set_boot_id();
    }

    /// Cuts every record of an attachment short, as a disk may do that was not synced.
    pub(crate) fn cut_records_short() {
        for dir in RECORDS {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
                let length = file.metadata().unwrap().len();
                file.set_len(length / 2).unwrap();
            }
        }
    }

    /// Makes the files older that were being written when their writer was killed: nobody takes one
    /// away that may still be written.
    pub(crate) fn wait_for_writers() {
        let long_ago = SystemTime::now() - Duration::from_mins(2);
        for dir in STATE.iter().chain(&RECORDS) {
            age(Path::new(dir), long_ago, ".new");
        }
    }

    /// Removes everything, by force, also what an earlier test may have left.
    pub(crate) fn clear(&self) {
        self.remove_all_links();
        for dir in STATE {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                let removed =
                    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                removed.unwrap();
            }
        }
    }

    /// With namespaces and VFs.
    fn remove_all_links(&self) {
        self.remove_netns();
        for link in self.links.iter().filter(|link| !link.is_pods) {
            // It may have gone with the namespace.
            let _ = Command::new("ip").args(["link", "del", &link.name]).output().unwrap();
        }
        for pf in PFS {
            let num_vfs = format!("/sys/class/net/{pf}/device/sriov_numvfs");
            if fs::read_to_string(&num_vfs).unwrap().trim() != "0" {
                fs::write(num_vfs, "0").unwrap();
            }
        }
    }

    fn netns_path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.netns)
    }
}

/// Shows another boot ID than before, by a file that is mounted over the kernel's.
fn set_boot_id() {
    let file = "/run/boot_id";
    let _ = Command::new("umount").arg(BOOT_ID).output().unwrap();
    fs::write(file, fs::read("/proc/sys/kernel/random/uuid").unwrap()).unwrap();
    let output = Command::new("mount").args(["--bind", file, BOOT_ID]).output().unwrap();
    assert!(output.status.success(), "{}", output_text(&output));
}

fn is_on_node(link: &str) -> bool {
    Path::new("/sys/class/net").join(link).exists()
}

/// Sets when files were last written whose names end so.
fn age(dir: &Path, to: SystemTime, end: &str) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = entry.path();
        if path.is_dir() {
            age(&path, to, end);
        } else if entry.file_name().to_string_lossy().ends_with(end) {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(to).unwrap();
        }
    }
}

/// Writes the administrator's file.
fn allow_host_links() {
    fs::create_dir_all("/etc/podbond").unwrap();
    fs::write("/etc/podbond/config.toml", "[host-links]\nallow = [{ name = \"*\" }]\n").unwrap();
}

/// Makes the one VF of a PF as a policy does: it gets its address from the PF.
fn make_vf(pf: &str) {
    let device = format!("/sys/class/net/{pf}/device");
    ip(&["link", "set", pf, "up"]);
    fs::write(format!("{device}/sriov_numvfs"), "1").unwrap();
    let carrier = || fs::read_to_string(format!("/sys/class/net/{pf}/carrier"));
    wait_for(|| Path::new(&format!("{device}/virtfn0/net")).exists());
    wait_for(|| carrier().is_ok_and(|text| text.trim() == "1"));
    let address = format!("/sys/class/net/{}/address", first_vf(pf));
    let mac = fs::read_to_string(address).unwrap();
    ip(&["link", "set", pf, "vf", "0", "mac", mac.trim()]);
}

/// Waits until something is so, which may take a card its time.
fn wait_for(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_mins(1), "the card has no VF or no carrier");
        sleep(Duration::from_millis(50));
    }
}

fn apply_networks() {
    let mut apply = Command::new("podbond");
    apply.arg("apply");
    for name in ["policies", "networks", "bond-net1"] {
        apply.args(["-f", &format!("{EXAMPLES}/{name}.yaml")]);
    }
    let output = apply.output().unwrap();
    assert!(output.status.success(), "{}", output_text(&output));
}

/// The name of a PF's first VF.
fn first_vf(pf: &str) -> String {
    let links = fs::read_dir(format!("/sys/class/net/{pf}/device/virtfn0/net")).unwrap();
    let names = links.map(|link| link.unwrap().file_name().into_string().unwrap());
    names.last().expect("a VF of the node has a network interface")
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", output_text(&output));
}

/// Many changes by one process: under emulation its start takes longer than all of them.
fn batch(lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{lines:?}: {}", output_text(&output));
}
