//! `cargo xtask tidy`: what ARCHITECTURE.md and docs/ promise of the code and no other tool checks.

mod circles;
mod crates;
mod pages;
mod promises;

use std::{fmt, process::ExitCode};

use clap::Args;

use crate::{error::Error, metadata, workspace::root};

/// Check the rules of ARCHITECTURE.md: rows of crates, circles of modules, made pages, promises
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The file, relative to the repository's root.
    path: String,
    message: String,
}

impl Finding {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, Error> {
    let packages = metadata::packages()?;
    let mut findings = crates::check(root(), &packages)?;
    findings.extend(crates::check_podbond()?);
    findings.extend(circles::check(root(), &packages)?);
    findings.extend(pages::check(root()));
    findings.extend(promises::check(root(), &packages)?);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Error::Untidy(findings.len())) }
}
