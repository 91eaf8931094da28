//! Events about pods, as `kubectl describe` shows them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType as Type, Recorder, Reporter};
use podbond_names::{ObjectKey, ObjectUid};
use tokio::time::timeout;

use crate::client::Cluster;
use crate::error::Error;

/// The longest text of an event, in bytes.
const MAX_NOTE_BYTES: usize = 1024;

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// What is as it should be.
    Normal,
    /// What somebody should look at.
    Warning,
}

/// How long the API may take to take an event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
    /// Writes an event about a pod.
    ///
    /// # Errors
    /// Where the API refuses it.
    pub async fn pod_event(
        &self,
        node_name: &str,
        (pod, uid): (&ObjectKey, &ObjectUid),
        (kind, reason): (EventType, &str),
        note: &str,
    ) -> Result<(), Error> {
        let instance = Some(node_name.to_owned());
        let reporter = Reporter { controller: "podbond".to_owned(), instance };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace.to_string()),
            name: Some(pod.name.to_string()),
            uid: Some(uid.to_string()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: match kind {
                EventType::Normal => Type::Normal,
                EventType::Warning => Type::Warning,
            },
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: "Attach".to_owned(),
            secondary: None,
        };
        let action = || format!("write an event about pod {pod}");
        let written = timeout(EVENT_TIMEOUT, recorder.publish(&event, &about)).await;
        let late = |_| Error::Late { action: action(), ms: EVENT_TIMEOUT.as_millis() };
        written.map_err(late)?.map_err(|source| Error::Request { action: action(), source })
    }
}

/// Returns a text of at most 1 KiB.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_NOTE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
