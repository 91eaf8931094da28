//! Results of `cargo xtask bench` as data, the peers that it measures podbond beside, and the inputs
//! of its instruction counts.

pub mod inputs;
mod peer;
mod results;

pub use peer::Peer;
pub use results::{Document, Point, Row, median, median_ms};
