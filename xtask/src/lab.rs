//! `cargo xtask lab`: a shell or a command in the lab.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand, value_parser};
use podbond_bench::Peer;
use podbond_lab::{Accel, Builder, Console, Kernel, Lab, PFS, Progress, Stdin, Switch, VFS};

use crate::{build, error::Error, workspace::root};

const EXAMPLES: &str = "\
Examples:
  cargo xtask lab
        a shell on the node
  cargo xtask lab --vfs 2 --kernel bookworm
        the same under Linux 6.1, with VFs pf0v0, pf0v1, pf1v0, pf1v1
  cargo xtask lab run -- ip -br link
        one command; only its output on standard output, its exit status returned
  cargo xtask lab run --add examples:/root/examples -- podbond apply -f examples/
        with a directory of this machine";

/// Where other programs' plugins are in the lab: under their plugins' names, as they look for each
/// other.
const PEERS: &str = "/opt/peers";

/// A node with SR-IOV cards in a virtual machine: a shell in it, or one command
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run one command: its output, its exit status (125: the lab itself failed)
    Run(Run),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Run {
    #[command(flatten)]
    machine: Machine,
    /// Stop the machine if the command takes longer; 0: no limit
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The options that describe the virtual machine.
#[derive(Debug, Args)]
pub(crate) struct Machine {
    /// Copy a file or directory of this machine to a place in the lab; may be repeated
    #[arg(long, value_name = "HOSTPATH:GUESTPATH", value_parser = parse_added)]
    add: Vec<(PathBuf, PathBuf)>,
    /// How many cards (PFs): 1 to 8
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u8).range(PFS))]
    pfs: u8,
    /// How many VFs each PF has from the start: 0 to 7
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u8).range(VFS))]
    vfs: u8,
    /// The Debian suite whose kernel runs: bullseye (5.10), bookworm (6.1), trixie (6.12) or
    /// trixie-backports
    #[arg(long, value_name = "SUITE", default_value_t = Kernel::default())]
    kernel: Kernel,
    /// How the switch joins its ports at first; `lab-switch` in the lab changes it
    #[arg(long, value_name = "SHAPE", value_enum, default_value_t)]
    switch: Switch,
    /// Run under kvm or tcg instead of trying which works
    #[arg(long, value_name = "KIND", env = "PODBOND_LAB_ACCEL")]
    accel: Option<Accel>,
    /// Show the virtual machine's console on standard error
    #[arg(long)]
    console: bool,
    /// Use this static executable as podbond instead of building it
    #[arg(long, value_name = "PATH")]
    podbond: Option<PathBuf>,
}

impl Machine {
    /// The lab as the options describe it, with podbond built.
    pub(crate) fn builder(&self) -> Result<Builder, Error> {
        let podbond = match &self.podbond {
            Some(path) => path.clone(),
            None => build::for_lab("podbond")?,
        };
        let builder = bare(podbond)
            .pfs(self.pfs)
            .vfs(self.vfs)
            .kernel(self.kernel)
            .switch(self.switch)
            .accel(self.accel)
            .console(if self.console { Console::Shown } else { Console::Hidden });
        Ok(self.add.iter().fold(builder, |builder, (host, guest)| builder.add(host, guest)))
    }
}

/// A lab with podbond and the repository's examples.
pub(crate) fn bare(podbond: PathBuf) -> Builder {
    Lab::builder().podbond(podbond).add(root().join("examples"), "/root/examples")
}

/// Puts peers into the lab, and returns them with their places there.
pub(crate) fn add_peers(mut builder: Builder, peers: &[Peer]) -> (Builder, Vec<Peer>) {
    let mut placed = Vec::new();
    for Peer { plugin, path } in peers {
        let place = Path::new(PEERS).join(plugin);
        builder = builder.add(path, &place);
        placed.push(Peer { plugin: plugin.clone(), path: place });
    }
    (builder, placed)
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let progress = Progress::on_stderr();
    let status = match &arguments.action {
        Some(Action::Run(run)) => {
            let lab = run.machine.builder()?.prepare(&progress)?;
            progress.begin(format_args!("booting under {}", lab.accel()));
            let limit = (run.timeout > 0).then(|| Duration::from_secs(run.timeout));
            lab.run(&run.command, Stdin::Inherited, &mut io::stdout(), &mut io::stderr(), limit)?
        }
        None => {
            let lab = arguments.machine.builder()?.prepare(&progress)?;
            progress.begin(format_args!("booting under {}; Ctrl-D ends the shell", lab.accel()));
            lab.shell()?
        }
    };
    Ok(ExitCode::from(status))
}

/// Splits at the last colon: a path of this machine may hold one.
fn parse_added(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.rsplit_once(':') {
        Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => {
            Ok((host.into(), guest.into()))
        }
        _ => Err("give a path of this machine, a colon, and an absolute path in the lab".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_path_may_hold_a_colon() {
        let (host, guest) = parse_added("a:b:/root/b").unwrap();
        assert_eq!((host, guest), ("a:b".into(), "/root/b".into()));
        for bad in ["x", ":/x", "x:y", "x:"] {
            assert!(parse_added(bad).is_err(), "{bad}");
        }
    }
}
