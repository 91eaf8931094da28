//! The networks annotation in both of its forms, read into selections.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use podbond_api::{FieldError, Fields, Reason, excerpt};
use podbond_names::NameError;
use serde_json::Value;

use super::selection::Selection;
use crate::error::{ElementError, NetworksError};

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
        interface: interface.map(|text| part("interface", text)).transpose()?,
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
    let mut with_route = (1..).zip(&selections).filter(|(_, one)| !one.default_route.is_empty());
    match (with_route.next(), with_route.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(NetworksError::TwoDefaultRoutes { first, second })
        }
        _ => Ok(selections),
    }
}

/// Returns the selection of an element in JSON. Unknown keys are ignored, as every reader of this
/// annotation does; what goes to a plugin as it is the plugin checks.
fn json_element(item: &Value) -> Result<Selection, ElementError> {
    let element = Fields::root(item.as_object().ok_or(ElementError::NoObject)?);
    let name = element.required("name", "the name of a NetworkAttachmentDefinition")?;
    // `interfaceRequest` is an older name, which some manifests still have.
    let interface = match element.parsed("interface")? {
        Some(name) => Some(name),
        None => element.parsed("interfaceRequest")?,
    };
    Ok(Selection {
        namespace: element.parsed("namespace")?,
        interface,
        ips: ips(&element)?,
        mac: element.parsed("mac")?,
        infiniband_guid: element.text("infiniband-guid")?.map(str::to_owned),
        port_mappings: element.items("portMappings", "an object in braces", |item| {
            item.is_object().then(|| item.clone())
        })?,
        bandwidth: element.map("bandwidth")?.cloned(),
        device: element.parsed("deviceID")?,
        cni_args: element.map("cni-args")?.cloned().unwrap_or_default(),
        default_route: default_route(&element)?,
        ..Selection::of(name)
    })
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

/// Returns the gateways of `default-route`, at most one of each family.
fn default_route(element: &Fields<'_>) -> Result<Vec<IpAddr>, ElementError> {
    let parse = |item: &Value| item.as_str()?.parse().ok();
    let gateways: Vec<IpAddr> = element.items("default-route", "a gateway's address", parse)?;
    let of_v4 = gateways.iter().filter(|gateway| gateway.is_ipv4()).count();
    if of_v4 > 1 || gateways.len() - of_v4 > 1 {
        return Err(ElementError::Gateways);
    }
    Ok(gateways)
}
