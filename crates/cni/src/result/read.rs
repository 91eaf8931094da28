//! Reading results of every CNI version. What a version does not have is accepted from it all the
//! same, since plugins in use write it; `null` and empty texts are read as absent, since Go programs
//! write them.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Unknown;
use crate::go_json::{field, is_key};
use crate::json_fields::fields;
use crate::nesting::{MAX_DEPTH, nests_too_deep};
use crate::{CniResult, Code, Dns, Failure, IpConfig, Route, Version};

/// The specification's keys of a result, in any of its versions.
const RESULT: &[&str] = &["cniVersion", "interfaces", "ips", "routes", "dns", "ip4", "ip6"];
const INTERFACE: &[&str] = &["name", "mac", "mtu", "sandbox", "socketPath", "pciID"];
const IP: &[&str] = &["version", "address", "gateway", "interface"];
const LEGACY_IP: &[&str] = &["ip", "gateway", "routes"];
const ROUTE: &[&str] = &["dst", "gw", "mtu", "advmss", "priority", "table", "scope"];
const DNS: &[&str] = &["nameservers", "domain", "search", "options"];

/// Reads a result; without `cniVersion` it is of `assumed`.
pub(super) fn result(value: &Value, assumed: Version) -> Result<CniResult, Failure> {
    let Value::Object(object) = value else {
        return Err(refused(format_args!("is {value}, and not a JSON object")));
    };
    if nests_too_deep(value) {
        return Err(refused(format_args!("nests more than {MAX_DEPTH} levels deep")));
    }
    let version = match object.get("cniVersion") {
        None | Some(Value::Null) => assumed,
        Some(Value::String(text)) if text.is_empty() => assumed,
        Some(Value::String(text)) => Version::parse(text).ok_or_else(|| {
            refused(format_args!("is of cniVersion {text:?}, which is not known"))
        })?,
        Some(other) => return Err(refused(format_args!("has the cniVersion {other}"))),
    };
    let result = if version < Version::V0_3_0 {
        fields("the result", object).map(|legacy: LegacyResult| legacy.into_result(object))
    } else {
        fields("the result", object).map(|result: CniResult| keep_unknown(result, object))
    };
    let mut result: CniResult =
        result.map_err(|failure| Failure { code: Code::DECODE, ..failure })?;
    result.unknown = unknown(Some(value), RESULT);
    result.dns.unknown = unknown(field(object, "dns"), DNS);
    // A delegated plugin gives no interfaces, yet some say which one they mean.
    let interfaces = result.interfaces.len();
    let position = result.ips.iter().position(|ip| ip.interface.is_some_and(|i| i >= interfaces));
    match position {
        Some(position) if interfaces > 0 => Err(refused(format_args!(
            "is inconsistent: field ips[{position}].interface counts beyond the {interfaces} \
             interfaces"
        ))),
        _ => Ok(result),
    }
}

/// Returns a result with the keys of each part of it that are not the specification's.
fn keep_unknown(mut result: CniResult, object: &Map<String, Value>) -> CniResult {
    for (interface, value) in result.interfaces.iter_mut().zip(list(object, "interfaces")) {
        interface.unknown = unknown(Some(value), INTERFACE);
    }
    for (ip, value) in result.ips.iter_mut().zip(list(object, "ips")) {
        ip.unknown = unknown(Some(value), IP);
    }
    for (route, value) in result.routes.iter_mut().zip(list(object, "routes")) {
        route.unknown = unknown(Some(value), ROUTE);
    }
    result
}

/// Returns what stands in an object under other keys than these.
fn unknown(value: Option<&Value>, known: &[&str]) -> Unknown {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    let others = entries.filter(|(key, _)| !known.iter().any(|known| is_key(key, known)));
    others.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn list<'v>(object: &'v Map<String, Value>, name: &str) -> impl Iterator<Item = &'v Value> {
    field(object, name).and_then(Value::as_array).into_iter().flatten()
}

fn refused(problem: impl Display) -> Failure {
    Failure::new(Code::DECODE, format_args!("the result {problem}"))
}

/// 0.1.0 and 0.2.0.
#[derive(Deserialize)]
struct LegacyResult {
    ip4: Option<LegacyIp>,
    ip6: Option<LegacyIp>,
    dns: Option<Dns>,
}

#[derive(Deserialize)]
struct LegacyIp {
    #[serde(deserialize_with = "prefix")]
    ip: IpNet,
    #[serde(default, deserialize_with = "text")]
    gateway: Option<IpAddr>,
    routes: Option<Vec<Route>>,
}

impl LegacyResult {
    /// Returns the result that was read from this object.
    fn into_result(self, object: &Map<String, Value>) -> CniResult {
        let mut result = CniResult { dns: self.dns.unwrap_or_default(), ..CniResult::default() };
        for (ip, key) in [(self.ip4, "ip4"), (self.ip6, "ip6")] {
            let Some(LegacyIp { ip: address, gateway, routes }) = ip else { continue };
            let value = field(object, key);
            let unknown_of_ip = unknown(value, LEGACY_IP);
            result.ips.push(IpConfig { gateway, unknown: unknown_of_ip, ..IpConfig::new(address) });
            let mut routes = routes.unwrap_or_default();
            let written = value.and_then(Value::as_object).into_iter();
            let written = written.flat_map(|ip| list(ip, "routes"));
            for (route, value) in routes.iter_mut().zip(written) {
                route.unknown = unknown(Some(value), ROUTE);
            }
            result.routes.extend(routes);
        }
        result
    }
}

/// Reads a value; `null` is its default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads the position of an interface; none where it is negative, as some plugins write that there is none.
pub(super) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let position = Option::<i64>::deserialize(deserializer)?;
    Ok(position.and_then(|position| position.try_into().ok()))
}

/// Reads an MTU; none where it is 0.
pub(super) fn mtu<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|&mtu| mtu != 0))
}

/// Reads an address with prefix length.
pub(super) fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        let problem = match text.parse::<IpAddr>() {
            Ok(_) => "has no prefix length",
            Err(_) => "is no address with prefix length",
        };
        D::Error::custom(format_args!("{text:?} {problem}: write it like 10.56.217.5/24"))
    })
}

/// Reads a value that is written as text; none where the text is empty.
pub(super) fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if !text.is_empty() => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(D::Error::custom(format_args!("{text:?}: {error}"))),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<CniResult, Failure> {
        result(value, Version::V1_0_0)
    }

    #[test]
    fn result_without_version_is_of_the_assumed_one() {
        let legacy = json!({"ip4": {"ip": "10.0.0.5/24"}});
        assert_eq!(result(&legacy, Version::V0_2_0).unwrap().ips.len(), 1);
        assert_eq!(result(&legacy, Version::V0_3_0).unwrap().ips.len(), 0);
    }

    #[test]
    fn null_and_empty_values_are_ignored() {
        let tolerated = json!({
            "cniVersion": "1.0.0", "routes": null, "dns": {"domain": ""},
            "interfaces": [{"name": "net1", "mac": "", "mtu": 0}],
            "ips": [{"address": "fd00::5/64", "gateway": "", "interface": 0}],
        });
        let result = read(&tolerated).unwrap();
        assert_eq!((&result.interfaces[0].mac, result.interfaces[0].mtu), (&None, None));
        assert_eq!((result.ips[0].gateway, &result.dns), (None, &Dns::default()));
    }

    /// Promise: foreign-result-whole
    #[test]
    fn what_another_plugin_says_passes_through_whole() {
        let interface = json!({
            "name": "an interface/of sixty-four characters, which no link can have",
            "mac": "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:31:78:f2", "x": {"y": [null]},
        });
        for version in Version::ALL.into_iter().filter(|version| *version >= Version::V0_3_0) {
            let value = json!({
                "cniVersion": version.as_str(), "com.example.extra": [1, {"deep": true}],
                "interfaces": [interface, {"name": "", "mac": "not an address"}],
                "ips": [{"address": "10.0.0.5/24", "interface": 1, "lease": {"id": 7}}],
                "routes": [{"dst": "10.9.0.0/16", "onlink": true}],
                "dns": {"nameservers": ["10.0.0.53"], "ttl": 60},
            });
            let mut written = read(&value).unwrap().to_value(version);
            if version < Version::V1_0_0 {
                assert_eq!(
                    written["ips"][0].as_object_mut().unwrap().remove("version"),
                    Some("4".into())
                );
            }
            assert_eq!(written, value, "{version}");
        }
        let legacy = json!({
            "cniVersion": "0.2.0", "extra": 1, "dns": {"ttl": 60},
            "ip4": {"ip": "10.0.0.5/24", "lease": 7, "routes": [{"dst": "0.0.0.0/0", "x": 1}]},
        });
        assert_eq!(read(&legacy).unwrap().to_value(Version::V0_2_0), legacy);
        let newer = read(&legacy).unwrap().to_value(Version::V1_0_0);
        assert_eq!((&newer["ips"][0]["lease"], &newer["routes"][0]["x"]), (&json!(7), &json!(1)));
    }

    /// Promise: input-limits
    #[test]
    fn result_that_nests_too_deep_is_refused() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(read(&json!({"x": nested(MAX_DEPTH - 1)})).is_ok());
        let message = read(&json!({"x": nested(MAX_DEPTH)})).unwrap_err().msg;
        assert_eq!(message, "the result nests more than 64 levels deep");
    }

    #[test]
    fn negative_index_is_of_no_interface() {
        let value = json!({"interfaces": [], "ips": [{"address": "10.0.0.5/24", "interface": -1}]});
        assert_eq!(read(&value).unwrap().ips[0].interface, None);
    }

    #[test]
    fn interface_index_without_interfaces_is_accepted() {
        let ips = json!([{"address": "10.0.0.5/24", "interface": 0}]);
        assert!(read(&json!({"ips": ips})).is_ok());
    }

    #[test]
    fn error_names_the_path_of_the_field() {
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
            assert_eq!((failure.code, failure.msg.as_str()), (Code::DECODE, message));
        }
    }
}
