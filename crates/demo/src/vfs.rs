//! The VFs of the node as `ip` shows them, to compare before and after.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::commands::{command, run_json};
use crate::error::Error;

/// What a PF keeps of a VF.
const VF_SETTINGS: [&str; 6] = ["address", "vlan_list", "spoofchk", "trust", "link_state", "rate"];

/// What is compared of a link.
const LINK_FACTS: [&str; 3] = ["ifname", "address", "mtu"];

/// Returns a line for each VF as its PF shows it, and for each VF's link on the node.
pub(crate) fn read() -> Result<BTreeSet<String>, Error> {
    Ok(describe(&run_json(command("ip", ["-j", "-d", "link", "show"]))?))
}

/// Returns the lines that are not in both, those of `before` with a minus.
pub(crate) fn differences(before: &BTreeSet<String>, after: &BTreeSet<String>) -> String {
    let gone = before.difference(after).map(|line| format!("- {line}\n"));
    gone.chain(after.difference(before).map(|line| format!("+ {line}\n"))).collect()
}

fn describe(links: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for link in links.as_array().into_iter().flatten() {
        for vf in link["vfinfo_list"].as_array().into_iter().flatten() {
            let name = format!("VF {} of {}", vf["vf"], plain(&link["ifname"]));
            all.insert(format!("{name:<22} {}", facts(vf, &VF_SETTINGS)));
        }
        if link["parentbus"] == "pci" && link.get("vfinfo_list").is_none() {
            let name = format!("link of {}", plain(&link["parentdev"]));
            all.insert(format!("{name:<22} {}", facts(link, &LINK_FACTS)));
        }
    }
    all
}

fn facts(of: &Value, keys: &[&str]) -> String {
    let found = keys.iter().filter_map(|key| Some(format!("{key} {}", plain(of.get(*key)?))));
    found.collect::<Vec<_>>().join("  ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(trust: bool, name: &str) -> BTreeSet<String> {
        describe(&json!([
            {"ifname": "lo", "mtu": 65536},
            {"ifname": "pf0", "parentbus": "pci", "parentdev": "0000:01:00.0",
             "vfinfo_list": [{"vf": 0, "address": "02:00:00:00:00:01", "trust": trust}]},
            {"ifname": name, "parentbus": "pci", "parentdev": "0000:01:10.0",
             "address": "02:00:00:00:00:01", "mtu": 1500},
        ]))
    }

    #[test]
    fn changed_setting_or_name_is_a_difference() {
        let before = node(false, "pf0v0");
        assert_eq!(differences(&before, &node(false, "pf0v0")), "");
        assert!(differences(&before, &node(true, "pf0v0")).contains("+ VF 0 of pf0"));
        assert!(differences(&before, &node(false, "net1")).contains("ifname net1"));
    }
}
