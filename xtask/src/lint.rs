//! `cargo xtask lint`: everything that a change must pass and that runs no code of it.

use std::{
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use clap::Args;

use crate::{
    build::tool,
    error::Error,
    process::{self, cargo},
    tidy,
    workspace::root,
};

/// Another architecture on which the code must compile.
const OTHER_TARGET: &str = "aarch64-unknown-linux-gnu";

/// The versions of the tools that are installed in the cache.
const DENY: (&str, &str) = ("cargo-deny", "0.20.2");
const MACHETE: (&str, &str) = ("cargo-machete", "0.9.2");

/// Check form, lints, documentation, dependencies and the rules of ARCHITECTURE.md
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, Error> {
    step("form", || process::run(cargo().args(["fmt", "--all", "--", "--check"]), "cargo fmt"))?;
    step("lints of everything that is compiled anywhere", || {
        let mut clippy = cargo();
        clippy.args(["clippy", "--quiet", "--workspace", "--all-targets", "--all-features"]);
        process::run(clippy.args(["--", "-D", "warnings"]), "cargo clippy")
    })?;
    step("documentation", || {
        let mut doc = cargo();
        doc.args(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"]);
        process::run(doc.env("RUSTDOCFLAGS", "-D warnings"), "cargo doc")
    })?;
    step("rules of ARCHITECTURE.md", || tidy::run(&tidy::Arguments {}).map(drop))?;
    step("dependencies that nothing uses", || {
        let machete = tool(MACHETE.0, MACHETE.1)?;
        process::run(&mut cargo_tool(machete), "cargo machete")
    })?;
    step("licences, sources and versions of dependencies", || {
        let deny = tool(DENY.0, DENY.1)?;
        let checks =
            ["--offline", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
        process::run(cargo_tool(deny).args(checks), "cargo deny")
    })?;
    step(OTHER_TARGET, check_other_target)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what is checked, and how long that took.
fn step(what: &str, check: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    eprintln!("xtask: {what}");
    let begun = Instant::now();
    check()?;
    eprintln!("xtask: {what}: passed in {} s", begun.elapsed().as_secs());
    Ok(())
}

/// Returns a command for a tool of cargo's, with this workspace's environment.
fn cargo_tool(program: std::path::PathBuf) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Compiles `podbond` for another architecture as far as that needs no linker. Only this check may be
/// left out, and says so: the compiler's library for it is fetched from where the toolchain came from,
/// which not every machine reaches.
fn check_other_target() -> Result<(), Error> {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", OTHER_TARGET]).current_dir(root());
    let added = rustup.stdin(Stdio::null()).status();
    if !added.is_ok_and(|status| status.success()) {
        eprintln!(
            "xtask: NOT CHECKED: there is no standard library for {OTHER_TARGET} here, and \
             `rustup target add {OTHER_TARGET}` failed"
        );
        return Ok(());
    }
    let mut check = cargo();
    check.args(["check", "--quiet", "--package", "podbond", "--target", OTHER_TARGET]);
    process::run(&mut check, "cargo check")
}
