//! What the crate does with a kernel: run by `cargo xtask test` as root, in the virtual machine.
#![allow(clippy::unwrap_used, reason = "a panic is the report of a failure")]

mod announce;
mod bond;
mod ip;
mod link_monitor;
mod links;
mod moves;
mod netns;
mod pod;
mod vfs;
mod vlan;
