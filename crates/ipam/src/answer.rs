//! The CNI result of a plugin that creates one interface.

use podbond_cni::{CniResult, Dns, Interface};
use podbond_kernel::Link;

use crate::configure::gateway;
use crate::lease::Ipam;

impl Ipam<'_> {
    /// Returns the interface of the attachment as a result has it, with address and MTU of its link.
    pub fn interface(&self, link: Option<&Link>) -> Interface {
        Interface {
            name: self.request.ifname.to_string(),
            mac: link.and_then(|link| link.mac).map(|mac| mac.to_string()),
            mtu: link.map(|link| link.mtu),
            sandbox: self.request.netns.as_ref().map(|path| path.display().to_string()),
            ..Interface::default()
        }
    }

    /// Returns the result of a plugin that creates this one interface, after that of earlier plugins.
    pub fn result(&self, lease: Option<CniResult>, interface: Interface) -> CniResult {
        result(self.request.config.prev_result.as_ref(), lease, interface)
    }
}

/// Returns the result of a plugin that creates one interface: the addresses, routes and DNS of the IPAM
/// plugin's result, with all addresses on the interface.
///
/// In a chain it follows the previous result: "Plugins provided a `prevResult` key as
/// part of their request configuration must output it as their result, with any possible
/// modifications made by that plugin included" (section "Success").
fn result(
    previous: Option<&CniResult>,
    ipam: Option<CniResult>,
    interface: Interface,
) -> CniResult {
    let mut own = ipam.unwrap_or_default();
    let Some(previous) = previous else {
        own.ips.iter_mut().for_each(|ip| ip.interface = Some(0));
        own.interfaces = vec![interface];
        return own;
    };
    let mut all = previous.clone();
    // Among the addresses of other plugins, "the first gateway" would be another one.
    set_gateways(&mut all);
    set_gateways(&mut own);
    let number = all.interfaces.len();
    own.ips.iter_mut().for_each(|ip| ip.interface = Some(number));
    all.interfaces.push(interface);
    all.ips.extend(own.ips);
    all.routes.extend(own.routes);
    add_dns(&mut all.dns, own.dns);
    all
}

/// Sets the gateway of each route that has one by its address.
fn set_gateways(result: &mut CniResult) {
    for route in &mut result.routes {
        route.gw = gateway(&result.ips, route);
    }
}

/// Adds name servers after those of earlier plugins, since they are asked in order. The first domain is kept.
fn add_dns(dns: &mut Dns, more: Dns) {
    for (all, more) in [
        (&mut dns.nameservers, more.nameservers),
        (&mut dns.search, more.search),
        (&mut dns.options, more.options),
    ] {
        for text in more {
            if !all.contains(&text) {
                all.push(text);
            }
        }
    }
    dns.domain = dns.domain.take().or(more.domain);
}

#[cfg(test)]
mod tests {
    use podbond_cni::Version;
    use serde_json::{Value, json};

    use super::*;
    use crate::configure::tests::{ip, route};

    fn bond() -> Interface {
        Interface {
            name: "net3".to_owned(),
            mac: Some("02:00:00:00:00:01".to_owned()),
            mtu: Some(1500),
            sandbox: Some("/run/netns/p1".to_owned()),
            ..Interface::default()
        }
    }

    fn of_ipam() -> CniResult {
        CniResult {
            // An IPAM plugin must not give interfaces; one that does means its caller's.
            interfaces: vec![bond(), bond()],
            ips: vec![ip("10.0.1.2/24", Some("10.0.1.1")), ip("fd00::2/64", None)],
            routes: vec![route("10.9.0.0/16", None), route("fd00:9::/64", None)],
            dns: dns(&["10.0.1.1", "10.0.0.53"], "bond.example"),
            ..CniResult::default()
        }
    }

    fn dns(nameservers: &[&str], domain: &str) -> Dns {
        Dns {
            nameservers: nameservers.iter().map(ToString::to_string).collect(),
            domain: Some(domain.to_owned()),
            search: vec![domain.to_owned()],
            ..Dns::default()
        }
    }

    /// Returns the result of a plugin before the bond in a list, as `prevResult`.
    fn previous(version: Version) -> CniResult {
        let value = json!({
            "cniVersion": version.as_str(),
            "interfaces": [
                {"name": "veth0", "mac": "02:00:00:00:00:0a"},
                {"name": "first0", "mac": "02:00:00:00:00:0b", "sandbox": "/run/netns/p1"},
            ],
            "ips": [{"version": "4", "interface": 1, "address": "10.0.0.2/24", "gateway": "10.0.0.1"}],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dns": {"nameservers": ["10.0.0.53"], "domain": "first.example",
                    "search": ["first.example"]},
        });
        CniResult::from_value(&value, version).unwrap()
    }

    #[test]
    fn result_has_one_interface_with_all_addresses() {
        let answer = result(None, Some(of_ipam()), bond());
        assert_eq!(answer.interfaces, [bond()]);
        assert!(answer.ips.iter().all(|ip| ip.interface == Some(0)));
        // As IPAM gave them.
        assert_eq!((answer.routes, answer.dns), (of_ipam().routes, of_ipam().dns));
        assert_eq!(result(None, None, bond()).interfaces, [bond()]);
    }

    #[test]
    fn result_follows_the_previous_one_in_every_version() {
        for version in Version::ALL.into_iter().filter(|version| *version >= Version::V0_3_0) {
            let answer = result(Some(&previous(version)), Some(of_ipam()), bond());
            let newest = version >= Version::V1_1_0;
            let family = |family: &str| match version {
                Version::V1_0_0 | Version::V1_1_0 => Value::Null,
                _ => family.into(),
            };
            let golden = without_null(json!({
                "cniVersion": version.as_str(),
                "interfaces": [
                    {"name": "veth0", "mac": "02:00:00:00:00:0a"},
                    {"name": "first0", "mac": "02:00:00:00:00:0b", "sandbox": "/run/netns/p1"},
                    {"name": "net3", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/p1",
                     "mtu": newest.then_some(1500)},
                ],
                "ips": [
                    {"version": family("4"), "interface": 1, "address": "10.0.0.2/24",
                     "gateway": "10.0.0.1"},
                    {"version": family("4"), "interface": 2, "address": "10.0.1.2/24",
                     "gateway": "10.0.1.1"},
                    {"version": family("6"), "interface": 2, "address": "fd00::2/64"},
                ],
                "routes": [
                    {"dst": "0.0.0.0/0", "gw": "10.0.0.1"},
                    {"dst": "10.9.0.0/16", "gw": "10.0.1.1"},
                    {"dst": "fd00:9::/64"},
                ],
                "dns": {"nameservers": ["10.0.0.53", "10.0.1.1"], "domain": "first.example",
                        "search": ["first.example", "bond.example"]},
            }));
            assert_eq!(answer.to_value(version), golden, "{version}");
        }
    }

    #[test]
    fn previous_result_without_ipam_gets_the_interface() {
        let answer = result(Some(&previous(Version::V1_0_0)), None, bond());
        assert_eq!(answer.interfaces.len(), 3);
        assert_eq!(answer.ips, previous(Version::V1_0_0).ips);
    }

    fn without_null(value: Value) -> Value {
        match value {
            Value::Object(object) => {
                let present = object.into_iter().filter(|(_, value)| !value.is_null());
                present.map(|(key, value)| (key, without_null(value))).collect()
            }
            Value::Array(values) => values.into_iter().map(without_null).collect(),
            other => other,
        }
    }
}
