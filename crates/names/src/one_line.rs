//! Escaping of text from outside (a tenant's configuration, another program) for logs and terminals.

use std::fmt::{self, Display, Formatter, Write};

/// Displays a value without anything that ends its line, that a terminal obeys or that nobody sees:
/// control characters, those that change the direction of text and invisible ones are escaped as in JSON
/// (`\n`, `\u001b`). All other characters, quotes and backslashes too, stay as they are: JSON of one line
/// stays the same JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneLine<T>(pub T);

impl<T: Display> OneLine<T> {
    /// Displays at most this many bytes, and an ellipsis for the rest.
    pub fn cut(self, max: usize) -> impl Display {
        Cut { line: self, max }
    }
}

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping { to: f, left: usize::MAX, is_cut: false }, "{}", self.0)
    }
}

/// Displays the beginning of a line.
struct Cut<T> {
    line: OneLine<T>,
    max: usize,
}

impl<T: Display> Display for Cut<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping { to: f, left: self.max, is_cut: false }, "{}", self.line.0)
    }
}

/// Stands for the rest of a text that is longer than it may be.
const CUT: char = '\u{2026}';

/// Escapes what is written through it, up to a number of bytes.
struct Escaping<'f, 'b> {
    to: &'f mut Formatter<'b>,
    /// How many bytes may still be written.
    left: usize,
    is_cut: bool,
}

impl Escaping<'_, '_> {
    /// Writes what stands for one character, or once [`CUT`].
    fn whole(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Ok(());
        }
        if let Some(left) = self.left.checked_sub(text.len()) {
            self.left = left;
            self.to.write_str(text)
        } else {
            self.is_cut = true;
            self.to.write_char(CUT)
        }
    }
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '\n' => self.whole("\\n"),
            '\r' => self.whole("\\r"),
            '\t' => self.whole("\\t"),
            c if must_be_escaped(c) => {
                // Beyond U+FFFF JSON has two escapes for a character.
                let mut escapes = String::new();
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(escapes, "\\u{unit:04x}")?;
                }
                self.whole(&escapes)
            }
            c => self.whole(c.encode_utf8(&mut [0; 4])),
        }
    }
}

/// Returns true for control characters (C0, DEL, C1), for line and paragraph separators, for marks,
/// embeddings, overrides and isolates of the bidirectional algorithm (Unicode UAX #9), and for format
/// characters that show nothing: soft hyphen, zero-width ones, annotations, tags.
fn must_be_escaped(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Promise: shown-text-escaped
        #[test]
        fn any_text_is_one_line(text in any::<String>(), max in 0_usize..40) {
            let shown = OneLine(&text).to_string();
            prop_assert!(!shown.contains(must_be_escaped), "{shown:?}");
            let cut = OneLine(&text).cut(max).to_string();
            prop_assert!(cut.len() <= max + CUT.len_utf8(), "{cut:?}");
            match cut.strip_suffix(CUT) {
                Some(start) if cut != shown => prop_assert!(shown.starts_with(start), "{cut:?}"),
                _ => prop_assert_eq!(cut, shown),
            }
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        for (value, expected) in [
            ("plain \"text\" with \\ and \u{e9}", "plain \"text\" with \\ and \u{e9}"),
            ("x\nDec 01 node kubelet: y\r\t", "x\\nDec 01 node kubelet: y\\r\\t"),
            ("\u{1b}[2J\u{9b}\u{7f}\0", "\\u001b[2J\\u009b\\u007f\\u0000"),
            ("\u{61c}\u{2028}\u{202e}\u{2066}", "\\u061c\\u2028\\u202e\\u2066"),
            ("a\u{200b}b\u{feff}\u{e0041}", "a\\u200bb\\ufeff\\udb40\\udc41"),
        ] {
            assert_eq!(OneLine(value).to_string(), expected);
        }
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(OneLine("abc").cut(3).to_string(), "abc");
        assert_eq!(OneLine("abcd").cut(3).to_string(), "abc\u{2026}");
        assert_eq!(OneLine("ab\u{1b}").cut(7).to_string(), "ab\u{2026}", "no half an escape");
        assert_eq!(OneLine("a".repeat(1 << 20)).cut(10).to_string().chars().count(), 11);
    }
}
