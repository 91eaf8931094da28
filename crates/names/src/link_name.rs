//! Names of network interfaces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{NameError, string_type};

/// The longest name of a link in bytes: the kernel's IFNAMSIZ less the closing NUL.
const MAX_BYTES: usize = 15;

/// The name of a network interface: what the kernel's `dev_valid_name` accepts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName(String);

impl LinkName {
    /// Returns the name as the kernel knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LinkName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = |c: char| matches!(c, '/' | ':' | '\0') || c.is_whitespace();
        if text.is_empty() {
            Err(NameError::LinkEmpty)
        } else if text.len() > MAX_BYTES {
            Err(NameError::LinkTooLong { text: text.to_owned() })
        } else if let Some(character) = text.chars().find(|&c| refused(c)) {
            Err(NameError::LinkCharacter { text: text.to_owned(), character })
        } else if matches!(text, "." | "..") {
            Err(NameError::LinkReserved { text: text.to_owned() })
        } else {
            Ok(Self(text.to_owned()))
        }
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
        assert!(matches!(reason("eth0:1"), NameError::LinkCharacter { character: ':', .. }));
        assert!(matches!(reason(".."), NameError::LinkReserved { .. }));
    }
}
