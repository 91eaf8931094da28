//! `cargo xtask traffic`: what bonds of every mode lose, measured in the lab.

use std::{
    ffi::OsString,
    io,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use podbond_kernel::BondMode;
use podbond_lab::{Accel, Kernel, Progress, Stdin};

use crate::{build, error::Error, lab};

const EXAMPLES: &str = "\
Examples:
  cargo xtask traffic
        the whole table of docs/traffic.md, in a quarter of an hour or more
  cargo xtask traffic --quick
        every mode once
  cargo xtask traffic --mode active-backup --mode 802.3ad --ports 2 --mtu 9000
        a part of it
  cargo xtask traffic --quick -o json > traffic.json
        as one document";

/// The program that sends and counts, and where it is in the lab.
const PROGRAM: (&str, &str) = ("podbond-traffic", "/usr/local/bin/podbond-traffic");

/// The cards among which the ports are spread.
const PFS: u8 = 3;

/// No table takes longer, even on a machine that does much else.
const LIMIT: Duration = Duration::from_hours(2);

/// Send every protocol through bonds of every mode, and print what is lost
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Every mode with 2 ports at MTU 1500, unless said otherwise
    #[arg(long)]
    quick: bool,
    /// Only this mode; may be repeated
    #[arg(long, value_name = "MODE", value_parser = modes())]
    mode: Vec<String>,
    /// Only so many ports, of three PFs with 7 VFs each; may be repeated
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=21))]
    ports: Vec<u8>,
    /// Only this MTU; may be repeated
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1280..=9216))]
    mtu: Vec<u32>,
    /// How to print what was counted
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// The Debian suite whose kernel runs: bookworm (6.1), trixie (6.12) or trixie-backports
    #[arg(long, value_name = "SUITE", default_value_t = Kernel::default())]
    kernel: Kernel,
    /// Run under kvm or tcg instead of trying which works
    #[arg(long, value_name = "KIND", env = "PODBOND_LAB_ACCEL")]
    accel: Option<Accel>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// For machines
    Json,
}

fn modes() -> PossibleValuesParser {
    PossibleValuesParser::new(BondMode::ALL.iter().map(|mode| mode.name()))
}

impl Arguments {
    /// What the program in the lab is asked for.
    fn words(&self) -> Vec<String> {
        let or = |given: Vec<String>, all: &[&str], quick: &[&str]| match given.is_empty() {
            false => given,
            true if self.quick => quick.iter().map(ToString::to_string).collect(),
            true => all.iter().map(ToString::to_string).collect(),
        };
        let text = |numbers: &[u32]| numbers.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = BondMode::ALL.iter().map(|mode| mode.name()).collect();
        let ports: Vec<u32> = self.ports.iter().copied().map(u32::from).collect();
        let lists = [
            ("--mode", or(self.mode.clone(), &names, &names)),
            ("--ports", or(text(&ports), &["2", "8", "16"], &["2"])),
            ("--mtu", or(text(&self.mtu), &["1280", "1500", "9000"], &["1500"])),
        ];
        let mut words = Vec::new();
        for (option, values) in lists {
            words.extend(values.into_iter().flat_map(|value| [option.to_owned(), value]));
        }
        let output = match self.output {
            Output::Table => "table",
            Output::Json => "json",
        };
        words.extend(["--output", output].map(str::to_owned));
        words
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let (program, place) = PROGRAM;
    let builder = lab::bare(build::for_lab("podbond")?).add(build::for_lab(program)?, place);
    let progress = Progress::on_stderr();
    let builder = builder.pfs(PFS).kernel(arguments.kernel).accel(arguments.accel);
    let lab = builder.prepare(&progress)?;
    progress.begin(format_args!("booting the lab under {}", lab.accel()));
    let mut command: Vec<OsString> = vec![place.into()];
    command.extend(arguments.words().into_iter().map(OsString::from));
    let (mut output, mut errors) = (io::stdout(), io::stderr());
    // Not the lab's clock: under software emulation on a busy machine it is a poor one.
    let begun = Instant::now();
    let status = lab.run(&command, Stdin::Empty, &mut output, &mut errors, Some(LIMIT))?;
    eprintln!("xtask: all this took {} s", begun.elapsed().as_secs());
    Ok(ExitCode::from(status))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn words(arguments: &str) -> String {
        let given = std::iter::once("traffic").chain(arguments.split_whitespace());
        Alone::try_parse_from(given).unwrap().arguments.words().join(" ")
    }

    #[test]
    fn what_is_not_said_is_everything_or_a_sample_of_it() {
        assert!(words("").contains("--ports 2 --ports 8 --ports 16 --mtu 1280 --mtu 1500"));
        assert_eq!(words("").matches("--mode").count(), 7);
        assert!(words("--quick").ends_with("--ports 2 --mtu 1500 --output table"));
        assert_eq!(
            words("--quick --mode 802.3ad --ports 16 -o json"),
            "--mode 802.3ad --ports 16 --mtu 1500 --output json"
        );
    }
}
