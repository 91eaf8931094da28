//! Builds with cargo, and finds what was built.

use std::{
    env,
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use podbond_lab::{Cache, Progress};
use serde_json::Value;

pub(crate) use crate::process::cargo;

use crate::{
    error::{Error, FileContext},
    metadata::Package,
    process,
    workspace::target,
};

/// An executable that cargo built.
#[derive(Debug)]
pub(crate) struct Built {
    /// The package it belongs to.
    pub(crate) package: String,
    /// The name of its target in that package.
    pub(crate) name: String,
    /// Whether libtest's `main` is in it.
    pub(crate) is_test: bool,
    /// The file.
    pub(crate) path: PathBuf,
}

/// Builds a package's executable for the lab. Those of podbond are such that a test can end them at any change.
pub(crate) fn for_lab(package: &str) -> Result<PathBuf, Error> {
    let mut arguments = vec!["build", "--package", package];
    if ["podbond", "podbond-agent"].contains(&package) {
        arguments.extend(["--features", "faults"]);
    }
    one_executable(package, &arguments, &format!("building {package} for the lab"))
}

/// Builds the tests of the lab's cluster.
pub(crate) fn cluster_tests() -> Result<PathBuf, Error> {
    let mut command = cargo();
    command.args(["test", "--no-run", "--package", CLUSTER, "--features", "cluster"]);
    command.args(["--test", "cluster"]);
    let built = executables(&mut command, "building the cluster's tests")?;
    let tests = built.into_iter().find(|built| built.is_test && built.package == CLUSTER);
    tests.map(|tests| tests.path).ok_or_else(|| Error::NotBuilt(CLUSTER.into()))
}

/// The package of the lab's cluster.
const CLUSTER: &str = "podbond-lab-cluster";

/// Builds a package's executable as it is given to others.
pub(crate) fn for_dist(package: &str) -> Result<PathBuf, Error> {
    let arguments = ["build", "--package", package, "--profile", "dist"];
    one_executable(package, &arguments, &format!("building {package}; this takes minutes"))
}

/// Builds the executable of a package that has one, named like it.
fn one_executable(package: &str, arguments: &[&str], what: &str) -> Result<PathBuf, Error> {
    let built = executables(cargo().args(arguments), what)?;
    let executable = built.into_iter().find(|built| built.name == package);
    executable.map(|built| built.path).ok_or_else(|| Error::NotBuilt(package.into()))
}

/// Builds the fuzz targets' executable with these flags of rustc's, in a target directory of its own.
///
/// libFuzzer needs a C++ compiler: the one that its build script takes.
pub(crate) fn fuzz_targets(flags: &str) -> Result<PathBuf, Error> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
    let found = Command::new(&compiler).arg("--version").stdin(Stdio::null()).output();
    if !found.is_ok_and(|output| output.status.success()) {
        return Err(Error::Other(format!(
            "there is no C++ compiler `{}` to build libFuzzer with: install Debian's package g++, or \
             name another in CXX",
            compiler.display()
        )));
    }
    let mut command = cargo();
    command.args(["build", "--package", "podbond-fuzz"]);
    command.env("CARGO_TARGET_DIR", target().join("fuzz")).env("RUSTFLAGS", flags);
    let built = executables(&mut command, "building the fuzz targets")?;
    built.into_iter().next().map(|built| built.path).ok_or_else(|| Error::NotBuilt("fuzz".into()))
}

/// Builds `podbond` for the lab and every test of the packages, the lab's among them, in one run of
/// cargo: nothing is compiled twice.
pub(crate) fn tests(packages: &[Package]) -> Result<Vec<Built>, Error> {
    let mut command = cargo();
    command.args(["test", "--no-run", "--features", "podbond/faults"]);
    for package in packages {
        command.args(["--package", &package.name]);
        if !package.lab_tests.is_empty() {
            command.args(["--features", &format!("{}/lab", package.name)]);
        }
    }
    if !packages.iter().any(|package| package.name == "podbond") {
        command.args(["--package", "podbond"]);
    }
    executables(&mut command, "building podbond and the tests")
}

/// Installs a released program in the user's cache, unless it is there, and returns its path.
pub(crate) fn tool(name: &str, version: &str) -> Result<PathBuf, Error> {
    let progress = Progress::on_stderr();
    let installed = Cache::open()?.entry(name, &version, &progress, |directory| {
        eprintln!("xtask: building {name} {version}");
        let mut command = cargo();
        // What it does takes no time: optimising it would.
        command.args(["install", "--quiet", "--locked", "--debug", "--no-track", "--root"]);
        command.arg(directory).arg(format!("{name}@={version}"));
        let built = directory.join("build");
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_TARGET_DIR", &built);
        // Any flag takes the place of those of this workspace: a tool need not be static.
        command.env("RUSTFLAGS", "-Cdebuginfo=0");
        process::run(&mut command, &format!("building {name}"))?;
        fs::remove_dir_all(&built).file("remove", &built)
    })?;
    Ok(installed.join("bin").join(name))
}

/// Runs a cargo build and returns the executables in its JSON messages.
fn executables(command: &mut Command, what: &str) -> Result<Vec<Built>, Error> {
    eprintln!("xtask: {what}");
    let messages = process::output(command.arg("--message-format=json-render-diagnostics"), what)?;
    let mut built = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line)?;
        built.extend(executable(&message));
    }
    Ok(built)
}

/// Returns the executable that a message of cargo's announces, if it announces one.
fn executable(message: &Value) -> Option<Built> {
    let path = message.get("executable")?.as_str()?.into();
    let name = message.get("target")?.get("name")?.as_str()?.to_owned();
    let is_test = message["profile"]["test"].as_bool().unwrap_or_default();
    // `path+file:///…/crates/kernel#podbond-kernel@0.1.0`, or `…/crates/podbond#0.1.0`.
    let id = message.get("package_id")?.as_str()?;
    let (location, rest) = id.split_once('#')?;
    let package = match rest.split_once('@') {
        Some((package, _)) => package,
        None => location.rsplit('/').next()?,
    };
    Some(Built { package: package.to_owned(), name, is_test, path })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn package_and_target_are_read_from_cargos_message() {
        let message = |id: &str| {
            json!({
                "reason": "compiler-artifact",
                "package_id": id,
                "target": { "name": "links" },
                "profile": { "test": true },
                "executable": "/t/links-1",
            })
        };
        let built = executable(&message("path+file:///r/crates/kernel#podbond-kernel@0.1.0"));
        let built = built.unwrap();
        assert_eq!((built.package.as_str(), built.name.as_str()), ("podbond-kernel", "links"));
        assert!(built.is_test);
        let built = executable(&message("path+file:///r/crates/podbond#0.1.0")).unwrap();
        assert_eq!(built.package, "podbond");
        assert!(executable(&json!({ "reason": "build-finished", "executable": null })).is_none());
    }
}
