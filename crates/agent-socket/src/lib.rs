//! What the meta-plugin and the agent of its node say to each other, over a unix socket.
//!
//! An ADD has two exchanges: [`Request::Resolve`] before the plugins are called, for the pod's annotations,
//! NADs and devices, and [`Request::Report`] after them, so that the pod's status is
//! in the API when ADD returns. DEL, CHECK, GC and STATUS need no agent.
//!
//! Each exchange is a connection of its own: one frame there, one back. A frame is its length in bytes, a
//! big-endian `u32`, and a JSON document. Fields that a reader does not know are passed over, so that fields
//! may be added; what cannot be understood without them has a higher [`VERSION`].
//!
//! [`Client`] is the plugin's side, synchronous. The agent's is its own: it needs [`decode_request`] and
//! [`encode_answer`].

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod error;
mod frame;
mod message;

pub use client::Client;
pub use error::Error;
pub use frame::{HEADER_BYTES, MAX_REQUEST_BYTES, decode_request, encode_answer, request_length};
pub use message::{
    Answer, Containers, NadText, PodAnnotations, PodId, Refusal, RefusalReason, Report, Reported,
    Request, Resolve, Resolved, ResourceDevices, VERSION, Written,
};

/// The socket of a node's agent.
pub const SOCKET: &str = "/run/podbond/agent.sock";

/// A file that the agent makes when it is ready. It lies in a file system that a reboot empties: where it is
/// missing, no agent was ready since the node started.
pub const READY_SINCE_BOOT: &str = "/run/podbond/agent-was-ready";
