//! The workspace's packages, as `cargo metadata` lists them.

use serde_json::Value;

use crate::{
    error::Error,
    process::{self, cargo},
};

/// A package of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The directory, relative to the workspace's root.
    pub(crate) directory: String,
    /// The names of all direct dependencies, of any kind.
    pub(crate) dependencies: Vec<String>,
    /// Its test targets that need the feature `lab`.
    pub(crate) lab_tests: Vec<String>,
}

/// Returns the packages of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>, Error> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version=1", "--offline"]);
    Ok(parse(&serde_json::from_str(&process::output(&mut command, "cargo metadata")?)?))
}

fn parse(metadata: &Value) -> Vec<Package> {
    let root = format!("{}/", text(metadata, "workspace_root"));
    list(metadata, "packages").map(|package| parse_package(package, &root)).collect()
}

fn parse_package(package: &Value, root: &str) -> Package {
    let manifest = text(package, "manifest_path");
    let directory = manifest.trim_end_matches("/Cargo.toml");
    Package {
        name: text(package, "name").to_owned(),
        directory: directory.strip_prefix(root).unwrap_or(directory).to_owned(),
        dependencies: names(list(package, "dependencies")),
        lab_tests: names(list(package, "targets").filter(|target| is_lab_test(target))),
    }
}

fn is_lab_test(target: &Value) -> bool {
    list(target, "kind").any(|kind| kind == "test")
        && list(target, "required-features").any(|feature| feature == "lab")
}

fn names<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<String> {
    values.map(|value| text(value, "name").to_owned()).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lab_tests_are_the_targets_that_need_the_feature() {
        let metadata = json!({
            "workspace_root": "/r",
            "packages": [{
                "name": "podbond-bond",
                "manifest_path": "/r/crates/bond/Cargo.toml",
                "dependencies": [{ "name": "serde" }, { "name": "tempfile", "kind": "dev" }],
                "targets": [
                    { "kind": ["lib"], "name": "podbond_bond" },
                    { "kind": ["test"], "name": "golden" },
                    { "kind": ["test"], "name": "modes", "required-features": ["lab"] },
                ],
            }],
        });
        let wanted = Package {
            name: "podbond-bond".into(),
            directory: "crates/bond".into(),
            dependencies: vec!["serde".into(), "tempfile".into()],
            lab_tests: vec!["modes".into()],
        };
        assert_eq!(parse(&metadata), [wanted]);
    }
}
