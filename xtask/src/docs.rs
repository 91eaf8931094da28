//! `cargo xtask docs`: the pages that are made from code, so that they cannot say otherwise.

mod findings;
mod page;
mod schema;

use std::{fs, process::ExitCode};

use clap::Args;

use crate::{
    error::{Error, FileContext},
    workspace::root,
};

/// Write the pages that are made from code: docs/bond-options.md, docs/bond.schema.json, docs/findings.md
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

/// The pages, each by its path in the repository.
pub(crate) fn pages() -> [(&'static str, String); 3] {
    [
        ("docs/bond-options.md", page::page()),
        ("docs/bond.schema.json", schema::schema()),
        ("docs/findings.md", findings::page()),
    ]
}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, Error> {
    for (path, text) in pages() {
        let full = root().join(path);
        if let Some(directory) = full.parent() {
            fs::create_dir_all(directory).file("make", directory)?;
        }
        fs::write(&full, text).file("write", &full)?;
        println!("{path}");
    }
    Ok(ExitCode::SUCCESS)
}
