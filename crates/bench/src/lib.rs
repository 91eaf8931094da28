//! What was measured, as data: rows and their document, and how they are shown.
//!
//! The program beside it measures; `cargo xtask bench` runs it, natively and in the lab, and shows
//! what it found.

mod growth;
pub mod nads;
mod plot;
pub mod pure;
mod row;
mod table;

pub use growth::{Growth, Line, Point};
pub use plot::svg;
pub use row::{Document, Row, Spread};
pub use table::{growth_table, table};
