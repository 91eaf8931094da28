//! What there is before an operation, and must be there again after it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::operation::told;

/// The manifests of the documented case.
pub(crate) const EXAMPLES: &str = "/root/examples";

/// The PFs of the lab.
const PFS: [&str; 2] = ["pf0", "pf1"];

/// Where plugins and commands keep what they remember.
const STATE: [&str; 2] = ["/var/lib/podbond", "/var/lib/cni"];

/// A pod's namespace, and what the operation is about.
pub(crate) struct Scene {
    /// The name of the namespace.
    pub(crate) netns: String,
    /// Who makes that namespace.
    pub(crate) made_by: MadeBy,
    /// Links without hardware.
    pub(crate) links: Vec<Dummy>,
    /// Whether it needs the VFs and NADs of the documented case.
    pub(crate) networks: Networks,
}

/// Who makes and removes the pod's namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MadeBy {
    /// Whoever calls plugins.
    Runtime,
    /// `podbond apply` and `podbond delete`.
    Podbond,
}

/// Whether the policies and networks of the documented case are applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Networks {
    Documented,
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
    /// Sets everything up, where nothing is.
    pub(crate) fn build(&self) {
        self.mend();
        if self.networks == Networks::Documented {
            apply_networks();
        }
    }

    /// Makes what went with the namespace: the namespace itself, and links without hardware, which
    /// the kernel never gives back. Those that share an address get it again.
    pub(crate) fn mend(&self) {
        if self.made_by == MadeBy::Podbond {
            return;
        }
        if !self.netns_path().exists() {
            ip(&["netns", "add", &self.netns]);
        }
        for link in &self.links {
            let netns: &[&str] = if link.is_pods { &["-n", &self.netns] } else { &[] };
            let link_command = |arguments: &[&str]| {
                let mut command = Command::new("ip");
                command.args(netns).arg("link").args(arguments).output().unwrap()
            };
            if link_command(&["show", &link.name]).status.success() {
                if link.shares_mac {
                    let set = link_command(&["set", &link.name, "address", &link.mac]);
                    assert!(set.status.success(), "{}", told(&set));
                }
                continue;
            }
            let state = if link.is_up { "up" } else { "down" };
            let made =
                link_command(&["add", &link.name, "address", &link.mac, state, "type", "dummy"]);
            assert!(made.status.success(), "{}", told(&made));
        }
    }

    /// Removes the pod's namespace, as the end of a pod does; success where there is none.
    pub(crate) fn remove_netns(&self) {
        if self.netns_path().exists() {
            ip(&["netns", "del", &self.netns]);
        }
    }

    /// Removes everything, by force, also what an earlier test may have left.
    pub(crate) fn clear(&self) {
        self.remove_netns();
        for link in self.links.iter().filter(|link| !link.is_pods) {
            // It may have gone with the namespace.
            let _ = Command::new("ip").args(["link", "del", &link.name]).output().unwrap();
        }
        for dir in STATE {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                let removed =
                    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                removed.unwrap();
            }
        }
        for pf in PFS {
            let num_vfs = format!("/sys/class/net/{pf}/device/sriov_numvfs");
            if fs::read_to_string(&num_vfs).unwrap().trim() != "0" {
                fs::write(num_vfs, "0").unwrap();
            }
        }
    }

    fn netns_path(&self) -> std::path::PathBuf {
        Path::new("/run/netns").join(&self.netns)
    }
}

fn apply_networks() {
    let mut apply = Command::new("podbond");
    apply.arg("apply");
    for name in ["policies", "networks", "bond-net1"] {
        apply.args(["-f", &format!("{EXAMPLES}/{name}.yaml")]);
    }
    let output = apply.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", told(&output));
}
