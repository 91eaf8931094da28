//! `cargo xtask lines`: how much code there is, the product's and the tools'.

use std::process::ExitCode;

use clap::Args;

use crate::{error::Error, metadata, source, workspace::root};

/// The packages that are no part of what is given to others.
const TOOLS: [&str; 10] = [
    "podbond-bench",
    "podbond-cluster-bench",
    "podbond-cluster-demo",
    "podbond-compare",
    "podbond-demo",
    "podbond-fuzz",
    "podbond-lab",
    "podbond-lab-cluster",
    "podbond-lab-device-plugin",
    "xtask",
];

/// Count lines of code in src folders: not blank, no comment, no test
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, Error> {
    let (mut product, mut tools) = (Vec::new(), Vec::new());
    for package in metadata::packages()? {
        let files = source::files(&root().join(&package.directory).join("src"))?;
        let lines: usize = files.iter().map(|file| file.code.lines()).sum();
        let group = if TOOLS.contains(&package.name.as_str()) { &mut tools } else { &mut product };
        group.push((lines, package.name));
    }
    for (name, mut group) in [("product", product), ("tools", tools)] {
        group.sort_by(|a, b| b.cmp(a));
        for (lines, package) in &group {
            println!("{lines:>6} {package}");
        }
        println!("{:>6} {name}\n", group.iter().map(|(lines, _)| lines).sum::<usize>());
    }
    Ok(ExitCode::SUCCESS)
}
