//! What `cargo metadata` says about the workspace's packages.

use serde_json::Value;

use crate::{build::cargo, error::Error};

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

/// The packages of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>, Error> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version=1", "--offline"]);
    let output =
        command.output().map_err(|source| Error::Start { program: "cargo".into(), source })?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(Error::Program { what: "cargo metadata".into(), status: output.status });
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    Ok(parse(&metadata))
}

fn parse(metadata: &Value) -> Vec<Package> {
    let root = format!("{}/", text(metadata, "workspace_root"));
    list(metadata, "packages")
        .map(|package| {
            let manifest = text(package, "manifest_path");
            let directory = manifest.trim_end_matches("/Cargo.toml");
            Package {
                name: text(package, "name").to_owned(),
                directory: directory.strip_prefix(&root).unwrap_or(directory).to_owned(),
                dependencies: list(package, "dependencies")
                    .map(|dependency| text(dependency, "name").to_owned())
                    .collect(),
                lab_tests: list(package, "targets")
                    .filter(|target| {
                        list(target, "kind").any(|kind| kind == "test")
                            && list(target, "required-features").any(|feature| feature == "lab")
                    })
                    .map(|target| text(target, "name").to_owned())
                    .collect(),
            }
        })
        .collect()
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
    fn lab_tests_are_those_that_need_the_feature() {
        let target = |kind: &str, name: &str, features: &[&str]| json!({ "kind": [kind], "name": name, "required-features": features });
        let metadata = json!({
            "workspace_root": "/r",
            "packages": [{
                "name": "podbond-bond",
                "manifest_path": "/r/crates/bond/Cargo.toml",
                "dependencies": [{ "name": "serde" }, { "name": "tempfile", "kind": "dev" }],
                "targets": [
                    target("lib", "podbond_bond", &[]),
                    target("test", "golden", &[]),
                    target("test", "modes", &["lab"]),
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
