//! Results as the versions of the specification write them (section "Result Types" of each).

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::{CniResult, Dns, Interface, IpConfig, Route, Version};

pub(super) fn result(result: &CniResult, version: Version) -> Value {
    let version_key = ("cniVersion", Some(version.as_str().into()));
    let dns = ("dns", dns(&result.dns, version));
    if version < Version::V0_3_0 {
        return object([
            version_key,
            ("ip4", legacy_ip(result, IpAddr::is_ipv4)),
            ("ip6", legacy_ip(result, IpAddr::is_ipv6)),
            dns,
        ]);
    }
    object([
        version_key,
        ("interfaces", list(result.interfaces.iter().map(|i| interface(i, version)))),
        ("ips", list(result.ips.iter().map(|ip| ip_config(ip, version)))),
        ("routes", list(result.routes.iter().map(|r| route(r, version)))),
        dns,
    ])
}

fn interface(interface: &Interface, version: Version) -> Value {
    let newest = version >= Version::V1_1_0;
    object([
        ("name", Some(interface.name.as_str().into())),
        ("mac", interface.mac.map(|mac| mac.to_string().into())),
        ("mtu", interface.mtu.filter(|_| newest).map(Value::from)),
        ("sandbox", interface.sandbox.as_deref().map(Value::from)),
        ("socketPath", interface.socket_path.as_deref().filter(|_| newest).map(Value::from)),
        ("pciID", interface.pci_id.as_deref().filter(|_| newest).map(Value::from)),
    ])
}

fn ip_config(ip: &IpConfig, version: Version) -> Value {
    let family = if ip.address.addr().is_ipv4() { "4" } else { "6" };
    object([
        ("version", Some(family.into()).filter(|_| version < Version::V1_0_0)),
        ("interface", ip.interface.map(Value::from)),
        ("address", Some(ip.address.to_string().into())),
        ("gateway", address(ip.gateway)),
    ])
}

fn route(route: &Route, version: Version) -> Value {
    let newest = version >= Version::V1_1_0;
    object([
        ("dst", Some(route.dst.to_string().into())),
        ("gw", address(route.gw)),
        ("mtu", route.mtu.filter(|_| newest).map(Value::from)),
        ("advmss", route.advmss.filter(|_| newest).map(Value::from)),
        ("priority", route.priority.filter(|_| newest).map(Value::from)),
        ("table", route.table.filter(|_| newest).map(Value::from)),
        ("scope", route.scope.filter(|_| newest).map(Value::from)),
    ])
}

/// 0.1.0 and 0.2.0 know one address of each family, with the family's routes under it.
fn legacy_ip(result: &CniResult, family: fn(&IpAddr) -> bool) -> Option<Value> {
    let ip = result.ips.iter().find(|ip| family(&ip.address.addr()))?;
    let routes = result.routes.iter().filter(|r| family(&r.dst.addr()));
    Some(object([
        ("ip", Some(ip.address.to_string().into())),
        ("gateway", address(ip.gateway)),
        ("routes", list(routes.map(|r| route(r, Version::V0_2_0)))),
    ]))
}

/// Programs that read results before 1.0.0 have always been given a `dns`; later it may be absent.
fn dns(dns: &Dns, version: Version) -> Option<Value> {
    let texts = |texts: &[String]| list(texts.iter().map(|text| text.as_str().into()));
    let value = object([
        ("nameservers", texts(&dns.nameservers)),
        ("domain", dns.domain.as_deref().map(Value::from)),
        ("search", texts(&dns.search)),
        ("options", texts(&dns.options)),
    ]);
    Some(value).filter(|_| *dns != Dns::default() || version < Version::V1_0_0)
}

fn address(address: Option<IpAddr>) -> Option<Value> {
    address.map(|address| address.to_string().into())
}

/// An array, none when it would be empty.
fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let values: Vec<Value> = values.collect();
    if values.is_empty() { None } else { Some(Value::Array(values)) }
}

/// An object of the keys that have a value.
fn object<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Value {
    let present = pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}
