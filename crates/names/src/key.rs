//! Names of Kubernetes objects, namespaces and device resources, and UIDs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{NameError, string_type};

/// The longest DNS-1123 label, in bytes (RFC 1123, section 2.1).
const LABEL_MAX: usize = 63;
/// The longest DNS-1123 subdomain that Kubernetes takes as a name, in bytes.
const SUBDOMAIN_MAX: usize = 253;

/// A Kubernetes namespace: a DNS-1123 label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

/// The name of a Kubernetes object: a DNS-1123 subdomain. It is safe as a file's name, since it
/// neither begins with a dot nor holds a `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

/// The UID of a Kubernetes object: a UUID, or the hash that the kubelet gives a static pod; both are
/// DNS-1123 labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectUid(String);

/// The name of a pool of VFs without its prefix: `sriovnic1` of `openshift.io/sriovnic1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

/// The namespace and name of an object, written `namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey {
    /// The namespace; `default` where a manifest names none.
    pub namespace: Namespace,
    /// The name within the namespace.
    pub name: ObjectName,
}

/// The form of a DNS-1123 label.
const LABEL: &str = "at most 63 lower-case letters, digits and `-`, beginning and ending with a \
                     letter or digit";

/// Implements the conversions of a type that is a text for which `$is_valid` holds. The error says
/// what it was to be and the form of such a text.
macro_rules! validated_text {
    ($name:ident, $is_valid:ident, $kind:literal, $form:expr) => {
        impl $name {
            /// Returns the text as Kubernetes writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if $is_valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError::malformed($kind, text, $form))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        string_type!($name);
    };
}
validated_text!(Namespace, is_dns_label, "namespace", LABEL);
validated_text!(
    ObjectName,
    is_dns_subdomain,
    "object name",
    "at most 253 lower-case letters, digits, `-` and `.`, each part between dots beginning and \
     ending with a letter or digit"
);
validated_text!(ObjectUid, is_dns_label, "UID", LABEL);
validated_text!(
    ResourceName,
    is_resource_name,
    "resource name",
    "at most 63 letters, digits, `-` and `_`, beginning and ending with a letter or digit"
);
string_type!(ObjectKey);

fn is_dns_label(text: &str) -> bool {
    text.len() <= LABEL_MAX && is_dns_word(text)
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN_MAX && text.split('.').all(is_dns_word)
}

/// Returns true for letters, digits and inner hyphens, whatever their number.
fn is_dns_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_resource_name(text: &str) -> bool {
    text.len() <= LABEL_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !text.is_empty()
        && !text.starts_with(['-', '_'])
        && !text.ends_with(['-', '_'])
}

impl Default for Namespace {
    /// Returns the namespace of an object that names none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl ObjectKey {
    /// Creates a key of both parts, which are validated.
    pub fn new(namespace: &str, name: &str) -> Result<Self, NameError> {
        Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
    }
}

impl FromStr for ObjectKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, name) =
            text.split_once('/').ok_or_else(|| NameError::Pair { text: text.to_owned() })?;
        Self::new(namespace, name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.namespace, self.name))
    }
}

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
    fn only_object_names_may_hold_dots() {
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
    fn resource_name_characters_are_checked() {
        for text in ["sriovnic1", "A_b-C", "7"] {
            assert!(text.parse::<ResourceName>().is_ok(), "{text:?} was refused");
        }
        for text in ["", "_a", "a-", "a.b", "openshift.io/a", &"x".repeat(64)] {
            assert!(text.parse::<ResourceName>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn object_key_is_namespace_slash_name() {
        let key: ObjectKey = "demo/bond-net1".parse().unwrap();
        assert_eq!(key.to_string(), "demo/bond-net1");
        assert_eq!(String::from(key), "demo/bond-net1");
        assert!(matches!("bond-net1".parse::<ObjectKey>(), Err(NameError::Pair { .. })));
        assert!("a/b/c".parse::<ObjectKey>().is_err());
    }
}
