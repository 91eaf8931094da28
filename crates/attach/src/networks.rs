use std::net::IpAddr;

use podbond_api::{Namespace, ObjectName};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::element::Element;
use crate::{ElementError, NetworksError};

/// One element of the networks annotation: a network that a pod asks for, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// `name`: of the NAD.
    pub name: ObjectName,
    /// `namespace`: of the NAD; the pod's own where absent.
    pub namespace: Option<Namespace>,
    /// `interface`: in the pod.
    pub interface: Option<LinkName>,
    /// `ips`: addresses asked for, each with or without a prefix length.
    pub ips: Vec<String>,
    /// `mac`: asked for.
    pub mac: Option<Mac>,
    /// `infiniband-guid`: eight bytes as `24:8a:07:03:00:8d:ae:2f`.
    pub infiniband_guid: Option<String>,
    /// `portMappings`: ports of the host that lead into the pod.
    pub port_mappings: Vec<PortMapping>,
    /// `bandwidth`: limits asked for.
    pub bandwidth: Option<Bandwidth>,
    /// `deviceID`: the device asked for.
    pub device: Option<PciAddress>,
    /// `cni-args`: merged into the configuration's `args.cni`.
    pub cni_args: Map<String, Value>,
    /// `default-route`: the pod's default routes lead through this network, by these gateways: at
    /// most one for IPv4 and one for IPv6, and at most one selection has any.
    pub default_route: Vec<IpAddr>,
}

/// One of `portMappings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// Port on the host, from 1.
    pub host_port: u16,
    /// Port in the pod, from 1.
    pub container_port: u16,
    /// TCP where absent.
    pub protocol: Protocol,
    /// Address on the host; any where absent.
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
}

/// Protocol of a port mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

/// `bandwidth`: rates in bit/s, bursts in bits. A burst has its rate beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bandwidth {
    /// Into the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_rate: Option<u64>,
    /// Into the pod, at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_burst: Option<u64>,
    /// Out of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_rate: Option<u64>,
    /// Out of the pod, at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_burst: Option<u64>,
}

/// Reads the networks annotation in either form: a comma list of `[namespace/]name[@interface]`,
/// or a JSON list (multi-net-spec 1.3, section 4.1). Blank text is no networks.
///
/// Names may hold dots, although the specification has labels without: a cluster has such NADs.
pub fn parse_networks(text: &str) -> Result<Vec<Selection>, NetworksError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    // None of these is in a short form; with one of them it can only be meant as JSON.
    if text.contains(['[', '{', '"']) { parse_json(text) } else { parse_short(text) }
}

fn parse_short(text: &str) -> Result<Vec<Selection>, NetworksError> {
    let items = text.split(',').map(str::trim).enumerate();
    items
        .map(|(position, item)| {
            short_element(item).map_err(|reason| NetworksError::Element {
                number: position + 1,
                text: format!("{item:?}"),
                reason,
            })
        })
        .collect()
}

fn short_element(item: &str) -> Result<Selection, ElementError> {
    if item.is_empty() {
        return Err(ElementError::Empty);
    }
    let (object, interface) = split_once_only(item, '@')?;
    let (first, second) = split_once_only(object, '/')?;
    let (namespace, name) = match second {
        Some(name) => (Some(first), name),
        None => (None, first),
    };
    Ok(Selection {
        namespace: namespace.map(parse_name("namespace")).transpose()?,
        interface: interface.map(parse_name("interface")).transpose()?,
        ..Selection::of(parse_name("name")(name)?)
    })
}

/// Both sides of a separator, trimmed; one side where there is none.
fn split_once_only(text: &str, separator: char) -> Result<(&str, Option<&str>), ElementError> {
    let Some((left, right)) = text.split_once(separator) else { return Ok((text, None)) };
    if right.contains(separator) {
        return Err(ElementError::Separator { separator });
    }
    Ok((left.trim(), Some(right.trim())))
}

pub(crate) fn parse_name<T>(field: &'static str) -> impl Fn(&str) -> Result<T, ElementError>
where
    T: std::str::FromStr<Err = podbond_names::NameError>,
{
    move |text| text.parse().map_err(|error| ElementError::Name { field, error })
}

fn parse_json(text: &str) -> Result<Vec<Selection>, NetworksError> {
    let value = serde_json::from_str(text).map_err(|error| {
        let (line, column, problem) = crate::json::place(&error);
        NetworksError::Json { line, column, problem }
    })?;
    let items = match value {
        Value::Array(items) => items,
        // As a Go program reads it: no list is an empty one.
        Value::Null => return Ok(Vec::new()),
        _ => return Err(NetworksError::NoList),
    };
    let selections: Vec<Selection> = items
        .iter()
        .enumerate()
        .map(|(position, item)| {
            json_element(item).map_err(|reason| NetworksError::Element {
                number: position + 1,
                text: crate::json::show(item),
                reason,
            })
        })
        .collect::<Result<_, _>>()?;
    let mut routed = (1..).zip(&selections).filter(|(_, one)| !one.default_route.is_empty());
    match (routed.next(), routed.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(NetworksError::TwoDefaultRoutes { first, second })
        }
        _ => Ok(selections),
    }
}

/// Keys that are not known are passed over, as every reader of this annotation does.
fn json_element(item: &Value) -> Result<Selection, ElementError> {
    let element = Element::new(item)?;
    let expected = "the name of a NetworkAttachmentDefinition";
    let name = element.text("name")?.ok_or(ElementError::Missing { field: "name", expected })?;
    // `interfaceRequest` is an older name, which some manifests still have.
    let interface = match element.text("interface")? {
        Some(name) => Some(name),
        None => element.text("interfaceRequest")?,
    };
    Ok(Selection {
        namespace: element.text("namespace")?.map(parse_name("namespace")).transpose()?,
        interface: interface.map(parse_name("interface")).transpose()?,
        ips: element.ips()?,
        mac: element.text("mac")?.map(parse_name("mac")).transpose()?,
        infiniband_guid: element.infiniband_guid()?,
        port_mappings: element.port_mappings()?,
        bandwidth: element.bandwidth()?,
        device: element.text("deviceID")?.map(parse_name("deviceID")).transpose()?,
        cni_args: element.object("cni-args")?.cloned().unwrap_or_default(),
        default_route: element.default_route()?,
        ..Selection::of(parse_name("name")(name)?)
    })
}

impl Selection {
    /// A network asked for by its name alone.
    fn of(name: ObjectName) -> Self {
        Self {
            name,
            namespace: None,
            interface: None,
            ips: Vec::new(),
            mac: None,
            infiniband_guid: None,
            port_mappings: Vec::new(),
            bandwidth: None,
            device: None,
            cni_args: Map::new(),
            default_route: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
