//! Names of network interfaces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{NameError, string_type};

/// The longest name of a link in bytes: the kernel's IFNAMSIZ less the closing NUL.
const MAX_BYTES: usize = 15;

/// The name of a network interface that may exist: what the kernel's `dev_valid_name` accepts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName(String);

/// The name of a network interface that is to be made: one that the kernel gives it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLinkName(LinkName);

impl LinkName {
    /// Returns the name as the kernel knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LinkName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            Err(NameError::LinkEmpty)
        } else if text.len() > MAX_BYTES {
            Err(NameError::LinkTooLong { text: text.to_owned() })
        } else if let Some(character) = text.chars().find(|&c| is_refused(c)) {
            Err(NameError::LinkCharacter { text: text.to_owned(), character })
        } else if matches!(text, "." | "..") {
            Err(NameError::LinkReserved { text: text.to_owned() })
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// Returns whether the kernel takes no name with this character. It looks at bytes, and its `isspace` has
/// the no-break space of Latin-1 too: 0xa0, which is also the last byte of U+00E0 in UTF-8.
fn is_refused(c: char) -> bool {
    let refused = |byte| matches!(byte, b'/' | b':' | b'\0' | b'\t'..=b'\r' | b' ' | 0xa0);
    c.encode_utf8(&mut [0; 4]).bytes().any(refused)
}

impl FromStr for NewLinkName {
    type Err = NameError;

    /// Refuses what the kernel refuses, and what it would not make as it is written: in a name with `%d`
    /// it puts a number (`dev_alloc_name`), any other `%` is an error to it; `all` and `default` are
    /// directories of `/proc/sys/net/ipv4/conf`, and a link of such a name has no settings. White space
    /// beyond ASCII is refused as CNI's library refuses it.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let name: LinkName = text.parse()?;
        if let Some(character) = text.chars().find(|c| c.is_whitespace()) {
            Err(NameError::LinkCharacter { text: text.to_owned(), character })
        } else if text.contains('%') {
            Err(NameError::LinkPattern { text: text.to_owned() })
        } else if matches!(text, "all" | "default") {
            Err(NameError::LinkReserved { text: text.to_owned() })
        } else {
            Ok(Self(name))
        }
    }
}

impl From<NewLinkName> for LinkName {
    fn from(name: NewLinkName) -> Self {
        name.0
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

string_type!(LinkName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_names_are_accepted() {
        for text in ["net1", "bond0", "a", "ens1f0np0v15", "exactly15bytes_", "x.100"] {
            assert_eq!(text.parse::<LinkName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn wrong_name_is_refused_with_its_reason() {
        let reason = |text: &str| text.parse::<LinkName>().unwrap_err();
        assert_eq!(reason(""), NameError::LinkEmpty);
        assert!(matches!(reason("sixteen_bytes_xx"), NameError::LinkTooLong { .. }));
        assert!(matches!(reason("a/b"), NameError::LinkCharacter { character: '/', .. }));
        assert!(matches!(reason("a b"), NameError::LinkCharacter { character: ' ', .. }));
        assert!(matches!(reason("a\u{b}"), NameError::LinkCharacter { .. }));
        assert!(matches!(reason("\u{e0}"), NameError::LinkCharacter { .. }));
        assert!(matches!(reason("eth0:1"), NameError::LinkCharacter { character: ':', .. }));
        assert!(matches!(reason(".."), NameError::LinkReserved { .. }));
    }

    #[test]
    fn name_that_the_kernel_would_expand_is_not_for_a_new_link() {
        for text in ["net%d", "%", "%d", "a%s", "all", "default", "a\u{2003}b"] {
            assert!(text.parse::<LinkName>().is_ok(), "{text}: it may exist");
            let error = text.parse::<NewLinkName>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("interface name {text:?} ")), "{error}");
        }
        for text in ["", "a/b", "..", "sixteen_bytes_xx"] {
            assert!(text.parse::<NewLinkName>().is_err(), "{text}");
        }
        for text in ["net1", "all1", "Default", "eth0.100", "\u{e9}"] {
            let name: NewLinkName = text.parse().unwrap();
            assert_eq!(LinkName::from(name).as_str(), text);
        }
    }
}
