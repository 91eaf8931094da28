//! Documents.

use super::{Finding, Repository};
use crate::docs::pages;

/// A relative link in a document names a file or directory of the repository.
pub(super) fn links_lead_somewhere(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.with_ending(".md") {
        for (number, line) in file.lines() {
            for target in links(line) {
                let target = target.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
                let path = join(directory, target);
                let below = format!("{path}/");
                let found = path.is_empty()
                    || repository
                        .files
                        .iter()
                        .any(|f| f.path == path || f.path.starts_with(&below));
                if !found {
                    let message = format!("the link to {target} leads nowhere: mend or remove it");
                    findings.push(file.finding(number, message));
                }
            }
        }
    }
    findings
}

/// The pages that `cargo xtask docs` writes are as it would write them.
pub(super) fn pages_are_what_the_code_gives(repository: &Repository) -> Vec<Finding> {
    let stale = pages().into_iter().filter_map(|(path, expected)| {
        let text = repository.file(path).map_or("", |file| &file.text);
        let mut lines = expected.lines().zip(text.lines());
        let line = lines.position(|(expected, found)| expected != found).map_or(1, |line| line + 1);
        let message = "not what the table in the code gives: run `cargo xtask docs`".to_owned();
        (text != expected).then(|| Finding { path: path.to_owned(), line, message })
    });
    stale.collect()
}

/// What docs/guarantees.md promises is proved by tests that are there: each row of its tables names
/// some, as `module::test`.
pub(super) fn each_promise_has_its_test(repository: &Repository) -> Vec<Finding> {
    let Some(page) = repository.file("docs/guarantees.md") else { return Vec::new() };
    let mut findings = Vec::new();
    // The row above a table's rule is its head.
    let rows = page.lines().filter(|(_, line)| line.starts_with("| ") && *line != HEAD);
    for (number, row) in rows {
        let tests: Vec<&str> = code_spans(row).filter(|span| span.contains("::")).collect();
        if tests.is_empty() {
            findings.push(page.finding(number, "a promise without a test: name one, or write it"));
        }
        for test in tests.into_iter().filter(|test| !is_test(repository, test)) {
            findings.push(page.finding(number, format!("there is no test {test}")));
        }
    }
    findings
}

/// The head of each table in docs/guarantees.md.
const HEAD: &str = "| promise | proved by |";

/// Whether a module of this name, or a crate's or a test target's directory, has this test.
fn is_test(repository: &Repository, test: &str) -> bool {
    let Some((module, name)) = test.rsplit_once("::") else { return false };
    let function = format!("\n    fn {name}(");
    let outer = function.replacen("    ", "", 1);
    let mut files = repository.with_ending(".rs");
    files.any(|file| {
        let path = file.path.trim_end_matches(".rs");
        let here = path.split('/').any(|part| part == module);
        here && (file.text.contains(&function) || file.text.contains(&outer))
    })
}

/// What stands between backticks in a line.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let after = line.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')').map(|(target, _)| target.trim()))
}

/// A relative path from `directory`, with `.` and `..` resolved.
fn join(directory: &str, target: &str) -> String {
    let start = if target.starts_with('/') { "" } else { directory };
    let mut parts: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn a_dead_link_is_found_and_a_live_one_is_not() {
        let text = "[a](../README.md#top) [b](https://kernel.example/x)\n[c](gone.md) [d](#here)\n\
                    [e](./lab/)\n";
        let files = [("docs/x.md", text), ("README.md", ""), ("docs/lab/y", "")];
        assert_eq!(places(&links_lead_somewhere(&Repository::of(&files))), [("docs/x.md", 2)]);
    }

    #[test]
    fn a_promise_without_a_test_is_found() {
        let page = format!(
            "# x\n{HEAD}\n|---|---|\n| A. | unit `del::a`, `del::b` |\n| B. | `code` |\n\
             | C. | `gc::a` |\n| D. | `del::c` |\n"
        );
        let tests =
            "#[test]\nfn a() {\n#[test]\nfn c_more() {\nmod tests {\n    #[test]\n    fn b() {";
        let files = [("docs/guarantees.md", &*page), ("crates/x/tests/del.rs", tests)];
        let found = each_promise_has_its_test(&Repository::of(&files));
        let path = "docs/guarantees.md";
        assert_eq!(places(&found), [(path, 5), (path, 6), (path, 7)]);
    }

    #[test]
    fn a_page_that_was_changed_by_hand_is_found() {
        let pages = pages();
        let files: Vec<(&str, &str)> = pages.iter().map(|(path, text)| (*path, &**text)).collect();
        assert_eq!(pages_are_what_the_code_gives(&Repository::of(&files)), []);
        let (path, text) = files[0];
        let changed = text.replacen("# ", "## ", 1);
        let other = [&[(path, &*changed)], &files[1..]].concat();
        assert_eq!(places(&pages_are_what_the_code_gives(&Repository::of(&other))), [(path, 1)]);
        assert_eq!(pages_are_what_the_code_gives(&Repository::of(&[])).len(), files.len());
    }
}
