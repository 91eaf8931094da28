//! Instruction counts of the pure parts: no kernel, no file, hence the same on every run.
//! `cargo xtask bench --only instructions` runs it under valgrind.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "gungraun's macros make public items without docs, and end with exit"
)]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use podbond_bench::inputs::{self, Pod, parse};
use podbond_bond::{Config, Plan};
use podbond_kernel::measuring::{pf_with_vfs, read_vf};
use podbond_kernel::{Link, VfSettings};

fn pod_and_config(text: &str) -> Result<(Pod, Config), String> {
    Ok((Pod::new()?, parse(text)?))
}

#[library_benchmark]
#[bench::two_ports(inputs::two_ports())]
#[bench::sixteen_ports(inputs::sixteen_ports())]
fn parse_bond(text: String) -> Result<Config, String> {
    parse(black_box(&text))
}

#[library_benchmark]
#[bench::two_ports(pod_and_config(&inputs::two_ports()))]
#[bench::sixteen_ports(pod_and_config(&inputs::sixteen_ports()))]
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
