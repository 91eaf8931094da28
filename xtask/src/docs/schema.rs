//! `docs/bond.schema.json`: what an editor needs to help with a configuration.

use podbond_bond::KEYS;
use podbond_kernel::BondMode;
use podbond_kernel::bond::table::{self, BondOption, Elsewhere, Family, Kind, Scope};
use serde_json::{Map, Value, json};

/// The key whose entries have options of their own.
const LINKS: &str = "links";

/// The whole schema, as text.
pub(super) fn schema() -> String {
    let mut properties = properties(Scope::Bond);
    for key in KEYS {
        let mut schema = match key.name {
            LINKS => links(),
            _ => serde_json::from_str(key.schema).unwrap_or_else(|_| json!({})),
        };
        schema["description"] = json!(key.what);
        properties.insert(key.name.to_owned(), schema);
    }
    properties.insert("type".to_owned(), json!({"const": "bond"}));
    properties.insert("cniVersion".to_owned(), json!({"type": "string"}));
    properties.insert("name".to_owned(), json!({"type": "string", "minLength": 1}));
    properties.insert("ipam".to_owned(), json!({"type": "object"}));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a podbond bond network",
        "description": "Made from the code by `cargo xtask docs`. bond-options.md is the reference.",
        "type": "object",
        "required": ["type", "name", "mode", LINKS],
        "properties": properties,
        "dependentSchemas": modes_of_options(),
        "allOf": modes_of_port_options(),
    });
    format!("{schema:#}\n")
}

/// An option that is refused in other modes wants one of its own, under each of its keys.
fn modes_of_options() -> Map<String, Value> {
    let mut schemas = Map::new();
    for option in table::all().filter(|option| option.scope == Scope::Bond) {
        let Some(modes) = only_in(option) else { continue };
        for key in option.aliases.iter().chain([&option.key]) {
            schemas.insert((*key).to_owned(), modes.clone());
        }
    }
    schemas
}

/// The same for the options in the entries of `links`.
fn modes_of_port_options() -> Vec<Value> {
    let options = table::all().filter(|option| option.scope == Scope::Port);
    let rules = options.filter_map(|option| {
        let given = json!({"properties": {LINKS: {"contains": {"required": [option.key]}}}});
        Some(json!({"if": given, "then": only_in(option)?}))
    });
    rules.collect()
}

/// What the mode must be where the option is given; none where it may be any.
fn only_in(option: &BondOption) -> Option<Value> {
    if option.elsewhere == Elsewhere::Ignored {
        return None;
    }
    let spellings = option.modes.iter().flat_map(|mode| {
        let number = mode.number();
        [json!(mode.name()), json!(number), json!(number.to_string())]
    });
    Some(json!({"properties": {"mode": {"enum": spellings.collect::<Vec<_>>()}}}))
}

fn links() -> Value {
    let mut properties = properties(Scope::Port);
    let name = json!({"type": "string", "minLength": 1, "maxLength": 15});
    properties.insert("name".to_owned(), name);
    json!({
        "type": "array", "minItems": 2,
        "items": {"type": "object", "required": ["name"], "properties": properties},
    })
}

/// The options of this scope, each under all its keys.
fn properties(scope: Scope) -> Map<String, Value> {
    let mut properties = Map::new();
    for option in table::all().filter(|option| option.scope == scope) {
        let mut schema = values(option);
        schema["description"] = json!(description(option));
        for key in option.aliases.iter().chain([&option.key]) {
            properties.insert((*key).to_owned(), schema.clone());
        }
    }
    properties
}

fn description(option: &BondOption) -> String {
    let modes = if option.modes == BondMode::ALL {
        "all".to_owned()
    } else {
        option.modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ")
    };
    let (what, default, since) = (option.what, option.default, option.since);
    format!("{what} Default: {default}. Modes: {modes}. Kernel {since} and newer.")
}

fn values(option: &BondOption) -> Value {
    match option.kind {
        Kind::Switch => json!({"enum": [true, false, 1, 0, "1", "0", "on", "off"]}),
        Kind::Number { min, max, .. } => json!({"anyOf": [
            {"type": "integer", "minimum": min, "maximum": max},
            {"type": "string", "pattern": digits(min, max)},
        ]}),
        Kind::Named(names) => {
            let texts = names.iter().map(|(_, name)| json!(name));
            let numbers = names.iter().flat_map(|(n, _)| [json!(n), json!(n.to_string())]);
            json!({"enum": texts.chain(numbers).collect::<Vec<_>>()})
        }
        Kind::Addresses(family) => {
            // The format, and what an address looks like in a list with commas.
            let (format, address) = match family {
                Family::V4 => ("ipv4", r"[0-9]{1,3}(\.[0-9]{1,3}){3}"),
                Family::V6 => ("ipv6", r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"),
            };
            json!({"anyOf": [
                {"type": "array", "minItems": 1, "maxItems": 16, "uniqueItems": true,
                 "items": {"type": "string", "format": format}},
                {"type": "string", "pattern": format!("^ *{address} *(, *{address} *){{0,15}}$")},
            ]})
        }
        Kind::Mac => json!({
            "type": "string", "pattern": "^[0-9A-Fa-f][02468ACEace]([:-][0-9A-Fa-f]{2}){5}$",
        }),
        Kind::Port => json!({"type": "string", "minLength": 1, "maxLength": 15}),
    }
}

/// A pattern for a number in this range as text: its sign, and how many digits it can have.
fn digits(min: i64, max: i64) -> String {
    let sign = if min < 0 { "-?" } else { "" };
    let longest = max.to_string().len().max(min.unsigned_abs().to_string().len());
    format!("^{sign}[0-9]{{1,{longest}}}$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_values() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        let has_values =
            |value: &Value| ["enum", "anyOf", "type"].iter().any(|key| !value[key].is_null());
        for option in table::all() {
            let place = match option.scope {
                Scope::Bond => &schema["properties"],
                Scope::Port => &schema["properties"]["links"]["items"]["properties"],
            };
            for key in option.aliases.iter().chain([&option.key]) {
                assert!(has_values(&place[key]), "{key}");
            }
        }
        for key in KEYS {
            assert!(has_values(&schema["properties"][key.name]), "{}", key.name);
        }
    }
}
