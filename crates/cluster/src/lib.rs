//! The cluster's API as the daemons need it: the pods of a node and the NADs (`NetworkAttachmentDefinition`) of all
//! namespaces, watched; a pod's status and events about it, written.
//!
//! The only crate that knows the client. What is watched is kept slim: fields that nobody reads are dropped as
//! they arrive.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod error;
mod events;
mod objects;
mod observed;
mod pod;
mod status;

pub use client::Cluster;
pub use error::Error;
pub use events::EventType;
pub use observed::Observed;
pub use pod::{NodePod, PodSource};
pub use status::PodAnnotationsWriter;
