//! The map in ARCHITECTURE.md.

use super::{Finding, Repository};

/// Which of our crates each of them may use: the rows of ARCHITECTURE.md, the lowest first.
const MAY_USE: &[(&str, &[&str])] = &[
    ("podbond-names", &[]),
    ("podbond-faults", &[]),
    ("podbond-state", &["podbond-names", "podbond-faults"]),
    ("podbond-kernel", &["podbond-names", "podbond-faults"]),
    ("podbond-api", &["podbond-names"]),
    ("podbond-cni", &["podbond-names"]),
    ("podbond-ipam", &["podbond-names", "podbond-state", "podbond-kernel", "podbond-cni"]),
    ("podbond-log", &["podbond-names", "podbond-state", "podbond-cni"]),
    ("podbond-host-local", &["podbond-names", "podbond-state", "podbond-cni"]),
    (
        "podbond-bond",
        &["podbond-names", "podbond-state", "podbond-kernel", "podbond-cni", "podbond-ipam"],
    ),
    (
        "podbond-sriov",
        &["podbond-names", "podbond-state", "podbond-kernel", "podbond-cni", "podbond-ipam"],
    ),
    ("podbond-inventory", &["podbond-names", "podbond-state", "podbond-kernel", "podbond-api"]),
    // Not inventory, its neighbour: who picks a device is a trait that attach is given.
    (
        "podbond-attach",
        &["podbond-names", "podbond-state", "podbond-kernel", "podbond-cni", "podbond-api"],
    ),
    ("podbond", PRODUCT),
    // No part of the product: nothing of the product uses them.
    ("podbond-bench", &["podbond-names", "podbond-kernel", "podbond-cni", "podbond-bond"]),
    ("podbond-demo", &[]),
    ("podbond-lab", &[]),
    // It writes the reference of the bond's options from the table in the code, and reads what was
    // measured.
    ("xtask", &["podbond-lab", "podbond-bench", "podbond-kernel", "podbond-bond"]),
];

const PRODUCT: &[&str] = &[
    "podbond-names",
    "podbond-faults",
    "podbond-state",
    "podbond-kernel",
    "podbond-api",
    "podbond-cni",
    "podbond-ipam",
    "podbond-log",
    "podbond-host-local",
    "podbond-bond",
    "podbond-sriov",
    "podbond-inventory",
    "podbond-attach",
];

/// ARCHITECTURE.md: a crate depends only on crates of lower rows.
pub(super) fn dependencies_point_down(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &repository.packages {
        let path = format!("{}/Cargo.toml", package.directory);
        let finding = |line, message| Finding { path: path.clone(), line, message };
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            let message = format!(
                "{} has no row: say in xtask/src/tidy/crates.rs and ARCHITECTURE.md what it may use",
                package.name
            );
            findings.push(finding(1, message));
            continue;
        };
        for used in &package.dependencies {
            let ours = MAY_USE.iter().any(|(name, _)| name == used);
            if ours && !allowed.contains(&used.as_str()) {
                let manifest = repository.file(&path);
                let line = manifest.and_then(|file| {
                    file.lines().find(|(_, line)| line.starts_with(used)).map(|(number, _)| number)
                });
                let message = format!(
                    "{} may not use {used}: ARCHITECTURE.md has the rows; move what is needed down",
                    package.name
                );
                findings.push(finding(line.unwrap_or(1), message));
            }
        }
    }
    findings
}

/// Who looks for a thing finds its crate in ARCHITECTURE.md.
pub(super) fn each_crate_is_on_the_map(repository: &Repository) -> Vec<Finding> {
    const MAP: &str = "ARCHITECTURE.md";
    let text = repository.file(MAP).map_or("", |file| &file.text);
    let missing = repository.packages.iter().filter(|package| {
        let directory = package.directory.rsplit('/').next().unwrap_or_default();
        !text.contains(&format!("`{directory}`"))
    });
    missing
        .map(|package| {
            let message = format!("{} is not on the map: give it a row", package.directory);
            Finding { path: MAP.into(), line: 1, message }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metadata::Package, tidy::places};

    fn package(name: &str, directory: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.into(),
            directory: directory.into(),
            dependencies: dependencies.iter().map(|&name| name.into()).collect(),
            lab_tests: Vec::new(),
        }
    }

    #[test]
    fn a_dependency_that_points_up_is_found_in_its_manifest() {
        let manifest = "[dependencies]\nserde.workspace = true\npodbond-bond.workspace = true\n";
        let mut repository = Repository::of(&[("crates/cni/Cargo.toml", manifest)]);
        repository.packages = vec![
            package("podbond-cni", "crates/cni", &["serde", "podbond-bond"]),
            package("podbond-bond", "crates/bond", &["podbond-cni", "podbond-kernel"]),
        ];
        let findings = dependencies_point_down(&repository);
        assert_eq!(places(&findings), [("crates/cni/Cargo.toml", 3)]);
    }

    #[test]
    fn an_unknown_crate_must_be_given_a_row() {
        let mut repository = Repository::of(&[("ARCHITECTURE.md", "| `cni` |")]);
        repository.packages = vec![package("podbond-new", "crates/new", &[])];
        assert_eq!(dependencies_point_down(&repository).len(), 1);
        assert_eq!(each_crate_is_on_the_map(&repository).len(), 1);
        repository.packages = vec![package("podbond-cni", "crates/cni", &[])];
        assert_eq!(each_crate_is_on_the_map(&repository), []);
    }

    #[test]
    fn the_table_itself_points_down() {
        for (i, (name, allowed)) in MAY_USE.iter().enumerate() {
            for used in *allowed {
                let row = MAY_USE.iter().position(|(name, _)| name == used);
                assert!(row.is_some_and(|row| row < i), "{name} uses {used}");
            }
        }
    }
}
