use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::netlink::{self, NLM_F_APPEND, NLM_F_CREATE};
use crate::{At, Error, Kernel, Result, Step};

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
    /// `rtm_protocol`, as 4 for static and 9 for a router's advertisement; none is 3, boot, which a route
    /// has that is made by hand. No result asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
}

/// `RT_TABLE_MAIN`
const MAIN_TABLE: u32 = 254;

impl Route {
    /// The fields of this route, as it was wanted, that one which is there has otherwise: each in
    /// words, what is wanted and what is. None where it is a route to somewhere else, or through
    /// another gateway. What was not asked for is not compared: the kernel chooses it, and a plugin
    /// that follows in a chain may move the route to another table.
    pub fn unlike(&self, shown: &Self) -> Option<Vec<(String, String)>> {
        let to = |route: &Self| (route.destination.trunc(), route.gateway);
        if to(self) != to(shown) {
            return None;
        }
        let table = |route: &Self| Some(route.table.unwrap_or(MAIN_TABLE));
        let mut pairs = vec![
            (words("mtu", self.mtu), words("mtu", shown.mtu)),
            (words("advmss", self.advmss), words("advmss", shown.advmss)),
            (words("metric", self.priority), words("metric", shown.priority)),
            (words("table", self.table), words("table", table(shown))),
        ];
        // The kernel ignores the scope of an IPv6 route.
        if self.destination.addr().is_ipv4() {
            pairs.push((scope(self.scope), scope(shown.scope)));
        }
        let unlike = pairs.into_iter().filter_map(|(wanted, is)| Some((wanted?, is)));
        let unlike = unlike.filter(|(wanted, is)| Some(wanted) != is.as_ref());
        Some(unlike.map(|(wanted, is)| (wanted, is.unwrap_or_else(|| "none".to_owned()))).collect())
    }
}

impl fmt::Display for Route {
    /// As iproute2 writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        let fields = [
            words("table", self.table),
            scope(self.scope),
            words("metric", self.priority),
            words("mtu", self.mtu),
            words("advmss", self.advmss),
        ];
        fields.into_iter().flatten().try_for_each(|field| write!(f, " {field}"))
    }
}

fn words(name: &str, number: Option<u32>) -> Option<String> {
    number.map(|number| format!("{name} {number}"))
}

/// The names of `/etc/iproute2/rt_scopes`.
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

impl Kernel {
    pub(crate) fn add_route(&mut self, step: &Step, at: &At, route: &Route) -> Result<()> {
        let side = self.side(at.netns)?;
        let message = netlink::append_route(side.index(&at.name)?, route);
        // Appended: it may stand beside one to the same destination.
        match side.change(step, &at.name, &message, NLM_F_CREATE | NLM_F_APPEND) {
            // The very same is there: the kernel made it with an address, or a router advertised it.
            Err(error) if error.errno() == Some(Errno::EXIST) => {
                let is_it = |shown: &Route| route.unlike(shown).is_some_and(|u| u.is_empty());
                if side.routes(&at.name)?.iter().any(is_it) { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(match (route.gateway, error.errno()) {
                (Some(gateway), Some(Errno::NETUNREACH | Errno::HOSTUNREACH)) => {
                    Error::GatewayUnreachable { action: step.to_string(), gateway }
                }
                _ => error,
            }),
            Ok(()) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_route_reads_as_iproute2_writes_it() {
        let all = r#"{"destination":"10.9.0.0/16","gateway":"10.0.0.1","mtu":1400,"advmss":1360,
            "priority":50,"table":1000,"scope":0}"#;
        assert_eq!(
            route(all).to_string(),
            "10.9.0.0/16 via 10.0.0.1 table 1000 scope global metric 50 mtu 1400 advmss 1360"
        );
        assert_eq!(route(r#"{"destination":"::/0"}"#).to_string(), "::/0");
    }

    #[test]
    fn only_what_was_asked_for_is_compared_and_each_difference_is_told() {
        let shown =
            route(r#"{"destination":"10.9.0.0/16","gateway":"10.0.0.1","priority":50,"scope":0}"#);
        let unlike = |wanted: &str| {
            let told = route(wanted).unlike(&shown)?;
            Some(told.iter().map(|(w, is)| format!("{is}, not {w}")).collect::<Vec<_>>())
        };
        let via = |rest: &str| {
            unlike(&format!(r#"{{"destination":"10.9.7.7/16","gateway":"10.0.0.1"{rest}}}"#))
        };
        assert_eq!(via(""), Some(vec![]));
        assert_eq!(via(r#","priority":50,"scope":0,"table":254"#), Some(vec![]));
        let told = via(r#","priority":60,"mtu":1400,"table":1000,"scope":253"#).unwrap();
        assert_eq!(
            told,
            [
                "none, not mtu 1400",
                "metric 50, not metric 60",
                "table 254, not table 1000",
                "scope global, not scope link",
            ]
        );
        assert_eq!(unlike(r#"{"destination":"10.9.0.0/16"}"#), None);
        assert_eq!(unlike(r#"{"destination":"10.8.0.0/16","gateway":"10.0.0.1"}"#), None);
    }

    #[test]
    fn the_scope_of_an_ipv6_route_is_not_compared() {
        let wanted = route(r#"{"destination":"::/0","scope":253}"#);
        let shown = route(r#"{"destination":"::/0","scope":0,"priority":1024}"#);
        assert_eq!(wanted.unlike(&shown), Some(vec![]));
    }
}
