//! More and more links on the node.

use std::fmt::Write as _;
use std::path::Path;

use podbond_bench::Growth;

use super::{extend, points};
use crate::case::{Case, Method};
use crate::error::Error;
use crate::ip::Batch;
use crate::{bond, sriov};

const SIZES: [u32; 4] = [10, 100, 1000, 5000];

/// A bond in a pod, and a VF that leaves the node.
pub(super) fn growth(method: Method<'_>) -> Result<Vec<Growth>, Error> {
    let directory = tempfile::tempdir()?;
    let [for_bond, for_sriov] = ["bond", "sriov"].map(|name| directory.path().join(name));
    for directory in [&for_bond, &for_sriov] {
        std::fs::create_dir(directory).map_err(Error::file("make", directory))?;
    }
    let cases = [bond::case(false, None, &for_bond)?, sriov::case(None, &for_sriov)?];
    let mut lines = [Vec::new(), Vec::new()];
    let mut there = 0;
    for size in SIZES {
        eprintln!("growing: {size} links on the node");
        add(there..size, directory.path())?;
        there = size;
        for (Case { subjects, .. }, lines) in cases.iter().zip(&mut lines) {
            extend(lines, subjects, points(subjects, size, method)?);
        }
    }
    let names = ["bond ADD among links", "sriov ADD among links"];
    let growth = |(name, lines): (&str, Vec<_>)| Growth {
        name: name.to_owned(),
        of: "links on the node".to_owned(),
        lines,
    };
    Ok(names.into_iter().zip(lines).map(growth).collect())
}

/// Adds links, by one process.
fn add(numbers: std::ops::Range<u32>, directory: &Path) -> Result<(), Error> {
    let mut commands = String::new();
    for number in numbers {
        let _ = writeln!(commands, "link add more{number} type dummy");
    }
    Batch { name: "more-links", netns: None, commands }.process(directory)?.run().map(drop)
}
