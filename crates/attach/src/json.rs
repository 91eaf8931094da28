//! How JSON is shown in messages.

use serde_json::Value;

/// Line, column and words of a parser's error.
pub(crate) fn place(error: &serde_json::Error) -> (usize, usize, String) {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let place = format!(" at line {line} column {column}");
    (line, column, whole.strip_suffix(&place).unwrap_or(&whole).to_owned())
}

/// A value, cut where it becomes long.
pub(crate) fn show(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}
