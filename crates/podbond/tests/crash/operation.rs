//! What is killed: an ADD, and the DEL that takes it back.

use std::fs;
use std::io::Write;
use std::iter::StepBy;
use std::ops::RangeFrom;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::report::is_full;
use crate::scene::{CreatedBy, Dummy, EXAMPLES, Networks, RECORDS, Scene};

const SIGKILL: i32 = 9;

/// Where a process lists its changes.
const LIST: &str = "/run/changes";

/// An ADD and its DEL, each one process.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) scene: Scene,
    calls: Calls,
}

enum Calls {
    /// A plugin, as a runtime calls it.
    Plugin { plugin: &'static str, container: String, config: Value },
    /// `podbond apply` and `podbond delete` of the documented pod.
    Pod,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Del,
}

/// What takes away whatever a process that was killed has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// DEL.
    Del,
    /// GC, to which no attachment is valid.
    Gc,
    /// DEL after the pod's namespace is gone.
    NetnsGone,
    /// `podbond gc` after the pod's namespace is gone.
    PodbondGc,
    /// DEL after a reboot: of namespaces, links and VFs nothing is there, of files on disk everything.
    Reboot,
    /// `podbond gc` after a reboot, and no DEL, as where the runtime's own state is lost.
    RebootGc,
    /// DEL after every record was cut short, then the end of the namespace.
    CutShort,
}

impl Closing {
    /// Whether the VFs are other ones afterwards, and the kernel has restarted.
    pub(crate) fn is_reboot(self) -> bool {
        matches!(self, Self::Reboot | Self::RebootGc)
    }

    /// Whether it is `podbond gc`, after which DEL has to find nothing.
    pub(crate) fn is_podbond_gc(self) -> bool {
        matches!(self, Self::PodbondGc | Self::RebootGc)
    }
}

/// What a process did.
pub(crate) struct Ran {
    pub(crate) output: Output,
    /// The changes that it began, in order: `kind: what`.
    pub(crate) changes: Vec<String>,
}

impl Ran {
    pub(crate) fn has_succeeded(&self) -> bool {
        self.output.status.success()
    }

    pub(crate) fn was_killed(&self) -> bool {
        self.output.status.signal() == Some(SIGKILL)
    }

    /// How it ended and what it said.
    pub(crate) fn output_text(&self) -> String {
        output_text(&self.output)
    }
}

impl Operation {
    pub(crate) fn host_local(pod: u8) -> Self {
        let config = json!({
            "cniVersion": "1.1.0", "name": "crash-net", "type": "host-local", "ipam": ipam(), "ipv6Dad": false,
        });
        Self::plugin("host-local", pod, "host-local", config, Vec::new())
    }

    /// Over links that are the pod's, whose MAC addresses the driver changes.
    pub(crate) fn bond_in_pod(pod: u8) -> Self {
        Self::bond("bond-in-pod", pod, &json!({}))
    }

    /// With an address of its own, and everything that can be set of a port.
    pub(crate) fn bond_mac(pod: u8) -> Self {
        let [first, second] = [0, 1].map(|number| format!("d{pod}{number}"));
        let changes = json!({
            "mac": "02:00:00:00:00:77", "primary": first, "activeSlave": first,
            "links": [{"name": first}, {"name": second, "queueId": 1, "prio": 1}],
        });
        Self::bond("bond-mac", pod, &changes)
    }

    /// With a VLAN interface on it, which has the addresses.
    pub(crate) fn bond_vlan(pod: u8) -> Self {
        Self::bond("bond-vlan", pod, &json!({"vlan": 100}))
    }

    /// In a mode that wants another address for a port that has the first one's.
    pub(crate) fn bond_equal_macs(pod: u8) -> Self {
        let mut operation = Self::bond("bond-equal-macs", pod, &json!({"mode": "balance-tlb"}));
        let shared = operation.scene.links[0].mac.clone();
        operation.scene.links[1].mac = shared;
        operation.scene.links[1].shares_mac = true;
        operation
    }

    /// Over links of the node, one up and one down, with an MTU that is not theirs.
    pub(crate) fn bond_on_host(pod: u8) -> Self {
        let changes = json!({"linksInContainer": false, "mtu": 1400});
        let mut operation = Self::bond("bond-on-host", pod, &changes);
        operation.scene.links[1].is_up = false;
        for link in &mut operation.scene.links {
            link.is_pods = false;
        }
        operation
    }

    /// Over VFs of the node, which fall back to it when their namespace is gone, with an MTU that is
    /// not theirs.
    pub(crate) fn bond_over_vfs(pod: u8) -> Self {
        let vfs = &["vf0", "vf1"];
        let links = vfs.map(|name| json!({"name": name}));
        let changes =
            json!({"linksInContainer": false, "mtu": 1400, "failOverMac": 1, "links": links});
        let mut operation = Self::bond("bond-over-vfs", pod, &changes);
        operation.scene.links.clear();
        operation.scene.networks = Networks::VfsAlone;
        operation.scene.vfs = vfs;
        operation
    }

    /// With every setting that the card keeps. All pods want the same VF.
    pub(crate) fn sriov(pod: u8) -> Self {
        let config = json!({
            "cniVersion": "1.1.0", "name": "crash-net", "type": "sriov", "vlan": 100,
            "spoofchk": "off", "trust": "on", "max_tx_rate": 100, "mac": "02:00:00:00:07:07",
            "ipam": ipam(), "ipv6Dad": false,
        });
        let mut operation = Self::plugin("sriov", pod, "sriov", config, Vec::new());
        operation.scene.networks = Networks::Documented;
        operation.scene.vfs = &["vf0"];
        operation
    }

    /// The documented pod.
    pub(crate) fn chain() -> Self {
        let scene = Scene {
            netns: "demo.bondpod1".to_owned(),
            created_by: CreatedBy::Podbond,
            links: Vec::new(),
            vfs: &[],
            networks: Networks::Documented,
        };
        Self { name: "chain", scene, calls: Calls::Pod }
    }

    /// A bond over two links, which gives all ports one MAC address.
    fn bond(name: &'static str, pod: u8, changes: &Value) -> Self {
        let link = |number: u8| Dummy {
            is_pods: true,
            name: format!("d{pod}{number}"),
            mac: format!("02:00:00:00:{pod:02x}:{number:02x}"),
            shares_mac: false,
            is_up: true,
        };
        let links = [0, 1].map(link);
        let mut config = json!({
            "cniVersion": "1.1.0", "name": "crash-net", "type": "bond", "mode": "active-backup",
            "failOverMac": 0, "linksInContainer": true, "ipam": ipam(), "ipv6Dad": false,
            "links": links.each_ref().map(|link| json!({"name": link.name})),
        });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        Self::plugin(name, pod, "bond", config, links.into())
    }

    fn plugin(
        name: &'static str,
        pod: u8,
        plugin: &'static str,
        config: Value,
        links: Vec<Dummy>,
    ) -> Self {
        let scene = Scene {
            netns: format!("crash{pod}"),
            created_by: CreatedBy::Runtime,
            links,
            vfs: &[],
            networks: Networks::None,
        };
        let container = format!("crash-c{pod}");
        Self { name, scene, calls: Calls::Plugin { plugin, container, config } }
    }

    /// Returns the numbers of the changes at which it is killed or refused: all, until there is none of that
    /// number. Of a chain, whose plugins have their own tests, each run takes every second one, whose turn
    /// follows from the day.
    pub(crate) fn positions(&self) -> StepBy<RangeFrom<usize>> {
        if !self.is_pod() || is_full() {
            return (1..).step_by(1);
        }
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / (24 * 60 * 60);
        (1 + usize::from(day % 2 == 1)..).step_by(2)
    }

    /// What may follow a kill.
    pub(crate) fn closings(&self) -> &'static [Closing] {
        use Closing::{CutShort, Del, Gc, NetnsGone, PodbondGc, Reboot, RebootGc};
        match self.calls {
            // The other plugins tell `podbond gc` which leases belong to nobody.
            Calls::Plugin { plugin: "host-local", .. } => &[Del, Gc, NetnsGone, Reboot],
            Calls::Plugin { .. } => &[Del, Gc, NetnsGone, PodbondGc, Reboot, RebootGc, CutShort],
            Calls::Pod => &[Del, NetnsGone, PodbondGc, Reboot, RebootGc, CutShort],
        }
    }

    /// The plugin, or the command, that it is about.
    pub(crate) fn by(&self) -> &'static str {
        match self.calls {
            Calls::Plugin { plugin, .. } => plugin,
            Calls::Pod => "podbond apply",
        }
    }

    fn is_pod(&self) -> bool {
        matches!(self.calls, Calls::Pod)
    }

    /// Whether a line of what is left is no loss: `podbond gc` leaves it to `podbond delete` to forget
    /// a pod.
    pub(crate) fn may_leave(&self, closing: Closing, line: &str) -> bool {
        let is_of_pod = self.is_pod() && closing.is_podbond_gc();
        let is_manifest = is_of_pod && line.starts_with("+ file /var/lib/podbond/manifests/pods/");
        // Without a record nobody knows what a link was like; that it is back on the node is compared.
        is_manifest || (closing == Closing::CutShort && !line[2..].starts_with("file "))
    }

    /// CHECK of what an ADD answered.
    pub(crate) fn check(&self, added: &Ran) -> Ran {
        let Calls::Plugin { config, .. } = &self.calls else {
            panic!("{} knows no CHECK", self.name);
        };
        let mut config = config.clone();
        config["prevResult"] = serde_json::from_slice(&added.output.stdout).unwrap();
        self.call("CHECK", config, "")
    }

    /// Runs it under a fault, in the words of `PODBOND_FAULT`.
    pub(crate) fn run(&self, verb: Verb, fault: &str) -> Ran {
        let Calls::Plugin { config, .. } = &self.calls else {
            let mut command = Command::new("podbond");
            command.arg(if verb == Verb::Add { "apply" } else { "delete" });
            command.args(["-f", &format!("{EXAMPLES}/bondpod1.yaml")]);
            return run(command, "", fault);
        };
        let verb = if verb == Verb::Add { "ADD" } else { "DEL" };
        self.call(verb, config.clone(), fault)
    }

    /// Takes away what is left. What the end of a namespace takes with it is there again afterwards.
    /// `valid` are those whose attachments GC leaves alone.
    pub(crate) fn close(&self, closing: Closing, valid: &[&Self], fault: &str) -> Ran {
        let ran = match closing {
            Closing::Del => {
                let ran = self.run(Verb::Del, fault);
                if fault.is_empty() && self.is_pod() { retry_pending(ran) } else { ran }
            }
            Closing::NetnsGone => {
                self.scene.remove_netns();
                self.run(Verb::Del, fault)
            }
            Closing::Reboot => {
                self.scene.reboot();
                self.run(Verb::Del, fault)
            }
            Closing::PodbondGc => {
                self.scene.remove_netns();
                Scene::wait_for_writers();
                gc(fault)
            }
            Closing::RebootGc => {
                self.scene.reboot();
                gc(fault)
            }
            Closing::CutShort => {
                Scene::cut_records_short();
                let ran = self.run(Verb::Del, fault);
                // The pod ends, and the kernel gives hardware back that nobody knew of any more.
                self.scene.remove_netns();
                ran
            }
            Closing::Gc => {
                let Calls::Plugin { config, .. } = &self.calls else {
                    panic!("{} knows no GC", self.name);
                };
                Scene::wait_for_writers();
                let valid = valid.iter().filter_map(|other| other.attachment());
                let mut config = config.clone();
                config["cni.dev/valid-attachments"] = valid.collect();
                self.call("GC", config, fault)
            }
        };
        self.scene.repair();
        ran
    }

    fn attachment(&self) -> Option<Value> {
        match &self.calls {
            Calls::Plugin { container, .. } => {
                Some(json!({"containerID": container, "ifname": "net3"}))
            }
            Calls::Pod => None,
        }
    }

    fn call(&self, verb: &str, mut config: Value, fault: &str) -> Ran {
        let Calls::Plugin { plugin, container, .. } = &self.calls else {
            panic!("{} is no plugin", self.name);
        };
        if *plugin == "sriov" {
            config["deviceID"] = first_vf().into();
        }
        let mut command = Command::new(format!("/opt/cni/bin/{plugin}"));
        command.env("CNI_COMMAND", verb).env("CNI_PATH", "/opt/cni/bin");
        if verb != "GC" {
            command.env("CNI_CONTAINERID", container).env("CNI_IFNAME", "net3");
            command.env("CNI_NETNS", format!("/run/netns/{}", self.scene.netns));
        }
        run(command, &config.to_string(), fault)
    }
}

/// `podbond gc`.
fn gc(fault: &str) -> Ran {
    let mut command = Command::new("podbond");
    command.arg("gc");
    run(command, "", fault)
}

/// A DEL whose IPAM plugin failed has succeeded and recorded that. `podbond delete` knows nothing of the
/// pod any more: `podbond gc` asks the plugin again.
fn retry_pending(deleted: Ran) -> Ran {
    let mut records = RECORDS.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten());
    let is_pending = records.any(|record| {
        let record = fs::read_to_string(record.unwrap().path()).unwrap_or_default();
        record.contains(r#""state":"ipam-pending""#)
    });
    if deleted.has_succeeded() && is_pending { gc("") } else { deleted }
}

/// The PCI address of the first VF, which it keeps when it is made again.
fn first_vf() -> &'static str {
    static VF: OnceLock<String> = OnceLock::new();
    VF.get_or_init(|| {
        let vf = fs::read_link("/sys/class/net/pf0/device/virtfn0").unwrap();
        vf.file_name().unwrap().to_str().unwrap().to_owned()
    })
}

fn run(mut command: Command, input: &str, fault: &str) -> Ran {
    let _ = fs::remove_file(LIST);
    // Not plugins that it calls by exec in turn.
    let of = std::process::id();
    command.env("PODBOND_FAULT", format!("list={LIST} child-of={of} {fault}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that is killed early does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let list = fs::read_to_string(LIST).unwrap_or_default();
    let changes = list.lines().filter_map(|line| line.split_once(' '));
    Ran { output, changes: changes.map(|(_pid, change)| change.to_owned()).collect() }
}

/// With `ipv6Dad` false beside it: an ADD would wait a second or two for duplicate address detection.
fn ipam() -> Value {
    json!({"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}], [{"subnet": "fd77::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.0.2.0/24"}]})
}

/// Of which kind a change is.
pub(crate) fn kind(change: &str) -> &str {
    change.split(':').next().unwrap_or_default()
}

/// What a process said of itself.
pub(crate) fn output_text(output: &Output) -> String {
    // A plugin's error is its answer.
    let said = if output.status.success() { &[][..] } else { &output.stdout };
    let [said, errors] =
        [said, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    format!("{}: {} {}", output.status, said.trim(), errors.trim())
}
