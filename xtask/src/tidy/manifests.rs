//! `Cargo.toml` and the settings of other tools.

use super::{File, Finding, Repository};

/// Every crate takes the workspace's lints.
pub(super) fn lints_are_the_workspaces(repository: &Repository) -> Vec<Finding> {
    let crates = repository.with_ending("/Cargo.toml");
    let without = crates.filter(|file| {
        let mut lines = file.text.lines().skip_while(|line| line.trim() != "[lints]").skip(1);
        lines.next().map(str::trim) != Some("workspace = true")
    });
    without.map(|file| file.finding(1, "add [lints] with workspace = true")).collect()
}

/// A dependency is declared in the root, below a comment that says what it is for. Dependencies
/// of one family (`clap`, `clap_complete`) may share it.
pub(super) fn each_dependency_has_its_reason(repository: &Repository) -> Vec<Finding> {
    let Some(root) = repository.file("Cargo.toml") else { return Vec::new() };
    let mut findings = Vec::new();
    let mut inside = false;
    // The family that the comment above speaks for; none right after a comment.
    let mut reason: Option<Option<&str>> = None;
    for (number, line) in root.lines().map(|(number, line)| (number, line.trim())) {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if !inside {
        } else if line.starts_with('#') {
            reason = Some(None);
        } else if let Some((name, _)) = line.split_once('=') {
            let family = name.trim().split(['-', '_']).next().unwrap_or_default();
            match reason {
                Some(known) if known.is_none_or(|known| known == family) => {
                    reason = Some(Some(family));
                }
                _ => {
                    let message = format!("say in a comment above what {} is for", name.trim());
                    findings.push(root.finding(number, message));
                }
            }
        } else {
            reason = None;
        }
    }
    findings
}

/// A setting of a tool is an opinion: it says why.
pub(super) fn each_setting_has_its_reason(repository: &Repository) -> Vec<Finding> {
    let files = ["clippy.toml", "deny.toml"].into_iter().filter_map(|name| repository.file(name));
    files.flat_map(settings_without_reason).collect()
}

fn settings_without_reason(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before = "";
    // Brackets open at the start of a line, in a list that began with its first entries.
    let mut inside = 0_usize;
    for (number, line) in file.lines().map(|(number, line)| (number, line.trim())) {
        let structure = line.is_empty() || line.starts_with(['#', '[', ']', '}']);
        // A list whose first line has no entry has a reason for each of its entries instead.
        let opens = line.ends_with('[');
        let explained = before.starts_with('#') || line.contains('#') || line.contains("reason =");
        if !structure && !opens && !explained && inside == 0 {
            findings.push(file.finding(number, "give the reason, in a comment or as `reason`"));
        }
        if !opens && (inside > 0 || line.contains("= [")) {
            inside = (inside + line.matches('[').count()).saturating_sub(line.matches(']').count());
        }
        before = line;
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn a_crate_without_the_workspaces_lints_is_found() {
        let files = [
            ("crates/a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"),
            ("crates/b/Cargo.toml", "[package]\n"),
        ];
        let findings = lints_are_the_workspaces(&Repository::of(&files));
        assert_eq!(places(&findings), [("crates/b/Cargo.toml", 1)]);
    }

    #[test]
    fn a_comment_speaks_for_one_family_of_dependencies() {
        let text = "[workspace.dependencies]\n# Text.\nclap = \"4\"\nclap_complete = \"4\"\n\
                    serde = \"1\"\n# Data.\nserde_json = \"1\"\n\nipnet = \"2\"\n[profile.x]\nlto = 1\n";
        let findings = each_dependency_has_its_reason(&Repository::of(&[("Cargo.toml", text)]));
        assert_eq!(places(&findings), [("Cargo.toml", 5), ("Cargo.toml", 9)]);
    }

    #[test]
    fn a_setting_without_a_reason_is_found() {
        let text = "# Why.\na = 1\nb = 2\n[section]\nallow = [\n    \"MIT\", # why\n    \"ISC\",\n]\n\
                    # Why.\nd = [\"x\",\n  \"y\"]\nc = [\n  { path = \"x\", reason = \"y\" },\n]\n";
        let findings = each_setting_has_its_reason(&Repository::of(&[("deny.toml", text)]));
        assert_eq!(places(&findings), [("deny.toml", 3), ("deny.toml", 7)]);
    }
}
