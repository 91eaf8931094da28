//! What must hold of every result in every version, and of every name that becomes part of a path.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use podbond_cni::{
    CniResult, ContainerId, Dns, Interface, IpConfig, NetConf, Route, Unknown, Version,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

fn net() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<Ipv4Addr>(), 0..=32_u8).prop_map(|(ip, bits)| Ipv4Net::new_assert(ip, bits));
    let v6 = (any::<Ipv6Addr>(), 0..=128_u8).prop_map(|(ip, bits)| Ipv6Net::new_assert(ip, bits));
    prop_oneof![v4.prop_map(IpNet::V4), v6.prop_map(IpNet::V6)]
}

fn word() -> impl Strategy<Value = String> {
    "[a-z0-9./:-]{1,12}"
}

/// Keys of other specifications, with whatever they hold.
fn unknown() -> impl Strategy<Value = Unknown> {
    let value = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|number| json!(number)),
        word().prop_map(|text| json!({"a": [text]})),
    ];
    vec(("x-[a-z.]{1,8}", value), 0..3).prop_map(|entries| entries.into_iter().collect())
}

prop_compose! {
    fn interface()(
        // Of whatever plugin: it need not be one that a link can have.
        name in "[a-zA-Z0-9./: -]{0,24}",
        mac in option::of("[0-9a-fA-F:. -]{1,60}"),
        mtu in option::of(1..=u32::MAX),
        sandbox in option::of(word()),
        socket_path in option::of(word()),
        pci_id in option::of(word()),
        unknown in unknown(),
    ) -> Interface {
        Interface { name, mac, mtu, sandbox, socket_path, pci_id, unknown }
    }
}

prop_compose! {
    fn route()(
        dst in net(),
        gw in option::of(net()),
        mtu in option::of(any::<u32>()),
        advmss in option::of(any::<u32>()),
        priority in option::of(any::<u32>()),
        table in option::of(any::<u32>()),
        scope in option::of(any::<u8>()),
        unknown in unknown(),
    ) -> Route {
        Route { dst, gw: gw.map(|gw| gw.addr()), mtu, advmss, priority, table, scope, unknown }
    }
}

prop_compose! {
    fn dns()(
        nameservers in vec(word(), 0..3),
        domain in option::of(word()),
        search in vec(word(), 0..3),
        options in vec(word(), 0..3),
        unknown in unknown(),
    ) -> Dns {
        Dns { nameservers, domain, search, options, unknown }
    }
}

prop_compose! {
    fn result()(
        interfaces in vec(interface(), 0..3),
        ips in vec((net(), option::of(net()), any::<(prop::sample::Index, bool)>(), unknown()), 0..4),
        routes in vec(route(), 0..3),
        dns in dns(),
        unknown in unknown(),
    ) -> CniResult {
        let ips = ips.into_iter().map(|(address, gateway, (index, has), unknown)| IpConfig {
            address,
            gateway: gateway.map(|gateway| gateway.addr()),
            interface: (has && !interfaces.is_empty()).then(|| index.index(interfaces.len())),
            unknown,
        });
        CniResult { ips: ips.collect(), interfaces, routes, dns, unknown }
    }
}

/// What a version can say of a result, by the change logs of the specification; of routes what the CNI
/// library writes.
fn said(result: &CniResult, version: Version) -> CniResult {
    let mut said = result.clone();
    if version < Version::V1_1_0 {
        for interface in &mut said.interfaces {
            *interface =
                Interface { mtu: None, socket_path: None, pci_id: None, ..interface.clone() };
        }
    }
    if version < Version::V0_3_0 {
        for route in &mut said.routes {
            let unknown = std::mem::take(&mut route.unknown);
            *route = Route { unknown, ..Route::new(route.dst, route.gw) };
        }
        said.interfaces.clear();
        // One address of each family, IPv4 first, with the routes of its family.
        let first = |v4: bool| said.ips.iter().find(|ip| ip.address.addr().is_ipv4() == v4);
        let ips: Vec<IpConfig> = [true, false].into_iter().filter_map(first).cloned().collect();
        let of = |v4: bool| {
            let has = ips.iter().any(|ip| ip.address.addr().is_ipv4() == v4);
            said.routes.iter().filter(move |r| has && r.dst.addr().is_ipv4() == v4).cloned()
        };
        said.routes = of(true).chain(of(false)).collect();
        said.ips = ips.into_iter().map(|ip| IpConfig { interface: None, ..ip }).collect();
    }
    said
}

/// Whether a text that was taken as a name is one file in a directory.
fn is_one_file(name: &str) -> bool {
    let path = Path::new("/d").join(name);
    path.parent() == Some(Path::new("/d")) && path.file_name().is_some_and(|last| last == name)
}

/// Texts of all kinds, and often such as lead out of a directory.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof!["[./a-z\\\\\u{0}]{0,8}", "\\PC{0,12}", "[a-z0-9._-]{0,300}"]
}

proptest! {
    // Each is converted a hundred times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn result_round_trips_in_every_version(result in result()) {
        for version in Version::ALL {
            let value = result.to_value(version);
            // Also without the version in it, as a plugin's that assumes its configuration's.
            let read = CniResult::from_value(&value, Version::V1_0_0);
            prop_assert_eq!(read.unwrap(), said(&result, version), "{}", version);
        }
    }

    /// Promise: result-round-trip
    #[test]
    fn result_converts_between_versions(result in result()) {
        for first in Version::ALL {
            for second in Version::ALL {
                let through = |result: &CniResult, version: Version| {
                    CniResult::from_value(&result.to_value(version), version).unwrap()
                };
                let passed = through(&through(&result, first), second);
                prop_assert_eq!(passed, said(&said(&result, first), second));
            }
        }
    }

    /// Promise: names-stay-in-directory
    #[test]
    fn container_id_is_one_file(text in hostile()) {
        if let Ok(id) = ContainerId::try_from(text) {
            prop_assert!(is_one_file(id.as_str()));
        }
    }

    /// Promise: names-stay-in-directory
    #[test]
    fn network_and_plugin_names_are_one_file(name in hostile(), plugin in hostile()) {
        let json = serde_json::json!({"name": name, "type": plugin, "ipam": {"type": plugin}});
        if let Ok(conf) = NetConf::parse(json.to_string().as_bytes()) {
            prop_assert!(is_one_file(&conf.name), "{:?}", conf.name);
            prop_assert!(is_one_file(&conf.plugin), "{:?}", conf.plugin);
            prop_assert!(conf.ipam.as_deref().is_none_or(is_one_file), "{:?}", conf.ipam);
        }
    }
}
