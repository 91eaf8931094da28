//! Code.

use super::{File, Finding, Repository};

const MOST_LINES: usize = 400;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];

/// Hosts of package registries and mirrors; a user's machine knows its own. Each in two parts, or
/// this file would break the rule.
const REGISTRIES: [(&str, &str); 7] = [
    ("debian", ".org"),
    ("ubuntu", ".com"),
    ("crates", ".io"),
    ("npmjs", ".org"),
    ("npmjs", ".com"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
];

/// CONTRIBUTING.md: files under 400 lines.
pub(super) fn files_are_short(repository: &Repository) -> Vec<Finding> {
    let long = repository.with_ending(".rs").filter_map(|file| {
        let lines = file.text.lines().count();
        let message =
            || format!("{lines} lines, more than {MOST_LINES}: split it by what it is about");
        (lines > MOST_LINES).then(|| file.finding(lines, message()))
    });
    long.collect()
}

/// CONTRIBUTING.md: no `utils`, no `helpers`, no `common`.
pub(super) fn no_module_is_named_for_being_useful(repository: &Repository) -> Vec<Finding> {
    let named = repository.with_ending(".rs").filter_map(|file| {
        let path = file.path.trim_end_matches(".rs");
        let name = path.split('/').find(|part| EMPTY_NAMES.contains(part))?;
        Some(file.finding(1, format!("{name} says nothing: name it for what is inside")))
    });
    named.collect()
}

/// ARCHITECTURE.md: the netlink codec stays inside `kernel`.
pub(super) fn netlink_stays_in_the_kernel_crate(repository: &Repository) -> Vec<Finding> {
    let crates = concat!("netlink", "-packet-|netlink", "-sys|netlink", "_packet_|netlink", "_sys");
    let files = repository.with_ending(".rs").chain(repository.with_ending("/Cargo.toml"));
    let outside = files.filter(|file| !file.is_in_kernel_crate());
    let mut findings = Vec::new();
    for file in outside {
        for (number, line) in file.lines() {
            if crates.split('|').any(|name| line.contains(name)) {
                let message = "only crates/kernel speaks netlink: add what is needed to its API";
                findings.push(file.finding(number, message));
            }
        }
    }
    findings
}

/// ARCHITECTURE.md: `unsafe` stays inside `kernel`, each block with its reason.
pub(super) fn unsafe_stays_in_the_kernel_crate(repository: &Repository) -> Vec<Finding> {
    repository.with_ending(".rs").flat_map(unsafe_without_reason).collect()
}

fn unsafe_without_reason(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut reason = false;
    for (number, line) in file.lines().map(|(number, line)| (number, line.trim_start())) {
        if line.starts_with("//") {
            reason |= line.starts_with("// SAFETY:");
            continue;
        }
        if has_unsafe_code(line) {
            if !file.is_in_kernel_crate() {
                let message = "unsafe code belongs in crates/kernel: add what is needed to its API";
                findings.push(file.finding(number, message));
            } else if !reason {
                let message = "say in a `// SAFETY:` comment above why this is sound";
                findings.push(file.finding(number, message));
            }
        }
        // The comment stands above a statement, which may begin before the block does.
        reason &= !line.is_empty() && !line.ends_with([';', '}']);
    }
    findings
}

fn has_unsafe_code(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let starts = ["{", "fn ", "impl ", "trait ", "extern "];
    // In two parts for the same reason as the registries.
    let word = concat!("uns", "afe ");
    let mut after = code.split(word).skip(1);
    after.any(|rest| starts.iter().any(|start| rest.starts_with(start)))
}

/// Where packages come from is for the user's machine to say.
pub(super) fn no_registry_is_named(repository: &Repository) -> Vec<Finding> {
    let hosts = REGISTRIES.map(|(name, domain)| format!("{name}{domain}"));
    let mut findings = Vec::new();
    // A Cargo.lock is cargo's own, and names its registry in each entry.
    for file in repository.files.iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (number, line) in file.lines() {
            if let Some(host) = hosts.iter().find(|host| line.contains(host.as_str())) {
                let message =
                    format!("names {host}: leave the choice to the machine's own settings");
                findings.push(file.finding(number, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    #[test]
    fn a_long_file_is_found() {
        let (short, long) = ("x\n".repeat(400), "x\n".repeat(401));
        let repository = Repository::of(&[("a.rs", &short), ("b.rs", &long), ("c.md", &long)]);
        assert_eq!(places(&files_are_short(&repository)), [("b.rs", 401)]);
    }

    #[test]
    fn a_module_with_an_empty_name_is_found() {
        let files =
            [("crates/a/src/utils.rs", ""), ("tests/common/mod.rs", ""), ("commons.rs", "")];
        let findings = no_module_is_named_for_being_useful(&Repository::of(&files));
        assert_eq!(places(&findings), [("crates/a/src/utils.rs", 1), ("tests/common/mod.rs", 1)]);
    }

    #[test]
    fn netlink_is_found_outside_the_kernel_crate_only() {
        let text = concat!("\nuse netlink", "_packet_route::link;\n");
        let files = [("crates/kernel/src/link.rs", text), ("crates/bond/src/plan.rs", text)];
        let findings = netlink_stays_in_the_kernel_crate(&Repository::of(&files));
        assert_eq!(places(&findings), [("crates/bond/src/plan.rs", 2)]);
    }

    #[test]
    fn unsafe_code_needs_the_kernel_crate_and_a_reason() {
        let block = concat!("let x = uns", "afe { f() };\n");
        let with_reason =
            format!("// SAFETY: f reads nothing.\n{block}// uns{}{block}", "afe {}\n");
        let spread = format!("// SAFETY: so.\n// Still so.\nlet y =\n    {block}");
        let files = [
            ("crates/kernel/src/a.rs", with_reason.as_str()),
            ("crates/kernel/src/b.rs", spread.as_str()),
            ("crates/bond/src/c.rs", spread.as_str()),
        ];
        let findings = unsafe_stays_in_the_kernel_crate(&Repository::of(&files));
        let wanted = [("crates/kernel/src/a.rs", 4), ("crates/bond/src/c.rs", 4)];
        assert_eq!(places(&findings), wanted);
    }

    #[test]
    fn a_registry_is_found_wherever_it_is_named() {
        let named = format!("see\ncurl http://deb.{}{}/x\n", "debian", ".org");
        let repository = Repository::of(&[("README.md", &named), ("Cargo.lock", &named)]);
        assert_eq!(places(&no_registry_is_named(&repository)), [("README.md", 2)]);
        let fine = "Debian, crates and io, https://docs.kernel.example";
        assert_eq!(no_registry_is_named(&Repository::of(&[("README.md", fine)])), []);
    }
}
