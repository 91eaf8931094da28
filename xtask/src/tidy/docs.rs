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
