//! Patterns with `*` and `?`.

use serde::Deserialize;

/// A pattern over a whole text: `*` stands for any characters or none, `?` for exactly one, every
/// other character for itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Glob(String);

impl Glob {
    /// Returns the pattern as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the pattern describes all of a text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        // After a mismatch the last `*` takes one character more: an earlier one need not be tried
        // again, so that no pattern takes longer than its length times the text's.
        let mut star = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(&c) if c == '?' || c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((after, taken)) = star else { return false };
                    star = Some((after, taken + 1));
                    p = after + 1;
                    t = taken + 1;
                }
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}

impl TryFrom<String> for Glob {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Err("an empty pattern matches no link: give a name, or * for any");
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_and_question_mark() {
        for (pattern, text, expected) in [
            ("ens1f0", "ens1f0", true),
            ("ens1f0", "ens1f0v1", false),
            ("ens1f0", "ens1f", false),
            ("ens*f*v*", "ens1f0v12", true),
            ("ens*f*v*", "ens1f0", false),
            ("*", "anything", true),
            ("eth*", "eth", true),
            ("eth?", "eth", false),
            ("eth?", "eth7", true),
            ("eth?", "eth10", false),
            ("*v?", "v1v2", true),
            ("*ab", "aab", true),
            ("a*b*c", "abcbd", false),
            ("0000:03:*", "0000:03:10.1", true),
            ("0000:03:*", "0000:13:10.1", false),
            ("**", "x", true),
            ("été?", "étés", true),
            ("[a]", "a", false),
        ] {
            let glob = Glob::try_from(pattern.to_owned()).unwrap();
            assert_eq!(glob.matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_are_matched_in_linear_time() {
        let glob = Glob::try_from("*a".repeat(50) + "b").unwrap();
        assert!(!glob.matches(&"a".repeat(10_000)));
    }

    #[test]
    fn empty_pattern_is_refused() {
        Glob::try_from(String::new()).unwrap_err();
    }
}
