//! Every operation is killed before and after each change that it makes, and made to fail at each;
//! then it is taken back, and the whole node compared with what it was. That this would be noticed
//! is shown by leaving out what takes it back. Run in the lab by `cargo xtask test`, and alone, with
//! its tables, by `cargo xtask crash`, which finds the test of an operation by its name.
#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

#[path = "../card/mod.rs"]
mod card;
mod exhaust;
mod mutation;
mod operation;
mod random;
mod report;
mod scene;
mod sequences;
mod snapshot;

use exhaust::exhaust;
use mutation::every_undo_is_missed;
use operation::Operation;

/// Promise: killed-anywhere, del-after-reboot
#[test]
fn host_local_loses_no_address() {
    exhaust(&Operation::host_local(0));
}

/// Promise: killed-anywhere, del-after-reboot, podbond-gc-after-reboot
#[test]
fn bond_in_pod_loses_nothing() {
    exhaust(&Operation::bond_in_pod(0));
}

/// Promise: killed-anywhere, podbond-gc-after-reboot
#[test]
fn bond_on_host_loses_nothing() {
    exhaust(&Operation::bond_on_host(0));
}

/// Promise: killed-anywhere
#[test]
fn bond_over_vfs_loses_nothing() {
    exhaust(&Operation::bond_over_vfs(0));
}

/// Promise: killed-anywhere
#[test]
fn bond_vlan_loses_nothing() {
    exhaust(&Operation::bond_vlan(0));
}

/// Promise: killed-anywhere
#[test]
fn bond_mac_loses_nothing() {
    exhaust(&Operation::bond_mac(0));
}

/// Promise: killed-anywhere
#[test]
fn bond_equal_macs_loses_nothing() {
    exhaust(&Operation::bond_equal_macs(0));
}

/// Promise: killed-anywhere
#[test]
fn sriov_loses_no_vf() {
    exhaust(&Operation::sriov(0));
}

/// Promise: killed-anywhere
#[test]
fn chain_loses_nothing() {
    exhaust(&Operation::chain());
}

/// Promise: killed-sequences
#[test]
fn sequences_lose_nothing() {
    sequences::sequences();
}

/// Were any of it left out, the tests above would fail.
///
/// Promise: missing-undo-noticed
#[test]
fn undo_left_out_is_noticed() {
    every_undo_is_missed(&[
        Operation::host_local(0),
        Operation::bond_in_pod(0),
        Operation::bond_on_host(0),
        Operation::bond_over_vfs(0),
        Operation::bond_vlan(0),
        Operation::bond_mac(0),
        Operation::bond_equal_macs(0),
        Operation::sriov(0),
    ]);
}
