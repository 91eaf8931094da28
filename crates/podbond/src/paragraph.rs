//! Sentences that fit a terminal.

/// No line is longer, in characters.
const WIDTH: usize = 100;

/// Breaks a text between words; each line after the first begins with the indent.
pub(crate) fn paragraph(text: &str, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let width = line.chars().count() + 1 + word.chars().count();
        if !is_empty && width > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_none_is_too_long() {
        let text = "word ".repeat(50);
        let lines = paragraph(&text, "  ");
        assert_eq!(lines.concat().matches("word").count(), 50);
        assert_eq!(lines.iter().map(String::len).max(), Some(99));
        assert!(lines[0].starts_with("word") && lines[1].starts_with("  word"));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_word_that_fits_no_line_is_left_whole() {
        let long = "w".repeat(120);
        let lines = paragraph(&format!("a {long} b"), "> ");
        assert_eq!(lines, ["a", &format!("> {long}"), "> b"]);
    }
}
