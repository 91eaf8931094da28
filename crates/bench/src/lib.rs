//! Results of `cargo xtask bench` as data and the inputs of its instruction counts; and what `cargo
//! xtask compare` needs as well: peers, the plugins' processes, VFs of the lab.

mod error;
mod figures;
pub mod inputs;
mod peer;
pub mod process;
mod programs;
mod results;
mod vfs;

pub use error::Error;
pub use figures::Figure;
pub use peer::Peer;
pub use process::{Ended, Process};
pub use programs::{ARGS, PODBOND, Plugin, ip, ip_batch, netns_path};
pub use results::{Document, Point, Row, median, median_ms};
pub use vfs::{vf_pci, wait_for_link};
