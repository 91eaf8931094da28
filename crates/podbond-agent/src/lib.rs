//! What the agent sees of the bonds of its node's pods: their state as data, what changed, and when to look again.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod bonds;
