//! Events about pods and about the node (`events.k8s.io/v1`): what `kubectl describe` shows.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as ApiEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use podbond_names::{ObjectKey, ObjectUid};

/// For how long the same is not said again.
const SILENCE: Duration = Duration::from_mins(10);

/// The longest note that the API takes, in bytes.
const MAX_NOTE: usize = 1024;

/// Who says it.
const REPORTER: &str = "podbond-agent";

/// Where the events of objects without a namespace are.
const NODE_NAMESPACE: &str = "default";

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// The object.
    pub about: About,
    /// Whether somebody has to do something.
    pub kind: EventType,
    /// One word for what has happened: `AddedInterface`.
    pub reason: &'static str,
    /// What has happened, in a sentence.
    pub note: String,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum About {
    /// A pod. Events about an earlier pod of its name are not shown with it.
    Pod {
        /// Its namespace and name.
        key: ObjectKey,
        /// Its UID in the API.
        uid: ObjectUid,
    },
    /// The agent's own node.
    Node,
}

/// Whether somebody has to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Nobody.
    Normal,
    /// Somebody.
    Warning,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { key, .. } => write!(f, "pod {key}"),
            Self::Node => f.write_str("the node"),
        }
    }
}

impl Event {
    /// Returns it as the API takes it, from the agent of a node.
    pub(crate) fn object(&self, node_name: &str) -> ApiEvent {
        let now = Timestamp::now();
        let reference = |kind: &str, name: String| ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name),
            ..ObjectReference::default()
        };
        let (namespace, name, regarding) = match &self.about {
            About::Pod { key, uid } => {
                let namespace = Some(key.namespace.to_string());
                let uid = Some(uid.to_string());
                let pod = reference("Pod", key.name.to_string());
                let pod = ObjectReference { namespace, uid, ..pod };
                (key.namespace.to_string(), key.name.to_string(), pod)
            }
            About::Node => {
                // As the kubelet's own, whose UID of a node is its name.
                let uid = Some(node_name.to_owned());
                let node = ObjectReference { uid, ..reference("Node", node_name.to_owned()) };
                (NODE_NAMESPACE.to_owned(), node_name.to_owned(), node)
            }
        };
        let kind = match self.kind {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        ApiEvent {
            metadata: ObjectMeta {
                namespace: Some(namespace),
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                ..ObjectMeta::default()
            },
            action: Some("Attach".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(shortened(&self.note)),
            reason: Some(self.reason.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(node_name.to_owned()),
            type_: Some(kind.to_owned()),
            ..ApiEvent::default()
        }
    }
}

/// Returns a text that the API takes.
fn shortened(note: &str) -> String {
    if note.len() <= MAX_NOTE {
        return note.to_owned();
    }
    let end = note.floor_char_boundary(MAX_NOTE - '\u{2026}'.len_utf8());
    format!("{}\u{2026}", &note[..end])
}

/// The events of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Recent(HashMap<Event, Instant>);

impl Recent {
    /// Returns whether an event is to be sent: the same was not sent a short time ago.
    pub(crate) fn take(&mut self, event: &Event, now: Instant) -> bool {
        self.0.retain(|_, sent| now.duration_since(*sent) < SILENCE);
        if self.0.contains_key(event) {
            return false;
        }
        self.0.insert(event.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(note: &str) -> Event {
        let about = About::Pod { key: "demo/p".parse().unwrap(), uid: "u-1".parse().unwrap() };
        let kind = EventType::Warning;
        Event { about, kind, reason: "NoNetworkFound", note: note.to_owned() }
    }

    #[test]
    fn same_event_is_sent_once_in_a_while() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        assert!(recent.take(&event("a"), now) && !recent.take(&event("a"), now));
        assert!(recent.take(&event("b"), now));
        assert!(recent.take(&event("a"), now + SILENCE));
    }

    #[test]
    fn event_is_about_the_pod_and_its_note_has_an_end() {
        let object = event(&"\u{e4}".repeat(600)).object("node-a");
        assert!(object.note.unwrap().len() <= MAX_NOTE);
        let regarding = object.regarding.unwrap();
        let (kind, uid) = (regarding.kind.as_deref(), regarding.uid.as_deref());
        assert_eq!((kind, uid), (Some("Pod"), Some("u-1")));
        assert_eq!(object.reporting_instance.as_deref(), Some("node-a"));
        assert!(object.metadata.name.unwrap().starts_with("p."));
    }

    #[test]
    fn event_about_the_node_is_where_kubectl_looks_for_it() {
        let object = Event { about: About::Node, ..event("a") }.object("node-a");
        let regarding = object.regarding.unwrap();
        assert_eq!(object.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(regarding.kind.as_deref(), Some("Node"));
        assert_eq!((regarding.name.as_deref(), regarding.namespace), (Some("node-a"), None));
    }
}
