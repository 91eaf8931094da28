//! The bonds of pods in a cluster: the value of the annotation `podbond.dev/bonds`, events about what changes, and the
//! watch that says when to look again.

mod changes;
mod observe;
mod schedule;
mod status;
#[cfg(test)]
mod testing;
mod watch;

pub use changes::{Change, changes};
pub use observe::observe;
pub use status::{
    AggregatorStatus, BondState, BondStatus, FindingStatus, ObjectStatus, PortState, PortStatus,
    annotation, from_annotation,
};
pub use watch::{NextLook, Watch};

/// The annotation of a pod's status that holds the state of its bonds.
pub const BONDS_ANNOTATION: &str = "podbond.dev/bonds";
