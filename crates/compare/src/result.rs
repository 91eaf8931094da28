//! What `cargo xtask compare` found, as one JSON document.

use serde::{Deserialize, Serialize};

/// What was compared, and what differs.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The names of the cases, in their order.
    pub cases: Vec<String>,
    /// The differences, by case.
    pub differences: Vec<Difference>,
}

/// One fact that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The plugin, a colon and the case.
    pub case: String,
    /// When (`ADD`, `DEL`, `DEL of the peer's`, `DEL by the peer`), and which fact.
    pub what: String,
    /// What the program has that podbond replaces; empty: nothing.
    pub peer: String,
    /// What podbond has.
    pub podbond: String,
    /// The row of docs/migration.md that it is in; none: it is not known.
    pub row: Option<String>,
}
