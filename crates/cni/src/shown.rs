//! What people see of a process: lines on standard error, and JSON on standard output. The one place where
//! text from outside is escaped on its way there.

use std::fmt::Display;
use std::io::{self, Write};

use podbond_names::OneLine;
use serde::Serialize;

/// How long a line on standard error may be, in bytes without its end: what a pipe takes at once
/// (`PIPE_BUF`) together with the mark of what is cut, so that lines of two processes do not mix.
pub const MAX_LINE: usize = 4092;

/// Writes a line to standard error, escaped and cut after [`MAX_LINE`]. When that fails there is nobody to
/// report it to.
pub fn print_error_line(line: impl Display) {
    let line = format!("{}\n", OneLine(line).cut(MAX_LINE));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Returns a value as JSON of several lines, with an end of line. What JSON leaves as it is although a
/// terminal obeys it (U+009B, U+202E) is escaped, which is the same JSON.
pub fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut shown = String::with_capacity(text.len() + 1);
    // No text of the value ends a line: its line feeds are escaped.
    for line in text.split('\n') {
        shown.push_str(&OneLine(line).to_string());
        shown.push('\n');
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        /// Promise: shown-text-escaped
        #[test]
        fn any_json_is_the_same_and_safe_to_show(key in any::<String>(), value in any::<String>()) {
            let value = json!({ key: [value] });
            let text = json_text(&value).unwrap();
            prop_assert!(text.lines().all(|line| OneLine(line).to_string() == line), "{text:?}");
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
