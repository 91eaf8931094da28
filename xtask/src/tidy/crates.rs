//! The rows of crates in ARCHITECTURE.md.

use std::{collections::BTreeMap, fs, path::Path};

use super::Finding;
use crate::{
    error::{Error, FileContext},
    metadata::Package,
    process::{self, cargo},
};

const MAP: &str = "ARCHITECTURE.md";

/// The head of the table whose rows, the highest first, are the rows of crates.
const HEAD: &str = "| row | crate |";

/// What is not linked into `podbond`, which is started for each attachment and is synchronous.
const NOT_IN_PODBOND: [&str; 5] = ["tokio", "async-std", "kube", "tonic", "openssl-sys"];

/// Finds dependencies that do not lead to a lower row, and crates that the map does not name.
pub(super) fn check(root: &Path, packages: &[Package]) -> Result<Vec<Finding>, Error> {
    let map = fs::read_to_string(root.join(MAP)).file("read", MAP)?;
    let rows = rows(&map);
    let mut findings = Vec::new();
    for package in packages {
        let directory = last_part(&package.directory);
        if !map.contains(&format!("`{directory}`")) {
            findings.push(Finding::new(MAP, format!("does not name the crate `{directory}`")));
        }
        for used in packages.iter().filter(|used| package.dependencies.contains(&used.name)) {
            let (own, other) = (rows.get(directory), rows.get(last_part(&used.directory)));
            let points_down = match (own, other) {
                // Tools have no row: they may use everything.
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(other)) => own < other,
            };
            if !points_down {
                let message = format!("uses {}, which is in no lower row of {MAP}", used.name);
                findings.push(Finding::new(format!("{}/Cargo.toml", package.directory), message));
            }
        }
    }
    Ok(findings)
}

fn last_part(directory: &str) -> &str {
    directory.rsplit('/').next().unwrap_or_default()
}

/// Returns the number of each crate's row, by the crate's directory: lines of one name are one row.
fn rows(map: &str) -> BTreeMap<&str, usize> {
    let lines = map.lines().skip_while(|line| !line.starts_with(HEAD)).skip(2);
    let mut rows = BTreeMap::new();
    let (mut number, mut last) = (0, "");
    for line in lines.take_while(|line| line.starts_with('|')) {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (row, crates) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        if row != last {
            (number, last) = (number + 1, row);
        }
        rows.extend(crates.split('`').skip(1).step_by(2).map(|name| (name, number)));
    }
    rows
}

/// Finds what may not be linked into `podbond`.
pub(super) fn check_podbond() -> Result<Vec<Finding>, Error> {
    let mut command = cargo();
    command.args(["tree", "--offline", "--package", "podbond", "--edges", "normal"]);
    let tree =
        process::output(command.args(["--prefix", "none", "--format", "{p}"]), "cargo tree")?;
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let found = NOT_IN_PODBOND.into_iter().filter(|name| names.clone().any(|found| found == *name));
    Ok(found
        .map(|name| {
            let message = format!("links {name}: see `cargo tree -p podbond -i {name}`");
            Finding::new("crates/podbond/Cargo.toml", message)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, directory: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.into(),
            directory: directory.into(),
            dependencies: dependencies.iter().map(|&name| name.into()).collect(),
            lab_tests: Vec::new(),
        }
    }

    #[test]
    fn dependency_on_the_same_or_a_higher_row_is_found() {
        let root = tempfile::tempdir().unwrap();
        let map = format!(
            "{HEAD} what |\n|---|---|---|\n| up | `a` | x |\n| mid | `b`, `c` | x |\n\
             | mid | `d` | x |\n| low | `e` | x |\n\n| z | `b` |\n\nBeside them `tool`.\n"
        );
        fs::write(root.path().join(MAP), map).unwrap();
        let found = |packages: &[Package]| -> Vec<String> {
            check(root.path(), packages).unwrap().iter().map(ToString::to_string).collect()
        };
        let e = package("p-e", "crates/e", &["serde"]);
        let tool = package("p-tool", "crates/tool", &["p-e"]);
        let good = [package("p-a", "crates/a", &["p-e"]), e.clone(), tool.clone()];
        assert_eq!(found(&good), [""; 0]);
        let bad = [
            package("p-b", "crates/b", &["p-d", "p-tool"]),
            package("p-d", "crates/d", &[]),
            tool,
            e,
        ];
        assert_eq!(found(&bad).len(), 2);
        assert_eq!(
            found(&[package("p-x", "crates/x", &[])]),
            ["ARCHITECTURE.md: does not name the crate `x`"]
        );
    }
}
