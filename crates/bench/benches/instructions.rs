//! Instruction counts of the pure parts: no kernel, no file, hence the same on every run.
//! `cargo xtask bench --only instructions` runs it under valgrind.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "gungraun's macros make public items without docs, and end with exit"
)]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use podbond_bench::nads;
use podbond_bench::pure::{Pod, parse};
use podbond_bond::{Config, Plan};
use podbond_kernel::measuring::{pf_with_vfs, read_vf};
use podbond_kernel::{Link, VfSettings};

/// The first two NADs of each mode: with 2 ports, and one with 16.
const SMALL: usize = 1;
const LARGE: usize = 9;

fn text(number: usize) -> String {
    nads::config(number).to_string()
}

fn pod_and_config(number: usize) -> Result<(Pod, Config), String> {
    Ok((Pod::new()?, parse(&text(number))?))
}

#[library_benchmark]
#[bench::two_ports(text(SMALL))]
#[bench::sixteen_ports(text(LARGE))]
fn parse_bond(text: String) -> Result<Config, String> {
    parse(black_box(&text))
}

#[library_benchmark]
#[bench::two_ports(pod_and_config(SMALL))]
#[bench::sixteen_ports(pod_and_config(LARGE))]
fn plan_bond(given: Result<(Pod, Config), String>) -> Result<Plan, String> {
    let (pod, config) = given?;
    pod.plan(black_box(&config))
}

#[library_benchmark]
#[bench::of_7(pf_with_vfs(7))]
#[bench::of_256(pf_with_vfs(256))]
fn read_last_vf(payload: Vec<u8>) -> Option<(Link, VfSettings)> {
    let last = if payload.len() > 10_000 { 255 } else { 6 };
    read_vf(black_box(&payload), last)
}

library_benchmark_group!(name = pure, benchmarks = [parse_bond, plan_bond, read_last_vf]);
main!(library_benchmark_groups = pure);
