//! The promises of docs/guarantees.md, and the tests that name them.

use std::{collections::BTreeSet, fs, path::Path};

use super::Finding;
use crate::{
    error::{Error, FileContext},
    metadata::Package,
    source,
};

const PAGE: &str = "docs/guarantees.md";

/// Begins a line in a test's doc comment, before the promises that it shows, with commas.
const TAG: &str = "/// Promise: ";

/// Finds promises that no test names, and tests that name what is not promised.
pub(super) fn check(root: &Path, packages: &[Package]) -> Result<Vec<Finding>, Error> {
    let page = fs::read_to_string(root.join(PAGE)).file("read", PAGE)?;
    let promised = promised(&page);
    let mut findings = Vec::new();
    let mut shown = BTreeSet::new();
    for package in packages {
        for part in ["src", "tests"] {
            for path in source::paths(&root.join(&package.directory).join(part))? {
                let text = fs::read_to_string(&path).file("read", &path)?;
                let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                for Tag { line, promise, is_of_test } in tags(&text) {
                    let place = format!("{path}:{line}");
                    if !promised.contains(promise) {
                        findings.push(Finding::new(
                            &place,
                            format!("{PAGE} has no promise `{promise}`"),
                        ));
                    }
                    if !is_of_test {
                        findings.push(Finding::new(&place, "only a test can show a promise"));
                    }
                    shown.insert(promise.to_owned());
                }
            }
        }
    }
    let missing = promised.into_iter().filter(|promise| !shown.contains(*promise));
    findings.extend(missing.map(|promise| {
        Finding::new(PAGE, format!("no test has `{TAG}{promise}` in its doc comment"))
    }));
    Ok(findings)
}

/// Returns the names of the promises: the first cells of the page's tables, in backticks.
fn promised(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

/// A promise that a doc comment names.
struct Tag<'a> {
    line: usize,
    promise: &'a str,
    is_of_test: bool,
}

fn tags(text: &str) -> Vec<Tag<'_>> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let Some(promises) = line.strip_prefix(TAG) else { continue };
        let head = lines[i + 1..]
            .iter()
            .take_while(|line| line.starts_with("///") || line.starts_with("#["));
        let is_of_test = head.clone().any(|line| *line == "#[test]");
        let promises = promises.split(',').map(str::trim);
        found.extend(promises.map(|promise| Tag { line: i + 1, promise, is_of_test }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str, test: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [(PAGE, page), ("crates/x/tests/a/b.rs", test)] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let package = Package { directory: "crates/x".into(), ..Package::default() };
        check(root.path(), &[package]).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn promise_without_test_and_test_without_promise_are_found() {
        let page = "| promise | what holds |\n|---|---|\n| `one` | A. |\n| `two` | B. |\n";
        let tag = |promises: &str| format!("    {TAG}{promises}\n    #[test]\n    fn a() {{}}\n");
        assert_eq!(found(page, &tag("one, two")), [""; 0]);
        assert_eq!(found(page, &tag("one")).len(), 1);
        assert_eq!(
            found(page, &format!("{}{}", tag("one, two"), tag("three"))),
            ["crates/x/tests/a/b.rs:4: docs/guarantees.md has no promise `three`"]
        );
        assert_eq!(found(page, &tag("one, two").replace("#[test]", "")).len(), 2);
    }
}
