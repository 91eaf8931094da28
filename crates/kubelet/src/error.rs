//! Why the kubelet could not be asked or served.

use std::io;
use std::path::PathBuf;

use tonic::{Status, transport};

/// An error of talking to the kubelet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket's path is none that gRPC can be spoken on.
    #[error("the kubelet's socket {} cannot be named: {source}", socket.display())]
    Socket {
        /// Its path.
        socket: PathBuf,
        /// What is wrong with it.
        source: transport::Error,
    },
    /// The kubelet did not tell the devices of a pod, asked for the pod and for all pods.
    #[error(
        "the kubelet does not tell the devices of pod {pod}: asked for it, {}; asked for all pods, {}: \
         look for both in the kubelet's log",
        said(get),
        said(list)
    )]
    PodResources {
        /// The pod, as `namespace/name`.
        pod: String,
        /// What it answered to Get.
        get: Box<Status>,
        /// What it answered to List.
        list: Box<Status>,
    },
    /// The kubelet does not list the pod.
    #[error("the kubelet of this node does not know pod {pod}: it may be deleted by now")]
    UnknownPod {
        /// The pod, as `namespace/name`.
        pod: String,
    },
    /// The socket of a device plugin could not be made.
    #[error("the device plugin's socket {} cannot be made: {source}", socket.display())]
    Bind {
        /// Its path.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device plugin could not be served.
    #[error("the device plugin's socket {} cannot be served: {source}", socket.display())]
    Serve {
        /// Its path.
        socket: PathBuf,
        /// Why.
        source: transport::Error,
    },
    /// The kubelet did not take a device plugin.
    #[error("the kubelet does not take the device plugin of {resource}: {}", said(status))]
    Register {
        /// The resource that it offers.
        resource: String,
        /// What the kubelet answered.
        status: Box<Status>,
    },
}

/// Returns what a status says and the cause beneath it, which the status of an unreachable socket keeps to
/// itself.
fn said(status: &Status) -> String {
    let mut text = format!("{}: {}", status.code(), status.message());
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
