//! Results as the versions of the specification write them (section "Result Types" of each).

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::Unknown;
use crate::{CniResult, Route, Version};

/// What 1.1.0 added to interfaces.
const INTERFACE_1_1_0: &[&str] = &["mtu", "socketPath", "pciID"];

/// What 1.1.0 added to routes. The CNI library writes it from 0.3.0 on, and so does every plugin built with it:
/// a plugin that asks host-local with an older version would make other routes without.
const ROUTE_1_1_0: &[&str] = &["mtu", "advmss", "priority", "table", "scope"];

/// Returns the result as `version` writes it.
pub(super) fn result(result: &CniResult, version: Version) -> Value {
    let mut value = if version < Version::V0_3_0 { legacy(result) } else { newer(result) };
    add(&mut value, &result.unknown);
    if !result.dns.unknown.is_empty() {
        add(&mut value["dns"], &result.dns.unknown);
    }
    if version < Version::V1_1_0 {
        remove(&mut value, "interfaces", INTERFACE_1_1_0);
    }
    if version < Version::V1_0_0 {
        for (written, ip) in list(&mut value, "ips").zip(&result.ips) {
            written["version"] = if ip.address.addr().is_ipv4() { "4" } else { "6" }.into();
        }
        // Programs that read such results have always been given a `dns`.
        if value["dns"].is_null() {
            value["dns"] = json!({});
        }
    }
    let mut object = Map::from_iter([("cniVersion".to_owned(), version.as_str().into())]);
    object.extend(value.as_object_mut().map(std::mem::take).unwrap_or_default());
    Value::Object(object)
}

/// Returns what the versions from 0.3.0 on say.
fn newer(result: &CniResult) -> Value {
    let mut value = json!(result);
    for (written, interface) in list(&mut value, "interfaces").zip(&result.interfaces) {
        add(written, &interface.unknown);
    }
    for (written, ip) in list(&mut value, "ips").zip(&result.ips) {
        add(written, &ip.unknown);
    }
    for (written, route) in list(&mut value, "routes").zip(&result.routes) {
        add(written, &route.unknown);
    }
    value
}

/// Adds keys that are not the specification's.
fn add(value: &mut Value, unknown: &Unknown) {
    if unknown.is_empty() {
        return;
    }
    if value.is_null() {
        *value = json!({});
    }
    for (key, unknown) in unknown {
        value[key.as_str()] = unknown.clone();
    }
}

/// Returns what 0.1.0 and 0.2.0 can say: one address of each family, with the family's routes under it.
fn legacy(result: &CniResult) -> Value {
    let mut object = Map::new();
    object.extend(legacy_ip(result, IpAddr::is_ipv4).map(|ip| ("ip4".to_owned(), ip)));
    object.extend(legacy_ip(result, IpAddr::is_ipv6).map(|ip| ("ip6".to_owned(), ip)));
    object.insert("dns".to_owned(), json!(result.dns));
    Value::Object(object)
}

fn legacy_ip(result: &CniResult, family: fn(&IpAddr) -> bool) -> Option<Value> {
    let ip = result.ips.iter().find(|ip| family(&ip.address.addr()))?;
    let routes: Vec<&Route> = result.routes.iter().filter(|r| family(&r.dst.addr())).collect();
    let mut value = json!({"ip": ip.address});
    if let Some(gateway) = ip.gateway {
        value["gateway"] = json!(gateway);
    }
    if !routes.is_empty() {
        value["routes"] = json!(routes);
    }
    remove(&mut value, "routes", ROUTE_1_1_0);
    for (written, route) in list(&mut value, "routes").zip(routes) {
        add(written, &route.unknown);
    }
    add(&mut value, &ip.unknown);
    Some(value)
}

/// Removes keys from each object of a list.
fn remove(value: &mut Value, name: &str, keys: &[&str]) {
    for object in list(value, name).filter_map(Value::as_object_mut) {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// Returns the items of a list; none where it is absent.
fn list<'v>(value: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}
