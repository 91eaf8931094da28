//! What is killed: an ADD, and the DEL that takes it back.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The namespace of the pod that plugins are called for.
const NETNS: &str = "crash";

/// The manifests of the documented case.
const EXAMPLES: &str = "/root/examples";

/// An ADD and its DEL, each one process.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// The network namespace that it changes.
    pub(crate) netns: &'static str,
    calls: Calls,
    /// What was set up for it, to be taken down with `ip`.
    scene: &'static [&'static str],
}

enum Calls {
    /// A plugin, as a runtime calls it.
    Plugin { plugin: &'static str, config: Value },
    /// `podbond apply` and `podbond delete` of the documented pod.
    Pod,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Del,
}

impl Operation {
    pub(crate) fn host_local() -> Self {
        let config = json!({
            "cniVersion": "1.1.0", "name": "crash-net", "type": "host-local", "ipam": ipam(),
        });
        ip(&["netns", "add", NETNS]);
        Self::plugin("host-local", "host-local", config, &[])
    }

    /// Over links that are the pod's, whose MAC addresses the driver changes.
    pub(crate) fn bond_in_pod() -> Self {
        ip(&["netns", "add", NETNS]);
        for link in ["d0", "d1"] {
            ip(&["-n", NETNS, "link", "add", link, "up", "type", "dummy"]);
        }
        Self::plugin("bond (in pod)", "bond", bond(true, "d0", "d1"), &[])
    }

    /// Over links of the node, one up and one down, with an MTU that is not theirs.
    pub(crate) fn bond_on_host() -> Self {
        ip(&["netns", "add", NETNS]);
        ip(&["link", "add", "h0", "up", "type", "dummy"]);
        ip(&["link", "add", "h1", "type", "dummy"]);
        let mut config = bond(false, "h0", "h1");
        config["mtu"] = 1400.into();
        Self::plugin("bond (on host)", "bond", config, &["h0", "h1"])
    }

    /// With every setting that the card keeps.
    pub(crate) fn sriov() -> Self {
        ip(&["netns", "add", NETNS]);
        networks("apply");
        let vf = fs::read_link("/sys/class/net/pf0/device/virtfn0").unwrap();
        let config = json!({
            "cniVersion": "1.1.0", "name": "crash-net", "type": "sriov",
            "deviceID": vf.file_name().unwrap().to_str().unwrap(), "vlan": 100, "spoofchk": "off",
            "trust": "on", "max_tx_rate": 100, "mac": "02:00:00:00:07:07", "ipam": ipam(),
        });
        Self::plugin("sriov", "sriov", config, &[])
    }

    pub(crate) fn chain() -> Self {
        networks("apply");
        Self { name: "chain", netns: "demo.bondpod1", calls: Calls::Pod, scene: &[] }
    }

    fn plugin(
        name: &'static str,
        plugin: &'static str,
        config: Value,
        scene: &'static [&'static str],
    ) -> Self {
        Self { name, netns: NETNS, calls: Calls::Plugin { plugin, config }, scene }
    }

    /// Every how many changes it is killed. The chain takes seconds each time, and its plugins are
    /// tried at each of theirs.
    pub(crate) fn stride(&self) -> usize {
        if self.is_atomic() { 1 } else { 4 }
    }

    /// Whether an ADD that fails leaves nothing. `podbond apply` keeps the NADs that it was given.
    pub(crate) fn is_atomic(&self) -> bool {
        !matches!(self.calls, Calls::Pod)
    }

    /// Runs it under a fault, in the words of `PODBOND_FAULT`.
    pub(crate) fn run(&self, verb: Verb, fault: &str) -> Output {
        let (mut command, input) = match &self.calls {
            Calls::Plugin { plugin, config } => {
                let mut command = Command::new(format!("/opt/cni/bin/{plugin}"));
                command.env("CNI_COMMAND", if verb == Verb::Add { "ADD" } else { "DEL" });
                command.env("CNI_CONTAINERID", "crash-c1").env("CNI_IFNAME", "net3");
                command.env("CNI_NETNS", format!("/run/netns/{NETNS}"));
                command.env("CNI_PATH", "/opt/cni/bin");
                (command, config.to_string())
            }
            Calls::Pod => {
                let mut command = Command::new("podbond");
                command.arg(if verb == Verb::Add { "apply" } else { "delete" });
                command.args(["-f", &format!("{EXAMPLES}/bondpod1.yaml")]);
                command.args(["-f", &format!("{EXAMPLES}/bond-net1.yaml")]);
                (command, String::new())
            }
        };
        command.env("PODBOND_FAULT", fault);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that is killed early does not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The changes that it makes, in order: `kind: what`.
    pub(crate) fn changes(&self, verb: Verb) -> Vec<String> {
        let list = format!("/run/changes-{}", self.name.replace(' ', "-"));
        let _ = fs::remove_file(&list);
        let output = self.run(verb, &format!("list={list}"));
        assert!(output.status.success(), "{} {verb:?}: {}", self.name, told(&output));
        fs::read_to_string(list).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // What a failed test has left is taken away by whoever runs the next one.
        if std::thread::panicking() {
            return;
        }
        for link in self.scene {
            ip(&["link", "del", link]);
        }
        if matches!(self.calls, Calls::Pod) || self.name == "sriov" {
            networks("delete");
        }
        if self.netns == NETNS {
            ip(&["netns", "del", NETNS]);
        }
    }
}

fn ipam() -> Value {
    json!({"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}], [{"subnet": "fd77::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}]})
}

/// The driver gives all ports one MAC address in this mode.
fn bond(links_in_container: bool, first: &str, second: &str) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "crash-net", "type": "bond", "mode": "active-backup",
        "failOverMac": 0, "linksInContainer": links_in_container,
        "links": [{"name": first}, {"name": second}], "ipam": ipam(),
    })
}

/// The policies and networks of the documented case.
fn networks(verb: &str) {
    let [policies, networks] =
        ["policies", "networks"].map(|name| format!("{EXAMPLES}/{name}.yaml"));
    let output = Command::new("podbond").args([verb, "-f", &policies, "-f", &networks]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", told(&output));
}

/// What a process said of itself.
pub(crate) fn told(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}
