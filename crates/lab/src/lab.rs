//! The lab as its users see it: described, prepared, run.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use crate::{
    Accel, Console, Error, Kernel, Progress, Stdin, accel,
    cache::Cache,
    channel::random_end,
    guest::{self, Added, Guest},
    kernel::KernelFiles,
    machine::{self, Hardware, Initramfs, Machine, Streams},
    qemu::Qemu,
    terminal,
    userland::Userland,
};

/// How many cards fit beside the other devices, with room to spare.
pub const PFS: RangeInclusive<i64> = 1..=8;

/// How many VFs an igb has: what QEMU offers in `sriov_totalvfs`.
pub const VFS: RangeInclusive<i64> = 0..=7;

/// How the ports of the switch are joined at boot; `lab-switch` in the guest changes it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Switch {
    /// One bridge over all ports.
    #[default]
    Bridge,
    /// A static link aggregation over all ports.
    Lag,
    /// One negotiated by LACP.
    Lacp,
    /// Each port alone.
    Ports,
}

impl Switch {
    fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Lag => "lag",
            Self::Lacp => "lacp",
            Self::Ports => "ports",
        }
    }
}

/// A description of a lab, to be made ready by [`Builder::prepare`].
#[derive(Debug, Clone)]
pub struct Builder {
    pfs: u8,
    vfs: u8,
    kernel: Kernel,
    switch: Switch,
    accel: Option<Accel>,
    console: Console,
    podbond: Option<PathBuf>,
    added: Vec<Added>,
}

impl Builder {
    /// Sets how many cards (PFs) the node has, within [`PFS`]; 2 if not said.
    #[must_use]
    pub fn pfs(mut self, pfs: u8) -> Self {
        self.pfs = pfs;
        self
    }

    /// Sets how many VFs each PF has when the command starts, within [`VFS`]; none if not said.
    #[must_use]
    pub fn vfs(mut self, vfs: u8) -> Self {
        self.vfs = vfs;
        self
    }

    /// Sets which kernel the node runs.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// Sets how the switch is wired at first.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switch = switch;
        self
    }

    /// Forces an accelerator; `None` tries KVM and falls back to TCG.
    #[must_use]
    pub fn accel(mut self, accel: Option<Accel>) -> Self {
        self.accel = accel;
        self
    }

    /// Sets whether the guest's console is shown on standard error.
    #[must_use]
    pub fn console(mut self, console: Console) -> Self {
        self.console = console;
        self
    }

    /// Installs a static executable as `podbond` and under its plugin names.
    #[must_use]
    pub fn podbond(mut self, executable: impl Into<PathBuf>) -> Self {
        self.podbond = Some(executable.into());
        self
    }

    /// Puts a file or directory of this machine at a place in the guest, with its mode.
    #[must_use]
    pub fn add(mut self, host: impl Into<PathBuf>, guest: impl Into<PathBuf>) -> Self {
        self.added.push(Added { host: host.into(), guest: guest.into() });
        self
    }

    /// Checks the description and makes everything ready: fetches what is not in the cache (some
    /// 190 MB at first), and tries whether KVM works.
    pub fn prepare(self, progress: &Progress) -> Result<Lab, Error> {
        for added in &self.added {
            guest::place(&added.guest)?;
        }
        let cache = Cache::open()?;
        let qemu = Qemu::prepare(&cache, progress)?;
        let userland = Userland::prepare(&cache, progress)?;
        let kernel = KernelFiles::prepare(self.kernel, &userland, &cache, progress)?;
        let accel = accel::choose(self.accel, &qemu, &kernel, &cache, progress)?;
        Ok(Lab { builder: self, qemu, userland, kernel, accel })
    }
}

/// A lab that needs nothing more than to be started. Each run is a fresh machine.
#[derive(Debug)]
pub struct Lab {
    builder: Builder,
    qemu: Qemu,
    userland: Userland,
    kernel: KernelFiles,
    accel: Accel,
}

impl Lab {
    /// Returns a lab with two PFs, the kernel of Debian 13 and no podbond.
    pub fn builder() -> Builder {
        Builder {
            pfs: 2,
            vfs: 0,
            kernel: Kernel::default(),
            switch: Switch::default(),
            accel: None,
            console: Console::default(),
            podbond: None,
            added: Vec::new(),
        }
    }

    /// Returns what it runs under.
    pub fn accel(&self) -> Accel {
        self.accel
    }

    /// Boots, runs the command as root in `/root`, and gives its exit status (128 + n: killed by
    /// signal n). Its output is written as it comes. `limit` counts from the command's start.
    ///
    /// The machine is tied to the calling thread: should that end first, it is killed.
    pub fn run(
        &self,
        argv: &[OsString],
        stdin: Stdin,
        stdout: &mut (dyn Write + Send),
        stderr: &mut (dyn Write + Send),
        limit: Option<Duration>,
    ) -> Result<u8, Error> {
        let end = random_end();
        let initramfs = self.initramfs(Some(argv), &[("end", &end)])?;
        let streams = Streams { stdin, stdout, stderr };
        let (qemu, console) = (self.command(), self.builder.console);
        machine::run(qemu, &self.hardware(&initramfs), console, &end, streams, limit)
    }

    /// Boots and joins this process's terminal to a shell; gives the shell's exit status.
    pub fn shell(&self) -> Result<u8, Error> {
        let (rows, columns) = terminal::size();
        let term = env::var("TERM").unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
        let known = !term.is_empty() && term.chars().all(plain);
        let term = if known { term.as_str() } else { "linux" };
        let settings: [(&str, &dyn std::fmt::Display); 3] =
            [("rows", &rows), ("columns", &columns), ("term", &term)];
        let initramfs = self.initramfs(None, &settings)?;
        let raw = terminal::Raw::enter();
        let _raw =
            raw.map_err(|source| Error::File { what: "use", path: "the terminal".into(), source })?;
        let hardware = self.hardware(&initramfs);
        machine::shell(self.command(), &hardware, self.builder.console, &mut io::stdout())
    }

    /// Returns a machine for another program to drive: its init does what it does for every lab, then
    /// becomes what was added as `/lab/node`. `settings` are more variables for that script, plain words.
    /// It has `more_megabytes` of memory beside what the lab needs itself, and MAC addresses that differ
    /// from those of a machine of another number.
    pub fn machine(
        &self,
        number: u8,
        settings: &[(&str, &dyn std::fmt::Display)],
        more_megabytes: u64,
    ) -> Result<Machine, Error> {
        let initramfs = self.initramfs(None, settings)?;
        let mut command = self.command();
        Hardware { more_megabytes, number, ..self.hardware(&initramfs) }.args(&mut command);
        Ok(Machine::new(command, initramfs))
    }

    fn initramfs(
        &self,
        command: Option<&[OsString]>,
        more_settings: &[(&str, &dyn std::fmt::Display)],
    ) -> Result<Initramfs, Error> {
        let mut settings: Vec<(&str, &dyn std::fmt::Display)> = Vec::new();
        let switch = self.builder.switch.name();
        settings
            .extend([("vfs", &self.builder.vfs as &dyn std::fmt::Display), ("switch", &switch)]);
        settings.extend(more_settings);
        let guest = Guest {
            settings: &guest::settings(&settings),
            command,
            podbond: self.builder.podbond.as_deref(),
            added: &self.builder.added,
            userland: &self.userland.root(),
        };
        let archives = [&*self.userland.archive(), &*self.kernel.archive()];
        Initramfs::build(&archives, |file| guest.archive(io::BufWriter::new(file)).map(drop))
    }

    fn command(&self) -> std::process::Command {
        let mut command = self.qemu.command(&[]);
        command.args(self.accel.args());
        command
    }

    fn hardware<'a>(&'a self, initramfs: &'a Initramfs) -> Hardware<'a> {
        Hardware {
            kernel: &self.kernel,
            initramfs,
            pfs: self.builder.pfs,
            more_megabytes: 0,
            number: 0,
        }
    }
}
