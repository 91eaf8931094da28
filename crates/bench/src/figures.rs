//! What `cargo xtask bench --cluster` measured: figures of podbond and its peers in a Kubernetes cluster.

use serde::{Deserialize, Serialize};

use crate::programs::PODBOND;

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured, such as `ADD of a pod with a bond`.
    pub what: String,
    /// Whose it is: `podbond`, `Multus thin`, or what both are compared with.
    pub subject: String,
    /// The value; none where the subject was not there.
    pub value: Option<f64>,
    /// Its unit, such as `ms`.
    pub unit: String,
}

impl Figure {
    /// Returns a figure of podbond's.
    pub fn of_podbond(what: &str, value: f64, unit: &str) -> Self {
        Self::of(PODBOND, what, Some(value), unit)
    }

    /// Returns a figure of a subject, which may not have been there.
    pub fn of(subject: &str, what: &str, value: Option<f64>, unit: &str) -> Self {
        Self { what: what.into(), subject: subject.into(), value, unit: unit.into() }
    }
}
