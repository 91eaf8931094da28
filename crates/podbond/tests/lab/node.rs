//! The node of the lab, and what a test does with it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::{panicking, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::card::{NO_ADDRESS, said_by_kernel, settled};

/// Where a node keeps what must not be left behind.
const STATE: [&str; 5] = [
    "/var/lib/podbond",
    "/var/lib/cni/sriov",
    "/var/lib/cni/networks",
    "/run/netns",
    "/run/podbond/attachments",
];

/// Files that stay for good: locks, and where the next search for an address begins.
const STAYING: [&str; 2] = ["lock", "last_reserved_ip.0"];

/// The documented manifests.
pub(crate) const EXAMPLES: &str = "/root/examples";

/// What can leak: links, VF settings, namespaces and state files.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    links: BTreeMap<String, Value>,
    files: Vec<PathBuf>,
}

impl Snapshot {
    pub(crate) fn take() -> Self {
        settled(Self::look, Self::has_vf_in_reset)
    }

    fn look() -> Self {
        let links: Vec<Value> = serde_json::from_str(&ip("-j -d link show")).unwrap();
        let mut files = Vec::new();
        for dir in STATE {
            walk(Path::new(dir), &mut files);
        }
        files.sort();
        // cni0 and its ports belong to the default network, whose bridge stays.
        let ours = links.into_iter().filter(|link| link["ifname"] != "cni0");
        Self { links: ours.map(|link| (words(&link["ifname"]), facts(&link))).collect(), files }
    }

    fn has_vf_in_reset(&self) -> bool {
        let vfs = self.links.values().filter_map(|link| link["vfs"].as_array()).flatten();
        vfs.into_iter().any(|vf| vf["address"] == NO_ADDRESS)
    }

    /// All of it but the names of links.
    pub(crate) fn without_names(&self) -> (Vec<String>, &[PathBuf]) {
        let mut links: Vec<String> = self.links.values().map(ToString::to_string).collect();
        links.sort();
        (links, &self.files)
    }

    /// The state files.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The same without a file that is to stay.
    pub(crate) fn without(mut self, file: &str) -> Self {
        self.files.retain(|path| path != Path::new(file));
        self
    }
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(&path, files);
        } else if !STAYING.contains(&name.as_str())
            && path.extension().is_none_or(|end| end != "lock")
        {
            files.push(path);
        }
    }
}

/// What of a link is configuration and does not change by itself.
fn facts(link: &Value) -> Value {
    let is_up = link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP");
    json!({
        "address": link["address"], "mtu": link["mtu"], "master": link["master"], "up": is_up,
        "kind": link["linkinfo"]["info_kind"], "vfs": link["vfinfo_list"],
        "altnames": link["altnames"],
    })
}

pub(crate) fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Links of the node, up, for as long as the value lives: with them goes all that hangs on them.
pub(crate) struct NodeLinks(&'static [&'static str]);

impl NodeLinks {
    /// Each by what stands after `ip link add`, its name first. Those of `names` go with the value.
    pub(crate) fn new(names: &'static [&'static str], created: &[&str]) -> Self {
        let links = Self(names);
        links.remove();
        for link in created {
            ip(&format!("link add {link}"));
            let name = link.split_whitespace().next().unwrap_or_default();
            ip(&format!("link set {name} up"));
        }
        links
    }

    /// The links take1 and take2, without hardware.
    pub(crate) fn dummies() -> Self {
        Self::new(&["take1", "take2"], &["take1 type dummy", "take2 type dummy"])
    }

    fn remove(&self) {
        for name in self.0 {
            let _ = Command::new("ip").args(["link", "del", name]).output();
        }
    }
}

impl Drop for NodeLinks {
    fn drop(&mut self) {
        self.remove();
    }
}

/// iproute2's `ip`; it must succeed.
pub(crate) fn ip(arguments: &str) -> String {
    let mut command = Command::new("ip");
    succeeded(&command.args(arguments.split_whitespace()).output().unwrap())
}

/// A podbond command.
pub(crate) fn podbond(arguments: &[&str]) -> Output {
    Command::new("podbond").args(arguments).output().unwrap()
}

/// `podbond apply` of a manifest's text.
pub(crate) fn apply(manifest: &str) -> Output {
    with_input(Command::new("podbond").args(["apply", "-f", "-"]), manifest)
}

/// `podbond apply` by a user that may do nothing.
pub(crate) fn apply_as_nobody(manifest: &str) -> Output {
    with_input(Command::new("podbond").args(["apply", "-f", "-"]).uid(65534).gid(65534), manifest)
}

/// `podbond delete` of a manifest's text.
pub(crate) fn delete(manifest: &str) -> Output {
    with_input(Command::new("podbond").args(["delete", "-f", "-"]), manifest)
}

/// What a command printed; it must have succeeded.
pub(crate) fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}{printed}", output.status);
    printed
}

/// What a podbond command said of its failure; it must have failed without a panic.
pub(crate) fn failed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status.code();
    assert!(matches!(status, Some(1 | 3)), "{status:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// One call of an installed plugin, as a runtime makes it.
pub(crate) struct Call<'c> {
    pub(crate) plugin: &'c str,
    pub(crate) command: &'c str,
    pub(crate) container: &'c str,
    pub(crate) netns: &'c str,
    pub(crate) ifname: &'c str,
}

impl Call<'_> {
    /// The answer on standard output: a result, or an error object.
    pub(crate) fn run(&self, config: &Value) -> Result<Value, Value> {
        self.run_text(&config.to_string())
    }

    pub(crate) fn run_text(&self, config: &str) -> Result<Value, Value> {
        self.run_as(&mut Command::new(format!("/opt/cni/bin/{}", self.plugin)), config)
    }

    /// The same by a command of the test's own making.
    pub(crate) fn run_as(&self, command: &mut Command, config: &str) -> Result<Value, Value> {
        self.run_with_path("/opt/cni/bin", command, config)
    }

    /// The same with plugins of the test's own choice.
    pub(crate) fn run_with_path(
        &self,
        path: &str,
        command: &mut Command,
        config: &str,
    ) -> Result<Value, Value> {
        self.begin(path, command, config).end()
    }

    /// Starts the plugin, and does not wait for it.
    pub(crate) fn start(&self, config: &Value) -> Running {
        let mut command = Command::new(format!("/opt/cni/bin/{}", self.plugin));
        self.begin("/opt/cni/bin", &mut command, &config.to_string())
    }

    fn begin(&self, path: &str, command: &mut Command, config: &str) -> Running {
        command
            .env("CNI_COMMAND", self.command)
            .env("CNI_CONTAINERID", self.container)
            .env("CNI_NETNS", self.netns)
            .env("CNI_IFNAME", self.ifname)
            .env("CNI_PATH", path);
        Running(begin(command, config))
    }
}

/// A plugin that was called and has not answered yet.
pub(crate) struct Running(Child);

impl Running {
    /// Its answer, as [`Call::run`] gives it.
    pub(crate) fn end(self) -> Result<Value, Value> {
        let output = self.0.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let answer = || serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{output:?}"));
        match (output.status.success(), printed.trim().is_empty()) {
            (true, true) => Ok(Value::Null),
            (true, false) => Ok(answer()),
            (false, _) => Err(answer()),
        }
    }
}

fn with_input(command: &mut Command, input: &str) -> Output {
    begin(command, input).wait_with_output().unwrap()
}

/// Starts a command with this input.
pub(crate) fn begin(command: &mut Command, input: &str) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A plugin that refuses its environment does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child
}

/// The administrator's file.
pub(crate) const ADMINISTRATORS_FILE: &str = "/etc/podbond/config.toml";

/// The administrator's file for as long as the value lives.
pub(crate) struct HostRules;

impl HostRules {
    pub(crate) fn write(text: &str) -> Self {
        fs::create_dir_all("/etc/podbond").unwrap();
        fs::write(ADMINISTRATORS_FILE, text).unwrap();
        Self
    }

    /// Bonds may take every link that can be allowed.
    pub(crate) fn allow_all() -> Self {
        Self::write("[host-links]\nallow = [{ name = \"*\" }]\n")
    }
}

impl Drop for HostRules {
    fn drop(&mut self) {
        let _ = fs::remove_file(ADMINISTRATORS_FILE);
    }
}

/// The PFs of the documented policies, and how many VFs those want of each.
const PFS: [&str; 2] = ["pf0", "pf1"];
const VFS: usize = 4;

/// The documented policies and networks for as long as a test runs, and the node as it was before
/// when it ends well.
pub(crate) struct WithNetworks(Snapshot);

impl WithNetworks {
    /// Applies them on a node whose PFs have their VFs already, as an operator would have made them: to make
    /// them and take them back would be most of a test's time. They are made anew once their PF has lost its
    /// carrier, after which a VF of this card needs to be opened before it takes an address.
    pub(crate) fn new() -> Self {
        Self::make_vfs_once();
        Self::apply()
    }

    /// The same VFs without policies and networks: nobody gives them to pods.
    pub(crate) fn vfs_alone() -> Self {
        Self::make_vfs_once();
        Self(Snapshot::take())
    }

    fn make_vfs_once() {
        static MADE_AT: Mutex<[Option<String>; PFS.len()]> =
            Mutex::new([const { None }; PFS.len()]);
        sweep();
        let mut made_at = MADE_AT.lock().unwrap_or_else(PoisonError::into_inner);
        for (pf, made_at) in PFS.iter().zip(&mut *made_at) {
            let count = fs::read_to_string(num_vfs(pf)).unwrap();
            if count.trim() != VFS.to_string() || *made_at != Some(carrier_changes(pf)) {
                make_vfs(pf);
                *made_at = Some(carrier_changes(pf));
            }
        }
    }

    /// The same on a node without VFs: the policies make them, and take them back at the end. For tests
    /// in which VFs are made again, which are other ones then.
    pub(crate) fn with_new_vfs() -> Self {
        sweep();
        remove_vfs();
        Self::apply()
    }

    fn apply() -> Self {
        let before = Self(Snapshot::take());
        for file in ["policies", "networks", "bond-net1"] {
            succeeded(&podbond(&["apply", "-f", &format!("{EXAMPLES}/{file}.yaml")]));
        }
        before
    }

    /// Takes the networks back; nothing may be left.
    pub(crate) fn end(self) {
        succeeded(&podbond(&["delete", "-f", EXAMPLES]));
        assert_eq!(Snapshot::take(), self.0);
    }
}

impl Drop for WithNetworks {
    /// The next test does not get VFs as a test that failed has left them.
    fn drop(&mut self) {
        if panicking() {
            for pf in PFS {
                let _ = fs::write(num_vfs(pf), "0");
            }
        }
    }
}

/// Makes the VFs of a PF as a policy does: each gets its address from the PF.
fn make_vfs(pf: &str) {
    ip(&format!("link set {pf} up"));
    set_num_vfs(pf, 0);
    set_num_vfs(pf, VFS);
    wait_for("all VFs have a link", || has_links(pf, VFS));
    wait_for("the PF has carrier", || {
        fs::read_to_string(format!("/sys/class/net/{pf}/carrier"))
            .is_ok_and(|text| text.trim() == "1")
    });
    for number in 0..VFS {
        let links = format!("/sys/class/net/{pf}/device/virtfn{number}/net");
        let link = fs::read_dir(links).unwrap().next().unwrap().unwrap().path();
        let mac = fs::read_to_string(link.join("address")).unwrap();
        ip(&format!("link set {pf} vf {number} mac {mac}"));
    }
}

fn carrier_changes(pf: &str) -> String {
    fs::read_to_string(format!("/sys/class/net/{pf}/carrier_changes")).unwrap()
}

/// Removes all VFs of the node.
pub(crate) fn remove_vfs() {
    for pf in PFS {
        set_num_vfs(pf, 0);
    }
}

fn set_num_vfs(pf: &str, count: usize) {
    fs::write(num_vfs(pf), count.to_string()).unwrap();
}

fn num_vfs(pf: &str) -> String {
    format!("/sys/class/net/{pf}/device/sriov_numvfs")
}

/// The PCI address of a VF of pf0.
pub(crate) fn vf(number: usize) -> String {
    let path = fs::read_link(format!("/sys/class/net/pf0/device/virtfn{number}")).unwrap();
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Waits until something is so, which may take a card in a busy machine its time.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        let is_late = start.elapsed() >= Duration::from_mins(1);
        assert!(!is_late, "waited in vain until {what}: {}", said_by_kernel());
        sleep(Duration::from_millis(50));
    }
}

/// Whether that many VFs of a PF have a link on the node.
pub(crate) fn has_links(pf: &str, count: usize) -> bool {
    (0..count).all(|number| {
        let links = fs::read_dir(format!("/sys/class/net/{pf}/device/virtfn{number}/net"));
        links.is_ok_and(|mut links| links.next().is_some())
    })
}

/// Takes away what a test that failed before has left, so that it fails alone.
pub(crate) fn sweep() {
    // What plugins made for a container whose namespace ended; a lease that stays pending is no matter.
    let _ = podbond(&["gc"]);
    for pod in pods(&[]) {
        let (name, namespace) = (words(&pod["name"]), words(&pod["namespace"]));
        if !namespace.is_empty() {
            succeeded(&podbond(&["delete", "pod", &name, "-n", &namespace]));
        }
    }
    succeeded(&podbond(&["delete", "-f", EXAMPLES]));
}

/// A pod of the namespace demo as `podbond status` shows it to machines.
pub(crate) fn status(name: &str) -> Value {
    pods(&["-n", "demo", name]).remove(0)
}

/// The pods that `podbond status` shows to machines.
pub(crate) fn pods(which: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["status", "-o", "json"].iter().chain(which).copied().collect();
    let mut status: Value = serde_json::from_str(&succeeded(&podbond(&arguments))).unwrap();
    serde_json::from_value(status["pods"].take()).unwrap()
}

/// One of its interfaces.
pub(crate) fn interface<'s>(status: &'s Value, name: &str) -> &'s Value {
    let all = status["interfaces"].as_array().unwrap();
    all.iter().find(|interface| interface["name"] == name).unwrap_or_else(|| panic!("{status}"))
}

/// What a command prints in the pod; it must succeed.
pub(crate) fn in_pod(name: &str, command: &[&str]) -> String {
    let arguments: Vec<&str> =
        ["exec", "-n", "demo", name, "--"].iter().chain(command).copied().collect();
    succeeded(&podbond(&arguments))
}

/// A pod's manifest with these networks.
pub(crate) fn pod(name: &str, networks: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: demo\n  annotations:\n    \
         k8s.v1.cni.cncf.io/networks: '{networks}'\n"
    )
}

/// A NAD's manifest with this configuration.
pub(crate) fn nad(name: &str, config: &str) -> String {
    let manifest = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": "demo"}, "spec": {"config": config},
    });
    format!("{manifest}\n---\n")
}

/// The documented bond with keys replaced, or taken away by null.
pub(crate) fn bond_config(changes: &Value) -> Value {
    let mut config = json!({
        "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "mode": "active-backup",
        "failOverMac": 1, "linksInContainer": true, "miimon": "100", "mtu": 1500,
        "links": [{"name": "net1"}, {"name": "net2"}],
        "ipam": {"type": "host-local", "subnet": "10.56.217.0/24",
                 "routes": [{"dst": "0.0.0.0/0"}], "gateway": "10.56.217.1"}
    });
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(config.as_object_mut().unwrap().remove(key)),
            value => config[key] = value.clone(),
        }
    }
    config
}

/// A namespace with the dummy links net1 and net2, up, for as long as the value lives.
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    pub(crate) fn with_links(name: &str) -> Self {
        let _ = Command::new("ip").args(["netns", "del", name]).output();
        ip(&format!("netns add {name}"));
        let netns = Self { name: name.to_owned() };
        for link in ["net1", "net2"] {
            netns.ip(&format!("link add {link} type dummy"));
            netns.ip(&format!("link set {link} up"));
        }
        netns
    }

    pub(crate) fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    /// The link with its details; null where there is none.
    pub(crate) fn link(&self, name: &str) -> Value {
        let links: Value = serde_json::from_str(&self.ip("-j -d addr show")).unwrap();
        let found = links.as_array().unwrap().iter().find(|link| link["ifname"] == name);
        found.cloned().unwrap_or_default()
    }

    /// What the namespace's links are like, to compare.
    pub(crate) fn links(&self) -> BTreeMap<String, Value> {
        let links: Vec<Value> = serde_json::from_str(&self.ip("-j -d link show")).unwrap();
        links.iter().map(|link| (words(&link["ifname"]), facts(link))).collect()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Where the records of attachments are: those with a lease, and those without.
pub(crate) const RECORDS: [&str; 2] = ["/var/lib/podbond/attachments", "/run/podbond/attachments"];

/// The records of attachments, by container and interface as their files are named.
pub(crate) fn records() -> BTreeMap<String, Value> {
    let files = RECORDS.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten());
    let record = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_slice(&fs::read(&path).unwrap()).unwrap_or_default())
    };
    files.map(|entry| record(entry.unwrap().path())).collect()
}
