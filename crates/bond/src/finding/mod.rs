//! What is legal and will not do what it is meant to do: severity, object, reason and remedy.

// `finding::Finding` is what the module is about.
#[expect(clippy::module_inception, reason = "the type's own file in the module of its parts")]
mod finding;
mod object;
mod reason;
mod require;
mod severity;
mod table;

pub use finding::Finding;
pub use object::Object;
pub use reason::{LacpBond, Reason};
pub use require::{Refused, Requirement};
pub use severity::Severity;
pub use table::{Kind, TABLE};
