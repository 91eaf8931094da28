//! Every operation is killed before and after each change that it makes, and made to fail at each;
//! then it is taken back, and the whole node compared with what it was. That this would be noticed
//! is shown by leaving out what takes it back. Run in the lab by `cargo xtask test`, and alone, with
//! its tables, by `cargo xtask crash`, which finds the test of an operation by its name.
#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod exhaust;
mod mutation;
mod operation;
mod random;
mod report;
mod scene;
mod sequences;
mod snapshot;

use exhaust::{Run, exhaust};
use mutation::mutate;
use operation::Operation;

fn prove(operation: &Operation) {
    let mut run = Run::begin(operation);
    exhaust(&mut run);
    mutate(&mut run);
    operation.scene.clear();
}

#[test]
fn host_local_loses_no_address() {
    prove(&Operation::host_local(0));
}

#[test]
fn bond_in_pod_loses_nothing() {
    prove(&Operation::bond_in_pod(0));
}

#[test]
fn bond_on_host_loses_nothing() {
    prove(&Operation::bond_on_host(0));
}

#[test]
fn bond_vlan_loses_nothing() {
    prove(&Operation::bond_vlan(0));
}

#[test]
fn bond_mac_loses_nothing() {
    prove(&Operation::bond_mac(0));
}

#[test]
fn bond_equal_macs_loses_nothing() {
    prove(&Operation::bond_equal_macs(0));
}

#[test]
fn sriov_loses_no_vf() {
    prove(&Operation::sriov(0));
}

#[test]
fn chain_loses_nothing() {
    prove(&Operation::chain());
}

#[test]
fn sequences_lose_nothing() {
    sequences::sequences();
}
