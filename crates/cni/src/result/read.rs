//! Reading results of every CNI version. What a version does not have is accepted from it all the
//! same, since plugins in use write it; `null` and empty texts are read as absent, since Go programs
//! write them.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use podbond_names::Mac;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::json_fields::fields;
use crate::{CniResult, Code, Dns, Failure, IpConfig, Route, Version};

/// Reads a result; without `cniVersion` it is of `assumed`.
pub(super) fn result(value: &Value, assumed: Version) -> Result<CniResult, Failure> {
    let Value::Object(object) = value else {
        return Err(refused(format_args!("is {value}, and not a JSON object")));
    };
    let version = match object.get("cniVersion") {
        None | Some(Value::Null) => assumed,
        Some(Value::String(text)) if text.is_empty() => assumed,
        Some(Value::String(text)) => Version::parse(text).ok_or_else(|| {
            refused(format_args!("is of cniVersion {text:?}, which is not known"))
        })?,
        Some(other) => return Err(refused(format_args!("has the cniVersion {other}"))),
    };
    let result = if version < Version::V0_3_0 {
        fields("the result", object).map(|legacy: LegacyResult| legacy.into())
    } else {
        fields("the result", object)
    };
    let result: CniResult = result.map_err(|failure| Failure { code: Code::DECODE, ..failure })?;
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

impl From<LegacyResult> for CniResult {
    fn from(legacy: LegacyResult) -> Self {
        let mut result = Self { dns: legacy.dns.unwrap_or_default(), ..Self::default() };
        for ip in [legacy.ip4, legacy.ip6].into_iter().flatten() {
            let LegacyIp { ip: address, gateway, routes } = ip;
            result.ips.push(IpConfig { address, gateway, interface: None });
            result.routes.extend(routes.unwrap_or_default());
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

/// Reads a hardware address; none where it is not an Ethernet address.
pub(super) fn ethernet<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Mac>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
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
    fn null_empty_and_unknown_values_are_ignored() {
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
