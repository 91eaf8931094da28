//! Builds with cargo: static executables, as a node gets them.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    error::Error,
    metadata::Package,
    workspace::{root, target},
};

/// Static executables are cross-built, so that these flags stay away from build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Without relocations at start: a plugin is started for each attachment.
const STATIC: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// An executable that cargo built.
#[derive(Debug)]
pub(crate) struct Built {
    /// The package it belongs to.
    pub(crate) package: String,
    /// The name of its target in that package.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
}

/// A `cargo` command in this workspace, without what the outer cargo left in the environment.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// A `cargo` command that builds static executables. They have a target directory of their own:
/// other flags would make cargo build everything anew at each change between the two.
fn cargo_static(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments).args(["--target", TARGET]);
    command.env("CARGO_TARGET_DIR", target().join("lab")).env("RUSTFLAGS", STATIC);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// A package's executable for the lab: quick to build, small enough to copy into each machine.
/// podbond's can be told where to die.
pub(crate) fn for_lab(package: &str) -> Result<PathBuf, Error> {
    let mut arguments = vec!["build", "--package", package, "--profile", "lab"];
    if package == "podbond" {
        arguments.extend(["--features", "faults"]);
    }
    one_executable(package, &arguments, &format!("building {package} for the lab"))
}

/// A package's executable for measuring: what it would be for others, but for the minutes that
/// optimising across all crates takes.
pub(crate) fn for_bench(package: &str) -> Result<PathBuf, Error> {
    let arguments = ["build", "--package", package, "--profile", "measured"];
    one_executable(package, &arguments, &format!("building {package} for measuring"))
}

/// `podbond` as it is given to others.
pub(crate) fn podbond_for_dist() -> Result<PathBuf, Error> {
    let arguments = ["build", "--package", "podbond", "--profile", "dist"];
    one_executable("podbond", &arguments, "building podbond; this takes minutes")
}

/// The executable of a package that has one, named like it.
fn one_executable(package: &str, arguments: &[&str], what: &str) -> Result<PathBuf, Error> {
    let built = executables(&mut cargo_static(arguments), what)?;
    let executable = built.into_iter().find(|built| built.name == package);
    executable.map(|built| built.path).ok_or_else(|| Error::NotBuilt(package.into()))
}

/// The fuzz targets, built with these flags of rustc's. Their workspace has a target directory of
/// its own as well.
///
/// Besides cargo they need a C++ compiler, for libFuzzer: the one that its build script takes.
pub(crate) fn fuzz_targets(flags: &str) -> Result<Vec<Built>, Error> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
    let program = compiler.to_string_lossy().into_owned();
    let mut version = Command::new(&compiler);
    let found = version.arg("--version").stdin(Stdio::null()).output();
    if !found.is_ok_and(|output| output.status.success()) {
        return Err(Error::NoCompiler { program });
    }
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--target", TARGET]);
    command.current_dir(root().join("fuzz"));
    command.env("CARGO_TARGET_DIR", target().join("fuzz")).env("RUSTFLAGS", flags);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    executables(&mut command, "building the fuzz targets")
}

/// The lab tests of the packages, as executables that need nothing of the guest.
pub(crate) fn lab_tests(packages: &[Package]) -> Result<Vec<Built>, Error> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = cargo_static(&["test", "--no-run", "--profile", "lab"]);
    for package in packages {
        command.args(["--package", &package.name]);
        command.args(["--features", &format!("{}/lab", package.name)]);
        for test in &package.lab_tests {
            command.args(["--test", test]);
        }
    }
    let mut built = executables(&mut command, "building the lab tests")?;
    let wanted = |built: &Built, package: &Package| {
        package.name == built.package && package.lab_tests.contains(&built.name)
    };
    built.retain(|built| packages.iter().any(|package| wanted(built, package)));
    let count: usize = packages.iter().map(|package| package.lab_tests.len()).sum();
    if built.len() == count { Ok(built) } else { Err(Error::NotBuilt("some lab tests".into())) }
}

/// Runs a cargo build and gives the executables in its JSON messages.
fn executables(command: &mut Command, what: &str) -> Result<Vec<Built>, Error> {
    eprintln!("xtask: {what}");
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output =
        command.output().map_err(|source| Error::Start { program: "cargo".into(), source })?;
    if !output.status.success() {
        return Err(Error::Program { what: what.to_owned(), status: output.status });
    }
    let mut built = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value = serde_json::from_str(line)?;
        built.extend(executable(&message));
    }
    Ok(built)
}

/// The executable that a message of cargo's announces, if it announces one.
fn executable(message: &Value) -> Option<Built> {
    let path = message.get("executable")?.as_str()?.into();
    let name = message.get("target")?.get("name")?.as_str()?.to_owned();
    // `path+file:///…/crates/kernel#podbond-kernel@0.1.0`, or `…/crates/podbond#0.1.0`.
    let id = message.get("package_id")?.as_str()?;
    let (location, rest) = id.split_once('#')?;
    let package = match rest.split_once('@') {
        Some((package, _)) => package,
        None => location.rsplit('/').next()?,
    };
    Some(Built { package: package.to_owned(), name, path })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_executable_is_known_by_package_and_target() {
        let message = |id: &str| {
            json!({
                "reason": "compiler-artifact",
                "package_id": id,
                "target": { "name": "links" },
                "executable": "/t/links-1",
            })
        };
        let built = executable(&message("path+file:///r/crates/kernel#podbond-kernel@0.1.0"));
        let built = built.unwrap();
        assert_eq!((built.package.as_str(), built.name.as_str()), ("podbond-kernel", "links"));
        let built = executable(&message("path+file:///r/crates/podbond#0.1.0")).unwrap();
        assert_eq!(built.package, "podbond");
        assert!(executable(&json!({ "reason": "build-finished", "executable": null })).is_none());
    }
}
