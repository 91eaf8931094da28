//! What was measured, as data: rows and their document, and how they are shown.
//!
//! The program beside it measures; `cargo xtask bench` runs it, natively and in the lab, and shows
//! what it found.

mod budget;
mod growth;
mod kind;
pub mod nads;
mod plot;
pub mod pure;
mod row;
mod table;

pub use budget::Budget;
pub use growth::{Growth, Line, Point};
pub use kind::Kind;
pub use plot::svg;
pub use row::{Document, Row, Spread};
pub use table::{aligned, budget_table, calls_table, growth_table, table};
