//! JSON in error messages: the place of a syntax error, and values cut to a length.

use serde_json::Value;

/// Returns line, column and message of a parser's error.
pub(crate) fn place(error: &serde_json::Error) -> (usize, usize, String) {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let place = format!(" at line {line} column {column}");
    (line, column, whole.strip_suffix(&place).unwrap_or(&whole).to_owned())
}

/// Returns a value as it is shown, cut at 60 characters.
pub(crate) fn show(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}
