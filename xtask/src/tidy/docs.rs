//! Documents.

use super::{Finding, Repository};

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
}
