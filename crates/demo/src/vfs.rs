//! The VFs of the node, as `ip` shows them: to be compared before and after.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::error::Error;
use crate::node::{command, run};

/// What a PF keeps of a VF and the deletion of a pod must put back.
const SETTINGS: [&str; 6] = ["address", "vlan_list", "spoofchk", "trust", "link_state", "rate"];

/// Every VF: what its PF keeps of it, and its link on the host, by a name for people.
#[derive(Debug, PartialEq)]
pub(crate) struct Vfs(BTreeMap<String, BTreeMap<String, String>>);

impl Vfs {
    /// The VFs as they are now.
    pub(crate) fn read() -> Result<Self, Error> {
        let text = run(command("ip", ["-j", "-d", "link", "show"]))?;
        let unread = || Error::unread("ip -j -d link show", &text);
        let links: Vec<Value> = serde_json::from_str(&text).map_err(|_| unread())?;
        Ok(Self::of(&links))
    }

    fn of(links: &[Value]) -> Self {
        let mut vfs = BTreeMap::new();
        for link in links {
            let name = link["ifname"].as_str().unwrap_or_default();
            for vf in link["vfinfo_list"].as_array().into_iter().flatten() {
                let kept = vf.as_object().map(settings).unwrap_or_default();
                vfs.insert(format!("VF {} of {name}", vf["vf"]), kept);
            }
            if link["parentbus"] == "pci" && link.get("vfinfo_list").is_none() {
                let facts =
                    ["ifname", "address", "mtu"].map(|key| (key.to_owned(), plain(&link[key])));
                vfs.insert(format!("link of {}", plain(&link["parentdev"])), facts.into());
            }
        }
        Self(vfs)
    }

    /// A line for each VF and link.
    pub(crate) fn print(&self) {
        for (name, facts) in &self.0 {
            println!("  {name:<22} {}", line(facts));
        }
    }

    /// What is not in both, as lines.
    pub(crate) fn differences(&self, now: &Self) -> String {
        let names: BTreeSet<_> = self.0.keys().chain(now.0.keys()).collect();
        let shown =
            |facts: Option<&BTreeMap<String, String>>| facts.map_or("absent".to_owned(), line);
        let differs = names.into_iter().filter(|name| self.0.get(*name) != now.0.get(*name));
        let lines: Vec<_> = differs
            .map(|name| {
                format!("{name}: was {}, is {}", shown(self.0.get(name)), shown(now.0.get(name)))
            })
            .collect();
        lines.join("\n")
    }
}

fn settings(vf: &Map<String, Value>) -> BTreeMap<String, String> {
    let kept = SETTINGS.iter().filter_map(|key| Some((key.to_string(), plain(vf.get(*key)?))));
    kept.collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn line(facts: &BTreeMap<String, String>) -> String {
    facts.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(trust: bool, name: &str) -> Vfs {
        Vfs::of(&[
            json!({"ifname": "lo", "mtu": 65536}),
            json!({"ifname": "pf0", "parentbus": "pci", "parentdev": "0000:01:00.0",
                   "vfinfo_list": [{"vf": 0, "address": "02:00:00:00:00:01", "trust": trust}]}),
            json!({"ifname": name, "parentbus": "pci", "parentdev": "0000:01:10.0",
                   "address": "02:00:00:00:00:01", "mtu": 1500}),
        ])
    }

    #[test]
    fn a_setting_or_a_name_that_changed_is_a_difference() {
        let before = node(false, "pf0v0");
        assert_eq!(before, node(false, "pf0v0"));
        assert_eq!(before.differences(&node(false, "pf0v0")), "");
        assert!(before.differences(&node(true, "pf0v0")).contains("VF 0 of pf0: was"));
        assert!(before.differences(&node(false, "net1")).contains("ifname net1"));
    }
}
