//! Names of Kubernetes objects, namespaces and device resources, as DNS-1123 and Kubernetes have them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::KeyError;

/// The longest DNS-1123 label, in bytes (RFC 1123, section 2.1).
const LABEL_MAX: usize = 63;
/// The longest DNS-1123 subdomain that Kubernetes takes as a name, in bytes.
const SUBDOMAIN_MAX: usize = 253;

/// A Kubernetes namespace: a DNS-1123 label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

/// The name of a Kubernetes object: a DNS-1123 subdomain. It is safe as a file's name, since it
/// neither begins with a dot nor holds a `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

/// The UID of a Kubernetes object: a UUID, or the hash that the kubelet gives a static pod; both are
/// DNS-1123 labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectUid(String);

/// The name of a pool of VFs without its prefix: `sriovnic1` of `openshift.io/sriovnic1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

/// Where an object is found: its namespace and its name, written `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey {
    /// The namespace; `default` where a manifest names none.
    pub namespace: Namespace,
    /// The name within the namespace.
    pub name: ObjectName,
}

impl Namespace {
    /// The name as Kubernetes writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    /// The namespace of an object that names none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl ObjectName {
    /// The name as Kubernetes writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ObjectUid {
    /// The UID as Kubernetes writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ResourceName {
    /// The name without a prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ObjectKey {
    /// Both parts, validated.
    pub fn new(namespace: &str, name: &str) -> Result<Self, KeyError> {
        Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
    }
}

/// Letters, digits and inner hyphens. How long it may be depends on what it is part of.
fn is_dns_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_dns_label(text: &str) -> bool {
    text.len() <= LABEL_MAX && is_dns_word(text)
}

impl FromStr for Namespace {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if is_dns_label(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::Namespace { text: text.to_owned() })
        }
    }
}

impl FromStr for ObjectUid {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if is_dns_label(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::Uid { text: text.to_owned() })
        }
    }
}

impl FromStr for ObjectName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let good = text.len() <= SUBDOMAIN_MAX && text.split('.').all(is_dns_word);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::Object { text: text.to_owned() })
        }
    }
}

impl FromStr for ResourceName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let bytes = text.as_bytes();
        let good = bytes.len() <= LABEL_MAX
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(allowed);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::Resource { text: text.to_owned() })
        }
    }
}

impl FromStr for ObjectKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (namespace, name) =
            text.split_once('/').ok_or_else(|| KeyError::Pair { text: text.to_owned() })?;
        Self::new(namespace, name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.namespace, self.name))
    }
}

/// Gives a name type its conversions from and to `String`, by way of `FromStr` and `Display`.
macro_rules! string_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = KeyError;

            fn try_from(text: String) -> Result<Self, KeyError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )*};
}
string_conversions!(Namespace, ObjectName, ObjectUid, ResourceName, ObjectKey);

macro_rules! display_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}
display_inner!(Namespace, ObjectName, ObjectUid, ResourceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dns_1123() {
        for text in ["demo", "a", "0", "my-net-1"] {
            assert!(text.parse::<Namespace>().is_ok(), "{text:?} was refused");
            assert!(text.parse::<ObjectName>().is_ok(), "{text:?} was refused");
        }
        for text in ["", "Demo", "-a", "a-", "a_b", "a/b", ".."] {
            assert!(text.parse::<Namespace>().is_err(), "{text:?} was accepted");
            assert!(text.parse::<ObjectName>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn lengths_are_those_of_kubernetes() {
        assert!("x".repeat(63).parse::<Namespace>().is_ok());
        assert!("x".repeat(64).parse::<Namespace>().is_err());
        assert!("x".repeat(253).parse::<ObjectName>().is_ok());
        assert!("x".repeat(254).parse::<ObjectName>().is_err());
    }

    #[test]
    fn only_an_objects_name_may_hold_dots() {
        assert!("a.b-c.d".parse::<ObjectName>().is_ok());
        assert!("a.b".parse::<Namespace>().is_err());
        assert!("a..b".parse::<ObjectName>().is_err());
    }

    #[test]
    fn uids_are_uuids_and_hashes_of_static_pods() {
        for text in ["8f2ad4d2-6a5f-4f5c-9d3e-2f7a1c3b5e60", "0d2b4f6a8c0e1f3a5b7c9d0e1f2a3b4c"] {
            assert!(text.parse::<ObjectUid>().is_ok(), "{text:?} was refused");
        }
        for text in ["", "a/b", "a\nb", &"x".repeat(64)] {
            assert!(text.parse::<ObjectUid>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn resource_names_take_letters_digits_hyphen_and_underscore_inside() {
        for text in ["sriovnic1", "A_b-C", "7"] {
            assert!(text.parse::<ResourceName>().is_ok(), "{text:?} was refused");
        }
        for text in ["", "_a", "a-", "a.b", "openshift.io/a", &"x".repeat(64)] {
            assert!(text.parse::<ResourceName>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_key_is_written_and_read_as_namespace_slash_name() {
        let key: ObjectKey = "demo/bond-net1".parse().unwrap();
        assert_eq!(key.to_string(), "demo/bond-net1");
        assert_eq!(String::from(key), "demo/bond-net1");
        assert!(matches!("bond-net1".parse::<ObjectKey>(), Err(KeyError::Pair { .. })));
        assert!("a/b/c".parse::<ObjectKey>().is_err());
    }
}
