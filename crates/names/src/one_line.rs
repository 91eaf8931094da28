//! Escaping of text from outside (a tenant's configuration, another program) for logs and terminals.

use std::fmt::{self, Display, Formatter, Write};

/// Displays a value without anything that ends its line or that a terminal obeys: control characters
/// and those that change the direction of text are escaped as in JSON (`\n`, `\u001b`). All other
/// characters, quotes and backslashes too, stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneLine<T>(pub T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes what is written through it.
struct Escaping<'f, 'b>(&'f mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '\n' => self.0.write_str("\\n"),
            '\r' => self.0.write_str("\\r"),
            '\t' => self.0.write_str("\\t"),
            c if must_be_escaped(c) => write!(self.0, "\\u{:04x}", u32::from(c)),
            c => self.0.write_char(c),
        }
    }
}

/// Returns true for control characters (C0, DEL, C1), for line and paragraph separators and for
/// marks, embeddings, overrides and isolates of the bidirectional algorithm (Unicode UAX #9). All are
/// below U+10000, so that four hexadecimal digits suffice.
fn must_be_escaped(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_one_line(text in any::<String>()) {
            let shown = OneLine(text).to_string();
            prop_assert!(!shown.contains(must_be_escaped), "{shown:?}");
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        for (value, expected) in [
            ("plain \"text\" with \\ and \u{e9}", "plain \"text\" with \\ and \u{e9}"),
            ("x\nDec 01 node kubelet: y\r\t", "x\\nDec 01 node kubelet: y\\r\\t"),
            ("\u{1b}[2J\u{9b}\u{7f}\0", "\\u001b[2J\\u009b\\u007f\\u0000"),
            ("\u{61c}\u{2028}\u{202e}\u{2066}", "\\u061c\\u2028\\u202e\\u2066"),
        ] {
            assert_eq!(OneLine(value).to_string(), expected);
        }
    }
}
