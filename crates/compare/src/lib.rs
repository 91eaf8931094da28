//! Differences between podbond and the programs that it replaces, as data, and those of them that
//! docs/migration.md has.

mod result;
mod rows;

pub use result::{Difference, Document};
pub use rows::{rows, unmet};
