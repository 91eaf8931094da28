//! The executable against a kernel with SR-IOV cards: what people and runtimes do with it. Run in
//! the lab by `cargo xtask test`, as root, one test at a time.
#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod addresses;
mod altnames;
mod annotations;
mod at_once;
mod bond_plugin;
mod cables;
#[path = "../card/mod.rs"]
mod card;
mod card_removed;
mod chained;
mod check_command;
mod check_plugins;
mod damage;
mod damaged_records;
mod del;
mod del_pods;
mod del_vfs;
mod dhcp;
mod documented;
mod findings;
mod gc;
mod host_links;
mod host_vfs;
mod interrupted;
mod lacp;
mod lag;
mod log;
mod mac;
mod meta;
mod modes;
mod node;
mod options;
mod pending_leases;
mod podbond_gc;
mod protocols;
mod readiness;
mod reclaimed;
mod refused_by_apply;
mod refused_by_plugin;
mod vlan;
