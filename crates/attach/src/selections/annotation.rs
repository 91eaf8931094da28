//! The networks annotation in both of its forms, read into selections.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use podbond_api::{FieldError, Fields, Reason, excerpt};
use podbond_cni::is_key;
use podbond_names::{LinkName, NameError, NewLinkName};
use serde_json::{Map, Value};

use super::selection::{DefaultRoute, Selection};
use crate::error::{ElementError, NetworksError};

/// The keys of an element; `interfaceRequest` is an older name, which some manifests still have.
const KEYS: [&str; 13] = [
    "name",
    "namespace",
    "interface",
    "interfaceRequest",
    "ips",
    "mac",
    "infiniband-guid",
    "portMappings",
    "bandwidth",
    "deviceID",
    "cni-args",
    "default-route",
    "ipam-claim-reference",
];

/// Returns the selections of a networks annotation in either form: a comma list of
/// `[namespace/]name[@interface]`, or a JSON list (multi-net-spec 1.3, section 4.1). None for blank text.
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
    let items = (1..).zip(text.split(',').map(str::trim));
    items
        .map(|(number, item)| {
            short_element(item).map_err(|reason| NetworksError::Element {
                number,
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
        namespace: namespace.map(|text| part("namespace", text)).transpose()?,
        interface: interface
            .map(|text| part::<NewLinkName>("interface", text).map(LinkName::from))
            .transpose()?,
        ..Selection::of(part("name", name)?)
    })
}

/// Returns both sides of a separator, trimmed; one side where there is none.
fn split_once_only(text: &str, separator: char) -> Result<(&str, Option<&str>), ElementError> {
    let Some((left, right)) = text.split_once(separator) else { return Ok((text, None)) };
    if right.contains(separator) {
        return Err(ElementError::Separator { separator });
    }
    Ok((left.trim(), Some(right.trim())))
}

/// Returns a part of a short element.
fn part<T: FromStr<Err = NameError>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error| {
        let reason = Box::new(Reason::Name(error));
        FieldError { path: field.to_owned(), reason }
    })
}

fn parse_json(text: &str) -> Result<Vec<Selection>, NetworksError> {
    let value = serde_json::from_str(text)
        .map_err(|error| NetworksError::Json { problem: error.to_string() })?;
    let items = match value {
        Value::Array(items) => items,
        // As a Go program reads it: no list is an empty one.
        Value::Null => return Ok(Vec::new()),
        _ => return Err(NetworksError::NoList),
    };
    let selections: Vec<Selection> = (1..)
        .zip(&items)
        .map(|(number, item)| {
            json_element(item).map_err(|reason| NetworksError::Element {
                number,
                text: excerpt(item),
                reason,
            })
        })
        .collect::<Result<_, _>>()?;
    let asks = |selection: &Selection| selection.default_route != DefaultRoute::NotAsked;
    let mut with_route = (1..).zip(&selections).filter(|(_, selection)| asks(selection));
    match (with_route.next(), with_route.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(NetworksError::TwoDefaultRoutes { first, second })
        }
        _ => Ok(selections),
    }
}

/// Returns the selection of an element in JSON. Unknown keys are passed over, as every reader of this
/// annotation does; what goes to a plugin as it is the plugin checks.
fn json_element(item: &Value) -> Result<Selection, ElementError> {
    let (known, unknown) = known_keys(item.as_object().ok_or(ElementError::NoObject)?);
    let element = Fields::root(&known);
    if let Some((namespace, name)) = element.text("name")?.and_then(|text| text.split_once('/')) {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        return Err(ElementError::NamespaceInName { namespace, name });
    }
    let name = element.required("name", "the name of a NetworkAttachmentDefinition")?;
    let ipam_claim = element.parsed("ipam-claim-reference")?;
    let ips = ips(&element)?;
    // "Attempting to configure both a static IP request - via the `ips` key - and an
    // `ipam-claim-reference` in the same network selection element will result in an error"
    // (multi-net-spec 1.3, section 4.1.2.1.11.1).
    if ipam_claim.is_some() && !ips.is_empty() {
        return Err(ElementError::IpsAndClaim);
    }
    let interface: Option<NewLinkName> = match element.parsed("interface")? {
        Some(name) => Some(name),
        None => element.parsed("interfaceRequest")?,
    };
    Ok(Selection {
        namespace: element.parsed("namespace")?,
        interface: interface.map(LinkName::from),
        ips,
        mac: element.parsed("mac")?,
        infiniband_guid: element.text("infiniband-guid")?.map(str::to_owned),
        port_mappings: element.items("portMappings", "an object in braces", |item| {
            item.is_object().then(|| item.clone())
        })?,
        bandwidth: element.map("bandwidth")?.cloned(),
        device: element.parsed("deviceID")?,
        cni_args: element.map("cni-args")?.cloned().unwrap_or_default(),
        default_route: default_route(&element)?,
        ipam_claim,
        unknown,
        ..Selection::of(name)
    })
}

/// Returns what an element says under keys that are known, found as Go finds them, and the keys that nobody
/// knows. "Implementations that write keys other than those defined in this specification must use reverse
/// domain name notation" (multi-net-spec 1.3, section 4.1.2.1): keys with a dot belong to others.
fn known_keys(element: &Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let (mut known, mut unknown) = (Map::new(), Vec::new());
    for (key, value) in element {
        match KEYS.iter().find(|name| is_key(key, name)) {
            Some(_) if value.is_null() => {}
            Some(name) => {
                known.insert((*name).to_owned(), value.clone());
            }
            None if key.contains('.') => {}
            None => unknown.push(key.clone()),
        }
    }
    (known, unknown)
}

/// Returns `ips`: addresses with or without a prefix length, as given.
fn ips(element: &Fields<'_>) -> Result<Vec<String>, FieldError> {
    let expected = "an address, as \"10.56.217.5\" or \"10.56.217.5/24\"";
    element.items("ips", expected, |item| {
        let text = item.as_str()?;
        let is_address = text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
        is_address.then(|| text.to_owned())
    })
}

/// Returns `default-route`: its gateways, at most one of each family; "This list may be empty"
/// (multi-net-spec 1.3, section 4.1.2.1.9).
fn default_route(element: &Fields<'_>) -> Result<DefaultRoute, ElementError> {
    if !element.is_given("default-route") {
        return Ok(DefaultRoute::NotAsked);
    }
    let parse = |item: &Value| item.as_str()?.parse().ok();
    let gateways: Vec<IpAddr> = element.items("default-route", "a gateway's address", parse)?;
    let of_v4 = gateways.iter().filter(|gateway| gateway.is_ipv4()).count();
    if of_v4 > 1 || gateways.len() - of_v4 > 1 {
        return Err(ElementError::Gateways);
    }
    Ok(if gateways.is_empty() { DefaultRoute::Own } else { DefaultRoute::Gateways(gateways) })
}
