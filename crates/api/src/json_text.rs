//! JSON inside of a text field, as in a NAD's `spec.config`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Reason;
use crate::fields::excerpt;

/// How much of the text is shown on each side of the place of an error, in characters.
const NEAR: usize = 15;

/// The one JSON object that `text` holds.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, Reason> {
    match parse(text)? {
        Value::Object(map) => Ok(map),
        other => Err(Reason::unexpected(excerpt(&other), "a JSON object in braces")),
    }
}

/// The JSON objects that `text` holds, between commas and without the brackets of a list.
pub(crate) fn objects(text: &str) -> Result<Vec<Map<String, Value>>, Reason> {
    // The bracket stands on a line of its own, so that columns stay those of the text.
    let values: Vec<Value> = parse(&format!("[\n{text}\n]")).map_err(|reason| match reason {
        Reason::Json { line, column, near, problem } => {
            let last = text.lines().count().max(1);
            Reason::Json { line: line.saturating_sub(1).clamp(1, last), column, near, problem }
        }
        other => other,
    })?;
    values
        .into_iter()
        .map(|value| match value {
            Value::Object(map) => Ok(map),
            other => Err(Reason::unexpected(
                format!("a list with {} in it", excerpt(&other)),
                "JSON objects with a comma between them, without brackets around them",
            )),
        })
        .collect()
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Reason> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let whole = error.to_string();
        let place = format!(" at line {line} column {column}");
        Reason::Json {
            line,
            column,
            near: near(text, line, column),
            problem: whole.strip_suffix(&place).unwrap_or(&whole).to_owned(),
        }
    })
}

/// The text around a place that `serde_json` gave: its columns count bytes, from 1.
fn near(text: &str, line: usize, column: usize) -> String {
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before = shown.char_indices().take_while(|(offset, _)| *offset < column).count();
    shown.chars().skip(before.saturating_sub(NEAR)).take(2 * NEAR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_error_has_its_place_and_text() {
        let reason = object("{\n  \"type\": \"bond\",\n  \"mtu\": 15x0\n}").unwrap_err();
        let Reason::Json { line, column, near, .. } = reason else { panic!("{reason:?}") };
        assert_eq!((line, column), (3, 12));
        assert_eq!(near, "  \"mtu\": 15x0");
    }

    #[test]
    fn truncated_json_is_reported_at_its_end() {
        let message = object("{\"type\":\"bond\"").unwrap_err().to_string();
        assert!(message.contains("EOF while parsing an object at line 1, column 14"), "{message}");
        assert!(object("").is_err());
    }

    #[test]
    fn objects_between_commas_are_a_list() {
        let types: Vec<_> = objects("{\"type\":\"tuning\"},\n{\"type\":\"vrf\"}")
            .unwrap()
            .into_iter()
            .map(|plugin| plugin["type"].clone())
            .collect();
        assert_eq!(types, ["tuning", "vrf"]);
        assert!(objects("").unwrap().is_empty());
    }

    #[test]
    fn json_error_in_a_list_has_its_own_line() {
        let reason = objects("{\"type\":\"tuning\"},\n{\"type\" \"vrf\"}").unwrap_err();
        assert!(matches!(reason, Reason::Json { line: 2, column: 9, .. }), "{reason:?}");
        let reason = objects("[{\"type\":\"vrf\"}]").unwrap_err();
        assert!(matches!(reason, Reason::Unexpected { .. }), "{reason:?}");
    }
}
