//! Reading results of every version. What a version does not have is accepted from it all the
//! same, since plugins in use write it; `null` and empty texts are read as absent, since Go
//! programs write them.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use podbond_names::LinkName;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::config::fields;
use crate::{CniResult, Code, Dns, Failure, Interface, IpConfig, Route, Version};

pub(super) fn result(value: &Value, assumed: Version) -> Result<CniResult, Failure> {
    let refused = |problem: String| Failure::new(Code::Decode, format!("the result {problem}"));
    let Value::Object(object) = value else {
        return Err(refused(format!("is {value}, and not a JSON object")));
    };
    let version = match object.get("cniVersion") {
        None | Some(Value::Null) => assumed,
        Some(Value::String(text)) if text.is_empty() => assumed,
        Some(Value::String(text)) => Version::parse(text)
            .ok_or_else(|| refused(format!("is of cniVersion {text:?}, which is not known")))?,
        Some(other) => return Err(refused(format!("has the cniVersion {other}"))),
    };
    let decode = |failure: Failure| Failure { code: Code::Decode, ..failure };
    if version < Version::V0_3_0 {
        let wire: LegacyResult = fields("the result", object).map_err(decode)?;
        return Ok(wire.into());
    }
    let wire: WireResult = fields("the result", object).map_err(decode)?;
    let result = CniResult::from(wire);
    let beyond = |ip: &IpConfig| ip.interface.is_some_and(|i| i >= result.interfaces.len());
    match result.ips.iter().position(beyond) {
        // A delegated plugin gives no interfaces, yet some say which one they mean.
        Some(position) if !result.interfaces.is_empty() => Err(refused(format!(
            "is inconsistent: field ips[{position}].interface counts beyond the {} interfaces",
            result.interfaces.len()
        ))),
        _ => Ok(result),
    }
}

#[derive(Deserialize)]
struct WireResult {
    interfaces: Option<Vec<WireInterface>>,
    ips: Option<Vec<WireIp>>,
    routes: Option<Vec<Route>>,
    dns: Option<WireDns>,
}

impl From<WireResult> for CniResult {
    fn from(wire: WireResult) -> Self {
        Self {
            interfaces: convert(wire.interfaces),
            ips: convert(wire.ips),
            routes: wire.routes.unwrap_or_default(),
            dns: wire.dns.map(Dns::from).unwrap_or_default(),
        }
    }
}

/// 0.1.0 and 0.2.0.
#[derive(Deserialize)]
struct LegacyResult {
    ip4: Option<LegacyIp>,
    ip6: Option<LegacyIp>,
    dns: Option<WireDns>,
}

#[derive(Deserialize)]
struct LegacyIp {
    #[serde(deserialize_with = "prefix")]
    ip: IpNet,
    #[serde(default, deserialize_with = "text")]
    gateway: Option<IpAddr>,
    routes: Option<Vec<Route>>,
}

impl From<LegacyResult> for CniResult {
    fn from(wire: LegacyResult) -> Self {
        let dns = wire.dns.map(Dns::from).unwrap_or_default();
        let mut result = Self { dns, ..Self::default() };
        for ip in [wire.ip4, wire.ip6].into_iter().flatten() {
            let LegacyIp { ip: address, gateway, routes } = ip;
            result.ips.push(IpConfig { address, gateway, interface: None });
            result.routes.extend(routes.unwrap_or_default());
        }
        result
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireInterface {
    name: LinkName,
    mac: Option<String>,
    mtu: Option<u32>,
    sandbox: Option<String>,
    socket_path: Option<String>,
    #[serde(rename = "pciID")]
    pci_id: Option<String>,
}

impl From<WireInterface> for Interface {
    fn from(wire: WireInterface) -> Self {
        Self {
            name: wire.name,
            mac: wire.mac.and_then(|mac| mac.parse().ok()),
            mtu: wire.mtu.filter(|&mtu| mtu != 0),
            sandbox: wire.sandbox.filter(not_empty),
            socket_path: wire.socket_path.filter(not_empty),
            pci_id: wire.pci_id.filter(not_empty),
        }
    }
}

#[derive(Deserialize)]
struct WireIp {
    #[serde(deserialize_with = "prefix")]
    address: IpNet,
    #[serde(default, deserialize_with = "text")]
    gateway: Option<IpAddr>,
    interface: Option<usize>,
}

impl From<WireIp> for IpConfig {
    fn from(wire: WireIp) -> Self {
        Self { address: wire.address, gateway: wire.gateway, interface: wire.interface }
    }
}

#[derive(Deserialize)]
pub(super) struct WireRoute {
    #[serde(deserialize_with = "prefix")]
    dst: IpNet,
    #[serde(default, deserialize_with = "text")]
    gw: Option<IpAddr>,
    mtu: Option<u32>,
    advmss: Option<u32>,
    priority: Option<u32>,
    table: Option<u32>,
    scope: Option<u8>,
}

impl From<WireRoute> for Route {
    fn from(wire: WireRoute) -> Self {
        let WireRoute { dst, gw, mtu, advmss, priority, table, scope } = wire;
        Self { dst, gw, mtu, advmss, priority, table, scope }
    }
}

#[derive(Deserialize)]
struct WireDns {
    nameservers: Option<Vec<String>>,
    domain: Option<String>,
    search: Option<Vec<String>>,
    options: Option<Vec<String>>,
}

impl From<WireDns> for Dns {
    fn from(wire: WireDns) -> Self {
        Self {
            nameservers: wire.nameservers.unwrap_or_default(),
            domain: wire.domain.filter(not_empty),
            search: wire.search.unwrap_or_default(),
            options: wire.options.unwrap_or_default(),
        }
    }
}

fn convert<W, T: From<W>>(wire: Option<Vec<W>>) -> Vec<T> {
    wire.unwrap_or_default().into_iter().map(T::from).collect()
}

#[expect(clippy::ptr_arg, reason = "Option<String>::filter passes &String")]
fn not_empty(text: &String) -> bool {
    !text.is_empty()
}

/// An address with prefix length.
fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        let problem = match text.parse::<IpAddr>() {
            Ok(_) => "has no prefix length",
            Err(_) => "is no address with prefix length",
        };
        D::Error::custom(format_args!("{text:?} {problem}: write it like 10.56.217.5/24"))
    })
}

/// A value that is written as text; none when the text is empty.
fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = Option::<String>::deserialize(deserializer)?.filter(not_empty);
    let parse = |text: String| {
        text.parse().map_err(|error| D::Error::custom(format_args!("{text:?}: {error}")))
    };
    text.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<CniResult, Failure> {
        result(value, Version::V1_0_0)
    }

    #[test]
    fn without_a_version_the_result_is_of_the_assumed_one() {
        let legacy = json!({"ip4": {"ip": "10.0.0.5/24"}});
        assert_eq!(result(&legacy, Version::V0_2_0).unwrap().ips.len(), 1);
        assert_eq!(result(&legacy, Version::V0_3_0).unwrap().ips.len(), 0);
    }

    #[test]
    fn null_empty_and_unknown_values_are_tolerated() {
        let tolerated = json!({
            "cniVersion": "1.0.0", "routes": null, "dns": {"domain": ""}, "extra": [1],
            "interfaces": [{"name": "ib0", "mac": "80:00:02:08:fe:80:00:00:00:00:00:00", "x": 1}],
            "ips": [{"address": "fd00::5/64", "gateway": "", "interface": 0}],
        });
        let result = read(&tolerated).unwrap();
        assert_eq!(result.interfaces[0].mac, None);
        assert_eq!((result.ips[0].gateway, &result.dns), (None, &Dns::default()));
    }

    #[test]
    fn a_delegated_plugin_may_count_interfaces_that_it_does_not_give() {
        let ips = json!([{"address": "10.0.0.5/24", "interface": 0}]);
        assert!(read(&json!({"ips": ips})).is_ok());
    }

    #[test]
    fn an_error_names_the_field_with_its_path() {
        for (value, message) in [
            (json!([]), "the result is [], and not a JSON object"),
            (
                json!({"cniVersion": "7.0.0"}),
                "the result is of cniVersion \"7.0.0\", which is not known",
            ),
            (
                json!({"ips": [{"address": "10.0.0.5/24", "gateway": "10.0.0"}]}),
                "the result: field ips[0].gateway: \"10.0.0\": invalid IP address syntax",
            ),
            (
                json!({"routes": [{"dst": "default"}]}),
                "the result: field routes[0].dst: \"default\" is no address with prefix length: \
                 write it like 10.56.217.5/24",
            ),
            (json!({"ips": [{}]}), "the result: field ips[0]: missing field `address`"),
            (
                json!({
                    "interfaces": [{"name": "net1"}],
                    "ips": [{"address": "10.0.0.5/24", "interface": 1}],
                }),
                "the result is inconsistent: field ips[0].interface counts beyond the 1 interfaces",
            ),
        ] {
            let failure = read(&value).unwrap_err();
            assert_eq!((failure.code, failure.msg.as_str()), (Code::Decode, message));
        }
    }
}
