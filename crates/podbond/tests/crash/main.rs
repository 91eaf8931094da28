//! Every operation is killed before and after each change that it makes, and made to fail at each;
//! then it is deleted, and the whole node compared with what it was. Run in the lab by
//! `cargo xtask test`, and alone, with its table, by `cargo xtask crash`.
#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod exhaust;
mod operation;
mod snapshot;

use exhaust::exhaust;
use operation::Operation;

#[test]
fn host_local_loses_no_address() {
    exhaust(&Operation::host_local());
}

#[test]
fn a_bond_over_links_of_the_pod_loses_nothing() {
    exhaust(&Operation::bond_in_pod());
}

#[test]
fn a_bond_over_links_of_the_node_loses_nothing() {
    exhaust(&Operation::bond_on_host());
}

#[test]
fn a_vf_is_not_lost() {
    exhaust(&Operation::sriov());
}

#[test]
fn the_documented_chain_loses_nothing() {
    exhaust(&Operation::chain());
}
