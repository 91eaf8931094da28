//! KVM or TCG: found out by trying.
//!
//! `/dev/kvm` may be there and still not run a stock kernel (nested virtualisation that lacks
//! something: QEMU reports an internal error and the guest hangs), so a kernel is started and must
//! get as far as looking for its root file system within a short time.

use std::{fmt, fs, path::Path, process::Stdio};

use crate::{Error, Progress, cache::Cache, error::FileContext, kernel::KernelFiles, qemu::Qemu};

/// A working KVM is there in two seconds.
const PROBE_SECONDS: &str = "8";

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// The processor, by `/dev/kvm`.
    Kvm,
    /// QEMU's own translator: slower, works everywhere.
    Tcg,
}

impl Accel {
    pub(crate) fn args(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// Returns what works here; tried once per boot of this machine and remembered in the cache.
pub(crate) fn choose(
    forced: Option<Accel>,
    qemu: &Qemu,
    kernel: &KernelFiles,
    cache: &Cache,
    progress: &Progress,
) -> Result<Accel, Error> {
    if forced == Some(Accel::Tcg) {
        return Ok(Accel::Tcg);
    }
    let unusable = |reason: &str| match forced {
        None => Ok(Accel::Tcg),
        Some(_) => Err(Error::Other(format!(
            "KVM was asked for, but {reason}; leave the choice to the lab or ask for tcg"
        ))),
    };
    if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return unusable("/dev/kvm cannot be opened");
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let question = format!("{}\n{}\n", boot.trim(), qemu.program().display());
    let answer_file = cache.file(&format!("accel-{}", kernel.name()));
    let answer = fs::read_to_string(&answer_file).unwrap_or_default();
    let kvm_works = if let Some(accel) = answer.strip_prefix(&question) {
        accel.trim() == Accel::Kvm.to_string()
    } else {
        progress.begin("trying whether KVM works here");
        let kvm_works = probe(qemu, &kernel.image())?;
        let accel = if kvm_works { Accel::Kvm } else { Accel::Tcg };
        progress.begin(format_args!("going on with {accel}"));
        fs::write(&answer_file, format!("{question}{accel}\n")).file("write", answer_file)?;
        kvm_works
    };
    if kvm_works { Ok(Accel::Kvm) } else { unusable("a kernel does not start under it") }
}

/// Starts the kernel without any root file system: it panics for the lack of one, if it gets there,
/// which ends the machine.
fn probe(qemu: &Qemu, kernel: &Path) -> Result<bool, Error> {
    let mut command = qemu.command(&["timeout", "--signal=KILL", PROBE_SECONDS]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35", "-m", "512"]);
    command.args(Accel::Kvm.args()).arg("-kernel").arg(kernel);
    command.args(["-append", "console=ttyS0 panic=-1", "-serial", "stdio"]);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| Error::NoProgram { program: "timeout".into(), source })?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("Kernel panic - not syncing: VFS"))
}
