//! `cargo xtask compare`: podbond beside the programs that it replaces, in the lab, configuration by
//! configuration.

use std::{ffi::OsString, io, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use podbond_bench::Peer;
use podbond_compare::{Difference, Document, unmet};
use podbond_lab::{Accel, Kernel, Progress, Stdin};

use crate::{build, error::Error, lab};

const EXAMPLES: &str = "\
Examples:
  cargo xtask compare --peer bond=bin/bond --peer sriov=bin/sriov
        every case, beside these and Debian's host-local
  cargo xtask compare --peer bond=bin/bond -- 'bond: IPv' mtu
        the cases whose names hold `bond: IPv` or `mtu`";

/// The program that compares, and where it is in the lab.
const PROGRAM: (&str, &str) = ("podbond-compare", "/usr/local/bin/podbond-compare");

/// No comparison takes longer, even on a machine that does much else.
const LIMIT: Duration = Duration::from_mins(90);

/// What the columns are, and how wide: 100 characters with what is between them.
const COLUMNS: [(&str, usize); 5] =
    [("case", 21), ("what", 23), ("peer", 16), ("podbond", 16), ("row", 16)];

/// Compare podbond's plugins with those that they replace; fails at a difference that
/// docs/migration.md does not have
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A static executable to compare with: bond, sriov or host-local; may be repeated. Debian's
    /// host-local is compared with unless another is named
    #[arg(long, value_name = "PLUGIN=PATH", required = true)]
    peer: Vec<Peer>,
    /// How to print the differences
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// The Debian suite whose kernel runs: bullseye (5.10), bookworm (6.1), trixie (6.12) or
    /// trixie-backports
    #[arg(long, value_name = "SUITE", default_value_t = Kernel::default())]
    kernel: Kernel,
    /// Run under kvm or tcg instead of trying which works
    #[arg(long, value_name = "KIND", env = "PODBOND_LAB_ACCEL")]
    accel: Option<Accel>,
    /// Only cases whose name holds one of these
    #[arg(last = true, value_name = "NAMEFILTER")]
    filter: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// For machines
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let (program, place) = PROGRAM;
    let builder = lab::bare(build::for_lab("podbond")?).add(build::for_lab(program)?, place);
    let builder = builder.vfs(1).kernel(arguments.kernel).accel(arguments.accel);
    let (builder, peers) = lab::add_peers(builder, &arguments.peer);
    let progress = Progress::on_stderr();
    let lab = builder.prepare(&progress)?;
    progress.begin(format_args!("booting the lab under {}", lab.accel()));
    let mut command: Vec<OsString> = vec![place.into()];
    command.extend(peers.iter().flat_map(Peer::words));
    command.push("--".into());
    command.extend(arguments.filter.iter().map(OsString::from));
    let (mut output, mut errors) = (Vec::new(), io::stderr());
    let status = lab.run(&command, Stdin::Empty, &mut output, &mut errors, Some(LIMIT))?;
    if status != 0 {
        return Err(Error::Other(format!("comparing in the lab failed (exit status {status})")));
    }
    let document: Document = serde_json::from_slice(&output)?;
    match arguments.output {
        Output::Table => println!("{}", table(&document.differences)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&document)?),
    }
    // A part of the cases, or of the plugins, shows a part of the rows.
    let is_whole = arguments.filter.is_empty()
        && ["bond", "sriov"].iter().all(|name| peers.iter().any(|peer| peer.plugin == *name));
    judge(&document, is_whole)
}

/// All that differs must be known, and all that is known must differ.
fn judge(document: &Document, is_whole: bool) -> Result<ExitCode, Error> {
    let unknown = document.differences.iter().filter(|one| one.row.is_none()).count();
    let unmet = if is_whole { unmet(&document.differences) } else { Vec::new() };
    eprintln!("xtask: {} cases were compared", document.cases.len());
    if document.cases.is_empty() {
        Err(Error::Other("no case was compared: the filter fits none, or no peer does".into()))
    } else if unknown > 0 || !unmet.is_empty() {
        let rows = if unmet.is_empty() { "none".to_owned() } else { unmet.join(", ") };
        Err(Error::Other(format!(
            "{unknown} differences are in no row of docs/migration.md; rows that no case shows: {rows}"
        )))
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns a line for each difference. A row, and what several cases show alike, is there once, with the
/// first of them.
fn table(differences: &[Difference]) -> String {
    let is_same = |a: &Difference, b: &Difference| {
        let are_alike = (&a.what, &a.peer, &a.podbond) == (&b.what, &b.peer, &b.podbond);
        a.row == b.row && (a.row.is_some() || are_alike)
    };
    let mut lines = line(COLUMNS.map(|(name, _)| name));
    let rule = COLUMNS.map(|(_, width)| "-".repeat(width));
    lines.extend(line(rule.each_ref().map(String::as_str)));
    for (number, one) in differences.iter().enumerate() {
        if differences[..number].iter().any(|earlier| is_same(earlier, one)) {
            continue;
        }
        let others = differences[number + 1..].iter().filter(|later| is_same(later, one)).count();
        let case = match others {
            0 => one.case.clone(),
            others => format!("{} and {others} more", one.case),
        };
        let row = one.row.as_deref().unwrap_or_default();
        lines.extend(line([&case, &one.what, &one.peer, &one.podbond, row]));
    }
    lines.join("\n")
}

/// Returns the cells in as many lines as the longest needs.
fn line(cells: [&str; COLUMNS.len()]) -> Vec<String> {
    let cells: Vec<Vec<String>> =
        cells.iter().zip(COLUMNS).map(|(cell, (_, width))| wrapped(cell, width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    let at = |row: usize| {
        let parts = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| {
            let part = cell.get(row).map(String::as_str).unwrap_or_default();
            format!("{part:width$}")
        });
        parts.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    (0..height).map(at).collect()
}

/// Returns the text in lines of at most so many characters, cut at spaces where there are some.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(width) {
            let last = lines.last_mut().filter(|line| !line.is_empty());
            match last {
                Some(line) if line.chars().count() + 1 + part.len() <= width => {
                    line.push(' ');
                    line.extend(part);
                }
                _ => lines.push(part.iter().collect()),
            }
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(case: &str, what: &str, row: Option<&str>) -> Difference {
        let [case, what, peer, podbond] = [case, what, "1500", "9000"].map(str::to_owned);
        Difference { case, what, peer, podbond, row: row.map(str::to_owned) }
    }

    #[test]
    fn table_fits_and_has_what_is_the_same_once() {
        let what = "ADD: IPv6 route 2001:db8:1234:5678:9abc:def0:1234:5678 of net3";
        let differences =
            ["bond: a", "bond: b", "bond: c"].map(|case| difference(case, what, None));
        let table = table(&differences);
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
        assert!(table.contains("bond: a and 2 more") && !table.contains("bond: b"), "{table}");
    }

    #[test]
    fn unknown_difference_and_unmet_row_fail() {
        let document = |row| Document {
            cases: vec!["bond: a".to_owned()],
            differences: vec![difference("bond: a", "ADD: net3 mtu", row)],
        };
        assert!(judge(&document(None), false).is_err());
        assert!(judge(&document(Some("x")), false).is_ok());
        assert!(judge(&document(Some("x")), true).is_err(), "the page's rows are met by nothing");
        assert!(judge(&Document::default(), false).is_err());
    }
}
