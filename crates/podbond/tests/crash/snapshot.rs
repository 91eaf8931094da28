//! The whole node as lines of text, so that two of them can be compared and the difference read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Where a node keeps what must not be left behind.
const STATE: [&str; 4] =
    ["/var/lib/podbond", "/var/lib/cni/sriov", "/var/lib/cni/networks", "/run/netns"];

/// What `ip -d -j link` shows of a link that is no matter of the moment.
const OF_LINK: [&str; 8] =
    ["ifname", "address", "permaddr", "mtu", "master", "altnames", "parentdev", "vfinfo_list"];

/// What is there: links, their addresses and routes, VF settings, namespaces, files with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Of the node and of namespaces, where they are there.
    pub(crate) fn take(namespaces: &[&str]) -> Self {
        let mut lines = BTreeSet::new();
        look(&[], "node", &mut lines);
        for netns in namespaces {
            if Path::new("/run/netns").join(netns).exists() {
                look(&["-n", netns], netns, &mut lines);
            }
        }
        for dir in STATE {
            files(Path::new(dir), &mut lines);
        }
        Self(lines)
    }

    /// What is there and was not (`+`), and what was there and is not (`-`).
    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        let new = self.0.difference(&before.0).map(|line| format!("+ {line}"));
        let gone = before.0.difference(&self.0).map(|line| format!("- {line}"));
        new.chain(gone).collect()
    }
}

fn look(netns: &[&str], place: &str, lines: &mut BTreeSet<String>) {
    for link in ip(netns, &["-d", "link"]) {
        let name = &link["ifname"];
        // The bridge of the default network stays, and so does what belongs to it.
        if name == "cni0" || link["master"] == "cni0" {
            continue;
        }
        let flags = link["flags"].as_array().unwrap();
        let state = if flags.iter().any(|flag| flag == "UP") { "up" } else { "down" };
        let shown: Vec<String> = OF_LINK
            .iter()
            .filter(|key| !link[**key].is_null())
            .map(|key| format!("{key} {}", link[*key]))
            .collect();
        let kind = &link["linkinfo"]["info_kind"];
        lines.insert(format!("{place} link {} {state} kind {kind}", shown.join(" ")));
    }
    for link in ip(netns, &["addr"]) {
        for address in link["addr_info"].as_array().unwrap() {
            if address["scope"] != "link" && link["ifname"] != "cni0" {
                let (name, local) = (&link["ifname"], &address["local"]);
                lines.insert(format!("{place} address {name} {local}/{}", address["prefixlen"]));
            }
        }
    }
    for route in ip(netns, &["route"]) {
        if route["dev"] != "cni0" {
            lines.insert(format!("{place} route {} dev {}", route["dst"], route["dev"]));
        }
    }
}

fn ip(netns: &[&str], what: &[&str]) -> Vec<Value> {
    let output = Command::new("ip").args(netns).arg("-j").args(what).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
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
