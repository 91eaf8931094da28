//! `cargo xtask demo`: shows the documented pod in the lab: its bond, its fail-over, its removal.

use std::{io, process::ExitCode, time::Duration};

use clap::Args;
use podbond_lab::{Accel, Kernel, Progress, Stdin};

use crate::{build, error::Error, lab};

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo
        the documented pod gets its bond, survives the loss of a card, and is deleted
  cargo xtask demo --kernel bookworm
        the same under Linux 6.1";

/// The program that shows it, and where it is in the lab.
const PROGRAM: (&str, &str) = ("podbond-demo", "/usr/local/bin/podbond-demo");

/// No demo takes longer, even under software emulation on a busy machine.
const LIMIT: Duration = Duration::from_mins(20);

/// Show the documented pod getting its bond, losing a card and being deleted
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The Debian suite whose kernel runs: bullseye (5.10), bookworm (6.1), trixie (6.12) or
    /// trixie-backports
    #[arg(long, value_name = "SUITE", default_value_t = Kernel::default())]
    kernel: Kernel,
    /// Run under kvm or tcg instead of trying which works
    #[arg(long, value_name = "KIND", env = "PODBOND_LAB_ACCEL")]
    accel: Option<Accel>,
}

/// Runs the demo; its exit status is 0 only if all of it was seen to be true.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let (program, place) = PROGRAM;
    let builder = lab::bare(build::for_lab("podbond")?).add(build::for_lab(program)?, place);
    let progress = Progress::on_stderr();
    let lab = builder.kernel(arguments.kernel).accel(arguments.accel).prepare(&progress)?;
    progress.begin(format_args!("booting the lab under {}", lab.accel()));
    let command = [place.into()];
    let (mut output, mut errors) = (io::stdout(), io::stderr());
    let status = lab.run(&command, Stdin::Empty, &mut output, &mut errors, Some(LIMIT))?;
    Ok(ExitCode::from(status))
}
