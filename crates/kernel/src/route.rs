//! IP routes.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use podbond_names::LinkName;
use serde::{Deserialize, Serialize};

/// One route of a CNI result, as `RTM_NEWROUTE` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `RTA_DST`; `0.0.0.0/0` and `::/0` are default routes.
    pub destination: IpNet,
    /// `RTA_GATEWAY`; none for a route on the link itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// `RTAX_MTU` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// `RTAX_ADVMSS` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// `RTA_PRIORITY`: the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// `RTA_TABLE`; none is the main table, 254.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// `rtm_scope`: 0 universe, 253 link; none lets the kernel's rule decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
    /// `rtm_protocol`, as 4 for static and 9 for a router's advertisement; none is 3, boot, which a
    /// route has that is added by hand. No result asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
}

/// An IPv6 route through a link that the kernel has joined with others into one with several next hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedRoute {
    /// The part of it that leaves through the link.
    pub route: Route,
    /// The other links that it leaves through.
    pub others: Vec<LinkName>,
}

/// `RT_TABLE_MAIN`
const MAIN_TABLE: u32 = 254;

impl Route {
    /// Returns the fields that `shown` has otherwise than this route, which was wanted: each as it
    /// is wanted and as it is shown. None where `shown` leads to another destination or through
    /// another gateway. What was not asked for is not compared: the kernel chooses it, and a plugin
    /// that follows in a chain may move the route to another table.
    pub fn mismatches(&self, shown: &Self) -> Option<Vec<(String, String)>> {
        if self.destination.trunc() != shown.destination.trunc() || self.gateway != shown.gateway {
            return None;
        }
        let shown_table = Some(shown.table.unwrap_or(MAIN_TABLE));
        let mut pairs = vec![
            (field("mtu", self.mtu), field("mtu", shown.mtu)),
            (field("advmss", self.advmss), field("advmss", shown.advmss)),
            (field("metric", self.priority), field("metric", shown.priority)),
            (field("table", self.table), field("table", shown_table)),
        ];
        // The kernel ignores the scope of an IPv6 route.
        if self.destination.addr().is_ipv4() {
            pairs.push((scope(self.scope), scope(shown.scope)));
        }
        let mismatches = pairs.into_iter().filter_map(|(wanted, is)| {
            let wanted = wanted.filter(|wanted| Some(wanted) != is.as_ref())?;
            Some((wanted, is.unwrap_or_else(|| "none".to_owned())))
        });
        Some(mismatches.collect())
    }
}

impl fmt::Display for Route {
    /// Writes the route as iproute2 does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        let fields = [
            field("table", self.table),
            scope(self.scope),
            field("metric", self.priority),
            field("mtu", self.mtu),
            field("advmss", self.advmss),
        ];
        fields.into_iter().flatten().try_for_each(|field| write!(f, " {field}"))
    }
}

fn field(name: &str, number: Option<u32>) -> Option<String> {
    number.map(|number| format!("{name} {number}"))
}

/// Returns the scope by its name in `/etc/iproute2/rt_scopes`.
fn scope(number: Option<u8>) -> Option<String> {
    number.map(|number| match number {
        0 => "scope global".to_owned(),
        200 => "scope site".to_owned(),
        253 => "scope link".to_owned(),
        254 => "scope host".to_owned(),
        255 => "scope nowhere".to_owned(),
        other => format!("scope {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn route_is_shown_as_iproute2_does() {
        let all = r#"{"destination":"10.9.0.0/16","gateway":"10.0.0.1","mtu":1400,"advmss":1360,
            "priority":50,"table":1000,"scope":0}"#;
        assert_eq!(
            route(all).to_string(),
            "10.9.0.0/16 via 10.0.0.1 table 1000 scope global metric 50 mtu 1400 advmss 1360"
        );
        assert_eq!(route(r#"{"destination":"::/0"}"#).to_string(), "::/0");
    }

    #[test]
    fn only_what_was_asked_for_is_compared() {
        let shown =
            route(r#"{"destination":"10.9.0.0/16","gateway":"10.0.0.1","priority":50,"scope":0}"#);
        let mismatches = |rest: &str| {
            let wanted = format!(r#"{{"destination":"10.9.7.7/16","gateway":"10.0.0.1"{rest}}}"#);
            let mismatches = route(&wanted).mismatches(&shown).unwrap();
            mismatches.iter().map(|(w, is)| format!("{is}, not {w}")).collect::<Vec<_>>()
        };
        assert_eq!(mismatches(""), [""; 0]);
        assert_eq!(mismatches(r#","priority":50,"scope":0,"table":254"#), [""; 0]);
        assert_eq!(
            mismatches(r#","priority":60,"mtu":1400,"table":1000,"scope":253"#),
            [
                "none, not mtu 1400",
                "metric 50, not metric 60",
                "table 254, not table 1000",
                "scope global, not scope link",
            ]
        );
        for other in [
            r#"{"destination":"10.9.0.0/16"}"#,
            r#"{"destination":"10.8.0.0/16","gateway":"10.0.0.1"}"#,
        ] {
            assert_eq!(route(other).mismatches(&shown), None);
        }
    }

    #[test]
    fn scope_of_ipv6_route_is_not_compared() {
        let wanted = route(r#"{"destination":"::/0","scope":253}"#);
        let shown = route(r#"{"destination":"::/0","scope":0,"priority":1024}"#);
        assert_eq!(wanted.mismatches(&shown), Some(vec![]));
    }
}
