//! The cluster's API as the daemons need it: the pods of a node and the NADs (`NetworkAttachmentDefinition`) of all
//! namespaces, watched; a pod's annotations and events, written.
//!
//! The only crate that knows the client. What is watched is kept slim, in an [`Index`] that is pure: fields that
//! nobody reads are dropped as they arrive.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod error;
mod event;
mod index;
mod nad;
mod node;
mod pod;
mod watched;

pub use client::{Cluster, StatusAnnotations};
pub use error::Error;
pub use event::{About, Event, EventType};
pub use index::{Index, Told};
pub use pod::{NodePod, Phase, PodNetwork};
pub use watched::Watched;
