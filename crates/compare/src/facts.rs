//! Facts: what is so after an ADD or a DEL, as names and texts that can be compared. What differs by
//! nature is left out, or has a name instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use podbond_bench::Error;
use serde_json::{Deserializer, Map, Value};

/// What is so, by its name.
pub(crate) type Facts = BTreeMap<String, String>;

/// What is said of a thing that has facts of its own, under names that begin with its name.
pub(crate) const THERE: &str = "is there";

/// What no two runs share, or what a VF's carrier decides, which comes late.
///
/// What igbvf calls the permanent address is what its last reset found.
const BY_NATURE: [&str; 7] = [
    "ifindex",
    "link_index",
    "operstate",
    "addr_info",
    "mii_status",
    "link_failure_count",
    "permaddr",
];

/// Flags of a link, an address or a route that come and go with carrier and time.
const PASSING_FLAGS: [&str; 6] =
    ["LOWER_UP", "NO-CARRIER", "tentative", "dead", "linkdown", "offload"];

/// What the kernel shows of a namespace.
#[derive(Debug)]
pub(crate) struct Seen {
    links: Vec<Value>,
    routes: Vec<Value>,
    /// Lines like `ipv4/conf/eth0/arp_notify:0`.
    sysctls: String,
}

impl Seen {
    /// Parses links and routes as JSON, then lines of sysctls.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut documents = Deserializer::from_str(text).into_iter::<Vec<Value>>();
        let mut next = || documents.next().transpose().map(Option::unwrap_or_default);
        let (links, routes) = (next()?, next()?);
        let sysctls = text[documents.byte_offset()..].trim().to_owned();
        Ok(Self { links, routes, sysctls })
    }

    /// Whether an address is still looked for on the network by others.
    pub(crate) fn is_settling(&self) -> bool {
        let addresses = self.links.iter().flat_map(|link| list(&link["addr_info"]));
        let mut global = addresses.filter(|address| !is_link_local(&address["local"]));
        global.any(|address| address["tentative"] == true)
    }

    /// Returns links with their addresses, routes in their order, and sysctls.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = self.links();
        for link in &self.links {
            let name = plain(&link["ifname"]);
            for address in list(&link["addr_info"]) {
                if !is_link_local(&address["local"]) {
                    add_address(&mut facts, &name, address);
                }
            }
        }
        add_routes(&mut facts, &self.routes);
        for line in self.sysctls.lines() {
            let words: Vec<&str> = line.split(['/', ':']).collect();
            if let [_, _, link, sysctl, value] = words[..]
                && (link != "lo" || sysctl == "disable_ipv6")
            {
                facts.insert(format!("{link} {sysctl}"), value.to_owned());
            }
        }
        facts
    }

    /// Returns links alone, a PF's with what it shows of its VFs.
    pub(crate) fn links(&self) -> Facts {
        let mut facts = Facts::new();
        for link in self.links.iter().filter(|link| link["ifname"] != "lo") {
            let name = plain(&link["ifname"]);
            flatten(&name, link, &mut facts);
            facts.insert(name, THERE.to_owned());
        }
        facts
    }
}

/// Adds what is below a value, each under its path.
pub(crate) fn flatten(name: &str, value: &Value, facts: &mut Facts) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields.iter().filter(|(key, _)| !BY_NATURE.contains(&&***key)) {
                let name = format!("{name} {key}");
                if key == "info_slave_data" {
                    facts.insert(name.clone(), THERE.to_owned());
                }
                flatten(&name, value, facts);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in items.iter().enumerate() {
                flatten(&format!("{name} {number}"), item, facts);
            }
        }
        value => {
            facts.insert(name.to_owned(), plain(value));
        }
    }
}

/// Adds the files below a directory, with what is in them.
pub(crate) fn add_files(facts: &mut Facts, directory: &Path) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            add_files(facts, &path)?;
        } else {
            let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            facts.insert(path.display().to_string(), text.escape_debug().to_string());
        }
    }
    Ok(())
}

/// Puts names in the place of MAC addresses: of those that are known, and of random ones. The cases'
/// own, and those that are no link's, stay.
pub(crate) fn name_macs(facts: &mut Facts, known: &BTreeMap<String, String>) {
    let is_mac = |text: &str| {
        text.len() == 17
            && text.split(':').count() == 6
            && text.chars().all(|c| c == ':' || c.is_ascii_hexdigit())
    };
    let stays =
        |mac: &str| ["02:00:00:00:00", "00:00:00:00:00", "ff:ff:ff:ff:ff"].contains(&&mac[..14]);
    for value in facts.values_mut().filter(|value| is_mac(value) && !stays(value)) {
        let name = known.get(value).map_or("random", String::as_str);
        *value = format!("MAC of {name}");
    }
}

fn add_address(facts: &mut Facts, link: &str, address: &Value) {
    let name = format!("{link} address {}/{}", plain(&address["local"]), address["prefixlen"]);
    let rest = without(address, &["local", "prefixlen", "family"]);
    facts.insert(name, rest);
}

/// Adds each route by destination and link, and the order of those of one destination. What the kernel
/// makes of each address, for itself, says nothing more.
fn add_routes(facts: &mut Facts, routes: &[Value]) {
    let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for route in routes {
        let destination = plain(&route["dst"]);
        if route["table"] == "local" || destination.starts_with("fe80:") {
            continue;
        }
        // Only those of IPv6 have a preference.
        let family = if route.get("pref").is_some() { "IPv6" } else { "IPv4" };
        let hops = list(&route["nexthops"]).map(|hop| plain(&hop["dev"]));
        let links = hops.chain(route.get("dev").map(plain)).collect::<Vec<_>>().join(" and ");
        let name = format!("{family} route {destination}");
        let rest = without(route, &["dst", "dev"]);
        let mut full = format!("{name} of {links}");
        while facts.contains_key(&full) {
            full += " again";
        }
        facts.insert(full, rest);
        order.entry(name).or_default().push(links);
    }
    for (name, links) in order.into_iter().filter(|(_, links)| links.len() > 1) {
        facts.insert(format!("{name} in order"), links.join(", "));
    }
}

/// Returns the fields of an object as text, but for these and those that pass.
fn without(object: &Value, keys: &[&str]) -> String {
    let mut left: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
    left.retain(|key, value| {
        // No end is set.
        let is_for_ever = key.ends_with("life_time") && *value == u32::MAX;
        !keys.contains(&&**key) && !PASSING_FLAGS.contains(&&**key) && !is_for_ever
    });
    let fields = left.iter().filter(|(_, value)| **value != Value::Array(Vec::new()));
    fields.map(|(key, value)| format!("{key} {}", plain(value))).collect::<Vec<_>>().join(", ")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_link_local(address: &Value) -> bool {
    address.as_str().is_some_and(|address| address.starts_with("fe80:"))
}

/// Returns a value as text; a list of flags without those that pass.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items = items.iter().map(plain);
            let kept = items.filter(|item| !PASSING_FLAGS.contains(&&**item));
            format!("[{}]", kept.collect::<Vec<_>>().join(" "))
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(links: &Value, routes: &Value, sysctls: &str) -> Seen {
        Seen::parse(&format!("{links}\n{routes}\n{sysctls}\n")).unwrap()
    }

    #[test]
    fn what_differs_by_nature_is_no_fact() {
        let link = |index: u32, flag: &str, state: &str| {
            json!([{
                "ifindex": index, "ifname": "net3", "flags": ["UP", flag], "mtu": 1500,
                "operstate": state,
                "addr_info": [
                    {"local": "fe80::1", "prefixlen": 64, "tentative": true},
                    {"local": "fd00::2", "prefixlen": 64, "scope": "global", "tentative": true,
                     "valid_life_time": u32::MAX},
                ],
            }])
        };
        let one = seen(&link(4, "LOWER_UP", "UP"), &json!([]), "ipv6/conf/net3/accept_dad:1");
        let other = seen(&link(9, "NO-CARRIER", "DOWN"), &json!([]), "ipv6/conf/net3/accept_dad:1");
        assert_eq!(one.facts(), other.facts());
        let pairs = |facts: Facts| facts.into_iter().map(|(name, value)| name + "=" + &value);
        let wanted = [
            "net3=is there",
            "net3 accept_dad=1",
            "net3 address fd00::2/64=scope global",
            "net3 flags=[UP]",
            "net3 ifname=net3",
            "net3 mtu=1500",
        ];
        assert_eq!(pairs(one.facts()).collect::<Vec<_>>(), wanted);
        assert!(one.is_settling());
    }

    #[test]
    fn routes_of_one_destination_have_an_order() {
        let route = |dst: &str, dev: &str| json!({"dst": dst, "dev": dev, "table": "main"});
        let six = json!({
            "dst": "default", "pref": "medium",
            "nexthops": [{"dev": "eth0", "gateway": "fd00::1"}, {"dev": "net3"}],
        });
        let local = json!({"dst": "10.0.0.1", "dev": "net3", "table": "local"});
        let routes = json!([route("default", "net3"), route("default", "eth0"), local, six]);
        let facts = seen(&json!([]), &routes, "").facts();
        assert_eq!(facts["IPv4 route default in order"], "net3, eth0");
        assert_eq!(facts["IPv4 route default of net3"], "table main");
        let both = &facts["IPv6 route default of eth0 and net3"];
        assert!(both.contains("fd00::1"), "{both}");
        assert_eq!(facts.len(), 4, "{facts:?}");
    }

    #[test]
    fn macs_have_names_but_for_those_of_the_cases() {
        let mut facts: Facts = [
            ("a", "d6:6f:00:69:de:f5"),
            ("b", "02:00:00:00:00:31"),
            ("c", "7a:9d:d9:95:75:54"),
            ("d", "fd00:0:0:0:0:1:22"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let known = [("d6:6f:00:69:de:f5".to_owned(), "pf0v0".to_owned())].into();
        name_macs(&mut facts, &known);
        let values: Vec<&str> = facts.values().map(String::as_str).collect();
        let wanted = ["MAC of pf0v0", "02:00:00:00:00:31", "MAC of random", "fd00:0:0:0:0:1:22"];
        assert_eq!(values, wanted);
    }
}
