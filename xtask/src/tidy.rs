//! `cargo xtask tidy`: what ARCHITECTURE.md and CONTRIBUTING.md promise and a program can check.
//!
//! A rule is a function from the repository's text to findings; each names the place and the mend.

mod crates;
mod docs;
mod manifests;
mod sources;

use std::{
    fmt, fs,
    process::{Command, ExitCode},
};

use clap::Args;

use crate::{
    error::{Error, FileContext},
    metadata::{self, Package},
    workspace::root,
};

/// Check the rules of ARCHITECTURE.md and CONTRIBUTING.md
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// A rule.
type Rule = fn(&Repository) -> Vec<Finding>;

const RULES: [Rule; 13] = [
    crates::dependencies_point_down,
    crates::each_crate_is_on_the_map,
    docs::links_lead_somewhere,
    docs::pages_are_what_the_code_gives,
    docs::each_promise_has_its_test,
    manifests::lints_are_the_workspaces,
    manifests::each_dependency_has_its_reason,
    manifests::each_setting_has_its_reason,
    sources::files_are_short,
    sources::no_module_is_named_for_being_useful,
    sources::netlink_stays_in_the_kernel_crate,
    sources::unsafe_stays_in_the_kernel_crate,
    sources::no_registry_is_named,
];

/// What the rules look at.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// The files that git knows or would add.
    files: Vec<File>,
    packages: Vec<Package>,
}

/// A file of text.
#[derive(Debug)]
struct File {
    /// Relative to the repository's root.
    path: String,
    text: String,
}

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, Error> {
    let repository = read()?;
    let findings: Vec<_> = RULES.iter().flat_map(|rule| rule(&repository)).collect();
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files, {} rules", repository.files.len(), RULES.len());
        return Ok(ExitCode::SUCCESS);
    }
    Err(Error::Untidy(findings.len()))
}

fn read() -> Result<Repository, Error> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.current_dir(root()).output();
    let output = output.map_err(|source| Error::Start { program: "git".into(), source })?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(Error::Program { what: "git ls-files".into(), status: output.status });
    }
    let mut files = Vec::new();
    for path in String::from_utf8_lossy(&output.stdout).split_terminator('\0') {
        let full = root().join(path);
        // A file that git knows and that was removed here is of no interest.
        if full.is_file() {
            let bytes = fs::read(&full).file("read", &full)?;
            files.extend(String::from_utf8(bytes).map(|text| File { path: path.into(), text }));
        }
    }
    Ok(Repository { files, packages: metadata::packages()? })
}

impl Repository {
    fn with_ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.ends_with(ending))
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    /// The lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, message: message.into() }
    }

    fn is_in_kernel_crate(&self) -> bool {
        self.path.starts_with("crates/kernel/")
    }
}

#[cfg(test)]
impl Repository {
    /// A repository of these files, each a path and a text.
    fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File { path: path.into(), text: text.into() };
        Self { files: files.iter().map(file).collect(), packages: Vec::new() }
    }
}

/// Where findings are, for tests.
#[cfg(test)]
fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
    findings.iter().map(|finding| (finding.path.as_str(), finding.line)).collect()
}
