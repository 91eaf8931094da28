//! What of a pod's annotations has no effect, and what to do about it.

use std::fmt;

use podbond_api::{DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, Pod};
use podbond_names::OneLine;

/// The annotation into which a cluster writes the pod's network status.
const STATUS_ANNOTATION: &str = "k8s.v1.cni.cncf.io/network-status";

/// The annotations that Multus and podbond know, and an older name of the last of them.
const KNOWN: [&str; 4] = [
    NETWORKS_ANNOTATION,
    DEFAULT_NETWORK_ANNOTATION,
    STATUS_ANNOTATION,
    "k8s.v1.cni.cncf.io/networks-status",
];

/// A key of an element of the annotation that has no effect. Displayed, it is key, reason and remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// No plugin of the network declares the capability.
    Undeclared {
        /// The annotation's key.
        key: &'static str,
        /// The capability.
        capability: &'static str,
    },
    /// No plugin of the network declares the capability, and the value is in `CNI_ARGS`, where an older
    /// plugin reads it.
    ArgsOnly {
        /// The annotation's key.
        key: &'static str,
        /// The capability.
        capability: &'static str,
    },
    /// `deviceID`: the network's resource chooses the device.
    DeviceOfResource,
    /// `ipam-claim-reference`, for which there is no capability.
    ClaimReference,
    /// A key that nobody knows.
    Unknown(String),
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undeclared { key, capability } => write!(
                f,
                "{key} has no effect, since no plugin of the network declares the capability \
                 {capability}: give the plugin that takes it \"capabilities\": {{\"{capability}\": \
                 true}} in the NetworkAttachmentDefinition, or leave {key} out"
            ),
            Self::ArgsOnly { key, capability } => write!(
                f,
                "{key} is passed on in CNI_ARGS alone, since no plugin of the network declares the \
                 capability {capability}: give the plugin that takes it \"capabilities\": \
                 {{\"{capability}\": true}} in the NetworkAttachmentDefinition"
            ),
            Self::DeviceOfResource => f.write_str(
                "deviceID has no effect, since the network's resource chooses the device: leave it out, \
                 or take the resource out of the NetworkAttachmentDefinition",
            ),
            Self::ClaimReference => f.write_str(
                "ipam-claim-reference is not passed on, as there is no capability for it: a plugin that \
                 serves IPAMClaims reads it from the pod's annotation itself",
            ),
            Self::Unknown(key) => write!(
                f,
                "{} is a key that nobody knows, and has no effect: correct it, or leave it out; keys of \
                 others have a domain, as com.example.key",
                OneLine(key)
            ),
        }
    }
}

/// Returns which annotations of a pod look as if they asked for networks and are read by nobody, each as a
/// sentence with the remedy.
pub fn unread_annotations(pod: &Pod) -> Vec<String> {
    let mut unread = Vec::new();
    for key in pod.annotations.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        let lower = key.to_ascii_lowercase();
        let Some((domain, name)) = lower.split_once('/') else { continue };
        let meant = match (domain, name) {
            ("v1.multus-cni.io", _) => DEFAULT_NETWORK_ANNOTATION,
            ("k8s.v1.cni.cncf.io" | "v1.cni.cncf.io" | "k8s.cni.cncf.io", name)
                if name.starts_with("network") =>
            {
                NETWORKS_ANNOTATION
            }
            _ => continue,
        };
        unread.push(format!(
            "annotation {} has no effect: to ask for networks, call it {meant}",
            OneLine(key)
        ));
    }
    unread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(keys: &[&str]) -> Vec<String> {
        let annotations = keys.iter().map(|key| ((*key).to_owned(), "a".to_owned())).collect();
        unread_annotations(&Pod { key: "demo/p".parse().unwrap(), uid: None, annotations })
    }

    #[test]
    fn misspelt_annotation_is_named_with_what_is_meant() {
        for key in [
            "k8s.v1.cni.cncf.io/network",
            "k8s.v1.cni.cncf.io/Networks",
            "v1.cni.cncf.io/networks",
            "v1.multus-cni.io/default-networks",
        ] {
            let [message] = unread(&[key]).try_into().unwrap();
            assert!(message.starts_with(&format!("annotation {key} has no effect: ")), "{message}");
        }
    }

    #[test]
    fn annotations_of_others_are_not_named() {
        assert_eq!(unread(&KNOWN), [""; 0]);
        assert_eq!(unread(&["k8s.v1.cni.cncf.io/resourceName", "app/networks", "x"]), [""; 0]);
    }
}
