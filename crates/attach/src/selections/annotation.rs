//! The networks annotation in both of its forms, read into selections.

use std::str::FromStr;

use podbond_names::NameError;
use serde_json::Value;

use super::element::Element;
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
        namespace: parse_optional("namespace", namespace)?,
        interface: parse_optional("interface", interface)?,
        ..Selection::of(parse_name("name", name)?)
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

/// Returns the name or address in a field of an element.
fn parse_name<T: FromStr<Err = NameError>>(
    field: &'static str,
    text: &str,
) -> Result<T, ElementError> {
    text.parse().map_err(|error| ElementError::Name { field, error })
}

/// Returns the same of a field that may be absent.
fn parse_optional<T: FromStr<Err = NameError>>(
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, ElementError> {
    text.map(|text| parse_name(field, text)).transpose()
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
    let selections: Vec<Selection> = (1..)
        .zip(&items)
        .map(|(number, item)| {
            json_element(item).map_err(|reason| NetworksError::Element {
                number,
                text: crate::json::show(item),
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
/// annotation does.
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
        namespace: parse_optional("namespace", element.text("namespace")?)?,
        interface: parse_optional("interface", interface)?,
        ips: element.ips()?,
        mac: parse_optional("mac", element.text("mac")?)?,
        infiniband_guid: element.infiniband_guid()?,
        port_mappings: element.port_mappings()?,
        bandwidth: element.bandwidth()?,
        device: parse_optional("deviceID", element.text("deviceID")?)?,
        cni_args: element.object("cni-args")?.cloned().unwrap_or_default(),
        default_route: element.default_route()?,
        ..Selection::of(parse_name("name", name)?)
    })
}
