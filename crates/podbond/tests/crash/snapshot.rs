//! The whole node as lines of text, so that two of them can be compared and the difference read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Deserializer, Value};

use crate::card::{NO_ADDRESS, settled};

/// Where a node keeps what must not be left behind.
const STATE: [&str; 5] = [
    "/var/lib/podbond",
    "/var/lib/cni/sriov",
    "/var/lib/cni/networks",
    "/run/podbond/attachments",
    "/run/netns",
];

/// What `ip -d -j link` shows of a link that does not change by itself. `permaddr` is one: the VF's
/// driver notes under it what its card reported when it was reset last, and that is when it came up.
const OF_LINK: [&str; 7] =
    ["ifname", "address", "mtu", "master", "altnames", "parentdev", "vfinfo_list"];

/// What one `ip` is asked in each namespace. Under emulation its start takes the most time.
const QUESTIONS: &str = "link show\naddress show\nroute show table all\n";

/// Routes that the kernel makes with addresses, when it has found nobody else who has them.
const OF_KERNEL: [&str; 4] = ["local", "broadcast", "anycast", "multicast"];

/// How the lines of files begin that outlive a reboot.
pub(crate) const FILE: &str = "file /var/lib/";

/// How the lines of files begin that podbond itself writes, those among them that do not.
pub(crate) const FILES: [&str; 2] = [FILE, "file /run/podbond/"];

/// What is there: links, their addresses and routes, VF settings, namespaces, files with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    node: BTreeSet<String>,
    namespaces: BTreeMap<String, BTreeSet<String>>,
}

impl Snapshot {
    /// Of the node and of namespaces; nothing is in one that is not there.
    pub(crate) fn take(namespaces: &[&str]) -> Self {
        settled(|| Self::look(namespaces), Self::has_vf_in_reset)
    }

    fn look(namespaces: &[&str]) -> Self {
        let path = Path::new("/run/netns");
        let asked: Vec<_> = namespaces
            .iter()
            .map(|name| (*name, path.join(name).exists().then(|| ask(&["-n", name]))))
            .collect();
        let of_node = ask(&[]);
        let mut node = seen_in("node", of_node);
        for dir in STATE {
            files(Path::new(dir), &mut node);
        }
        let seen = asked.into_iter().map(|(name, asked)| {
            (name.to_owned(), asked.map_or_else(BTreeSet::new, |asked| seen_in(name, asked)))
        });
        Self { node, namespaces: seen.collect() }
    }

    /// How many links are on the node, and in the namespaces that were looked at.
    pub(crate) fn links(&self) -> [usize; 2] {
        let is_link = |line: &&String| line.split(' ').nth(1) == Some("link");
        let of_namespaces = self.namespaces.values().flatten().filter(is_link).count();
        [self.node.iter().filter(is_link).count(), of_namespaces]
    }

    /// Among the lines of PFs; a link's own address is not written so.
    fn has_vf_in_reset(&self) -> bool {
        let shown = format!(r#""address":"{NO_ADDRESS}""#);
        self.node.iter().any(|line| line.contains(&shown))
    }

    /// What is there and was not (`+`), and what was there and is not (`-`), in the namespaces that
    /// were looked at this time.
    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        let mut lines = differences(&self.node, &before.node);
        for (name, now) in &self.namespaces {
            lines.extend(differences(now, before.namespaces.get(name).unwrap_or(&BTreeSet::new())));
        }
        lines
    }
}

fn differences(now: &BTreeSet<String>, before: &BTreeSet<String>) -> Vec<String> {
    let new = now.difference(before).map(|line| format!("+ {line}"));
    new.chain(before.difference(now).map(|line| format!("- {line}"))).collect()
}

/// Asks for everything. Several namespaces are asked at a time.
fn ask(netns: &[&str]) -> Child {
    let mut command = Command::new("ip");
    command.args(netns).args(["-details", "-json", "-batch", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(QUESTIONS.as_bytes()).unwrap();
    child
}

fn seen_in(place: &str, asked: Child) -> BTreeSet<String> {
    let output = asked.wait_with_output().unwrap();
    assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
    let answers = Deserializer::from_slice(&output.stdout).into_iter::<Vec<Value>>();
    let answers: Vec<Vec<Value>> = answers.map(Result::unwrap).collect();
    let [links, addresses, routes] = &answers[..] else { panic!("{place}: {answers:?}") };
    let mut seen: Vec<String> = links.iter().filter_map(link).collect();
    seen.extend(addresses.iter().flat_map(of_addresses));
    seen.extend(routes.iter().filter_map(route));
    seen.into_iter().map(|line| format!("{place} {line}")).collect()
}

/// The bridge of the default network stays, and so does what belongs to it.
fn is_of_bridge(name: &Value) -> bool {
    name == "cni0"
}

fn link(link: &Value) -> Option<String> {
    if is_of_bridge(&link["ifname"]) || is_of_bridge(&link["master"]) {
        return None;
    }
    let is_up = link["flags"].as_array()?.iter().any(|flag| flag == "UP");
    let shown: Vec<String> = OF_LINK
        .iter()
        .filter(|key| !link[**key].is_null())
        .map(|key| format!("{key} {}", link[*key]))
        .collect();
    let state = if is_up { "up" } else { "down" };
    Some(format!("link {} {state} kind {}", shown.join(" "), link["linkinfo"]["info_kind"]))
}

fn of_addresses(link: &Value) -> Vec<String> {
    let name = &link["ifname"];
    let addresses = link["addr_info"].as_array().into_iter().flatten();
    addresses
        .filter(|address| address["scope"] != "link" && !is_of_bridge(name))
        .map(|address| format!("address {name} {}/{}", address["local"], address["prefixlen"]))
        .collect()
}

fn route(route: &Value) -> Option<String> {
    let is_of_kernel = OF_KERNEL.iter().any(|kind| route["type"] == *kind);
    let is_of_link = route["dst"].as_str()?.starts_with("fe80:");
    let is_meant = !is_of_kernel && !is_of_link && !is_of_bridge(&route["dev"]);
    is_meant.then(|| format!("route {} dev {}", route["dst"], route["dev"]))
}

/// Locks stay for good, and so does the place where the next search for an address begins.
fn files(dir: &Path, lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let stays = name == "lock"
            || path.extension().is_some_and(|end| end == "lock")
            || name.starts_with("last_reserved_ip.");
        if path.is_dir() {
            files(&path, lines);
        } else if !stays {
            let content = fs::read(&path).unwrap_or_default();
            let content = String::from_utf8_lossy(&content).into_owned();
            lines.insert(format!("file {} {content:?}", path.display()));
        }
    }
}
