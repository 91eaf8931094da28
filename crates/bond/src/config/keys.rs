//! Which keys a configuration may have, beside the options of the driver.

use podbond_cni::{field, is_key};
use podbond_kernel::bond::table::{self, Scope};
use serde_json::{Map, Value};

use crate::finding::{Finding, Object, kind};

/// A key of the plugin's own.
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// The JSON that it takes, as a JSON Schema says it.
    pub schema: &'static str,
    /// What it means when it is absent.
    pub default: &'static str,
    /// A value, as JSON.
    pub example: &'static str,
    /// What it does.
    pub what: &'static str,
}

/// The plugin's own keys: all that is neither CNI's nor an option of the driver.
pub static KEYS: &[Key] = &[
    Key {
        name: "mode",
        schema: r#"{"enum": ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb", 0, 1, 2, 3, 4, 5, 6, "0", "1", "2", "3", "4", "5", "6"]}"#,
        default: "none: it must be given",
        example: "\"active-backup\"",
        what: "The mode, by name or number: balance-rr (0), active-backup (1), balance-xor (2), \
               broadcast (3), 802.3ad (4), balance-tlb (5), balance-alb (6).",
    },
    Key {
        name: "links",
        schema: "",
        default: "none: two or more must be given",
        example: r#"[{"name": "net1"}, {"name": "net2"}]"#,
        what: "The links that become the ports, each by name and with what options it has of its own.",
    },
    Key {
        name: "linksInContainer",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether the links are in the pod already, made by networks that stand earlier in its \
               annotation (true), or are links of the node that are moved into the pod (false).",
    },
    Key {
        name: "mtu",
        schema: r#"{"anyOf": [{"const": 0}, {"type": "integer", "minimum": 68, "maximum": 65535}, {"type": "string", "pattern": "^[0-9]{1,5}$"}]}"#,
        default: "1500, or the smallest MTU of the links if that is smaller",
        example: "1500",
        what: "The MTU of the bond, its ports and the VLAN interface on it, in bytes: 68 to 65535, and \
               no more than each port has. 0 counts as absent. After DEL each port has the MTU that \
               it had before.",
    },
    Key {
        name: "mac",
        schema: r#"{"type": "string", "pattern": "^([0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5})?$"}"#,
        default: "the first port's address, or with failOverMac active the active port's",
        example: "\"02:00:00:56:d9:01\"",
        what: "The MAC address of the bond: a unicast address, not all zeros. The capability mac \
               (runtimeConfig.mac) takes precedence over it, and so does MAC of CNI_ARGS. The driver gives the \
               address to every port that sends, so that VFs need trust. Refused in active-backup \
               with failOverMac active, where the bond always carries the active port's address. \
               After DEL each port has the address that it had before, unless two would have the \
               same one: then the later has its hardware's, or a locally administered one.",
    },
    Key {
        name: "vlan",
        schema: r#"{"anyOf": [{"type": "integer", "minimum": 0, "maximum": 4094}, {"type": "string", "pattern": "^[0-9]+$"}]}"#,
        default: "none, as is 0: the bond itself is the pod's interface",
        example: "100",
        what: "The VLAN ID, 1 to 4094, of a VLAN interface on the bond. It is the pod's interface \
               then: it has the name of the attachment, the addresses and the routes, and the MTU and \
               MAC address of the bond. The bond below is named after it: net3-bond below net3, so \
               that ip link shows net3@net3-bond. An attachment with more than ten letters keeps six \
               of them, followed by four hexadecimal digits. A tag that the VFs get from their own \
               network's vlan stands around this one.",
    },
    Key {
        name: "vlanProto",
        schema: r#"{"enum": ["802.1q", "802.1ad", "802.1Q", "802.1AD", ""]}"#,
        default: "802.1q",
        example: "\"802.1ad\"",
        what: "The protocol of the VLAN interface's tag: 802.1q, or 802.1ad for a service tag. It \
               needs vlan.",
    },
    Key {
        name: "ipv6Dad",
        schema: r#"{"type": "boolean"}"#,
        default: "true",
        example: "false",
        what: "Whether the kernel makes sure that no other host has an IPv6 address before the bond \
               uses it (duplicate address detection). With an IPv6 gateway ADD waits for it, a second \
               or two, at most 5, and fails for a duplicate.",
    },
    Key {
        name: "allowUntrusted",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether a bond that would change the MAC address of VFs that are not trusted is made \
               all the same, with a warning, where it is refused otherwise: the PF's driver is igb, \
               ixgbe, i40e or ice, and the PF shows an address of the VF. These drivers refuse a VF \
               another address than their PF has set. They show one too that the VF has given to \
               itself, which it may change: that is what this key is for.",
    },
    Key {
        name: "strict",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether unknown keys, options without effect in the mode, and VFs that may not be \
               able to send with the bond's MAC address are refused (true) or warned of (false): \
               untrusted-shared-mac, untrusted-fail-over, untrusted-swap, also with allowUntrusted, \
               and spoof-check.",
    },
    Key {
        name: "requireDistinctPFs",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether the bond is refused when two of its ports run over one PF \
               (ports-share-a-pf) instead of reported in a finding.",
    },
    Key {
        name: "requireDistinctCards",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether the bond is refused when two of its ports run over one card \
               (ports-share-a-pf, ports-share-a-card).",
    },
    Key {
        name: "requireCarrier",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether the bond is refused when a PF below it has no carrier, or a VF does not \
               show whether it has (pf-down, pf-without-carrier, link-state-enable, \
               link-state-disable).",
    },
    Key {
        name: "requireEqualSpeeds",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether the bond is refused in 802.3ad and balance-rr when its ports differ in \
               speed or duplex (unequal-speeds, unequal-duplex).",
    },
    Key {
        name: "requireUnsharedPFs",
        schema: r#"{"type": "boolean"}"#,
        default: "false",
        example: "true",
        what: "Whether the bond is refused when a PF below it is a port of a link of the node, or \
               carries another 802.3ad bond than this one (pf-has-a-master, lacp-twice-on-a-pf).",
    },
];

/// Keys of the CNI specification, and those that meta-plugins and bond-cni put beside them.
const OTHERS: &[&str] = &[
    "args",
    "capabilities",
    "cniVersion",
    "deviceID",
    "disableCheck",
    "disableGC",
    "dns",
    "ifname",
    "ipMasq",
    "ipam",
    "logFile",
    "logLevel",
    "name",
    "pciBusID",
    "prevResult",
    "resourceName",
    "runtimeConfig",
    "type",
];

/// How many unknown keys are reported, each in a line of the log.
const MAX_REPORTED: usize = 20;

/// The longest key for which a known one is guessed, in bytes.
const MAX_GUESSED: usize = 64;

/// Returns a finding for each unknown key, but for no more than 20 of them. Those with a domain, like `cni.dev/…`, belong to others.
pub(super) fn unknown(raw: &Map<String, Value>) -> Vec<Finding> {
    let of_bond: Vec<&str> =
        KEYS.iter().map(|key| key.name).chain(of_options(Scope::Bond)).collect();
    let of_port: Vec<&str> = of_options(Scope::Port).chain(["name"]).collect();
    let mut unknown: Vec<(String, &String, &[&str])> = Vec::new();
    let keys = unknown_of(raw, &of_bond, OTHERS);
    unknown.extend(keys.map(|key| (String::new(), key, of_bond.as_slice())));
    let entries = field(raw, "links").and_then(Value::as_array);
    for (position, entry) in entries.into_iter().flatten().enumerate() {
        if let Some(entry) = entry.as_object() {
            let place = format!("links[{position}].");
            let keys = unknown_of(entry, &of_port, &[]);
            unknown.extend(keys.map(|key| (place.clone(), key, of_port.as_slice())));
        }
    }
    let more = unknown.len().saturating_sub(MAX_REPORTED);
    let reported = unknown.into_iter().take(MAX_REPORTED).map(|(place, key, known)| {
        let meant = nearest(key, known).map(|known| format!(" (did you mean {known}?)"));
        let reason = format!("an unknown key, without effect{}", meant.unwrap_or_default());
        Finding::new(&kind::UNKNOWN_KEY, Object::Key(format!("{place}{key}")), reason)
    });
    let mut found: Vec<Finding> = reported.collect();
    if more > 0 {
        let reason = format!("{more} more keys are unknown, without effect");
        found.push(Finding::new(&kind::UNKNOWN_KEY, Object::Key("…".to_owned()), reason));
    }
    found
}

fn of_options(scope: Scope) -> impl Iterator<Item = &'static str> {
    let options = table::all().filter(move |option| option.scope == scope);
    options.flat_map(|option| option.aliases.iter().copied().chain([option.key]))
}

fn unknown_of<'r>(
    object: &'r Map<String, Value>,
    known: &[&str],
    others: &[&str],
) -> impl Iterator<Item = &'r String> {
    object.keys().filter(move |key| {
        !known.iter().chain(others).any(|known| is_key(key, known)) && !key.contains('/')
    })
}

/// Returns the known key that was meant, when one is near: the kernel's own spelling, another case,
/// or up to a third of the letters wrong.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    if key.len() > MAX_GUESSED {
        return None;
    }
    let key = plain(key);
    let near = known.iter().map(|known| (strsim::levenshtein(&key, &plain(known)), *known));
    let (distance, known) = near.min()?;
    (distance <= known.len() / 3).then_some(known)
}

fn plain(key: &str) -> String {
    let letters = key.chars().filter(|c| !matches!(c, '_' | '-'));
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_key_is_found() {
        let known: Vec<&str> = of_options(Scope::Bond).chain(KEYS.iter().map(|k| k.name)).collect();
        for (key, meant) in [
            ("failoverMac", Some("failOverMac")),
            ("fail_over_mac", Some("failOverMac")),
            ("linkInContainer", Some("linksInContainer")),
            ("miimom", Some("miimon")),
            ("xmit-hash-policy", Some("xmitHashPolicy")),
            ("colour", None),
        ] {
            assert_eq!(nearest(key, &known), meant, "{key}");
        }
    }

    /// Promise: input-limits
    #[test]
    fn few_of_many_unknown_keys_are_reported() {
        let object = |count: usize| (0..count).map(|n| (format!("k{n}"), Value::Null)).collect();
        assert_eq!(unknown(&object(20)).len(), 20);
        let found = unknown(&object(50_000));
        assert_eq!(found.len(), 21);
        assert!(found[20].to_string().contains("49980 more keys are unknown"), "{}", found[20]);
        assert_eq!(nearest(&"miimon".repeat(100_000), &["miimon"]), None);
    }
}
