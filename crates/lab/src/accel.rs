//! KVM or TCG: found out by trying.
//!
//! `/dev/kvm` may be there and still not run a stock kernel (nested virtualisation that lacks
//! something: QEMU reports an internal error and the guest hangs), so a kernel is started and must
//! get as far as looking for its root file system within a short time.

use std::{
    fmt, fs,
    io::Read,
    path::Path,
    process::{Child, Stdio},
    str::FromStr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Progress, cache::Cache, error::FileContext, kernel::KernelFiles, qemu::Qemu};

/// A working KVM is there in two seconds.
const PROBE_LIMIT: Duration = Duration::from_secs(8);

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A text that names no accelerator.
#[derive(Debug, thiserror::Error)]
#[error("the lab can run under kvm or tcg, not {0:?}")]
pub struct UnknownAccel(String);

impl FromStr for Accel {
    type Err = UnknownAccel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            _ => Err(UnknownAccel(text.to_owned())),
        }
    }
}

/// What works here; tried once per boot of this machine and remembered in the cache.
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
    let unusable = |reason| match forced {
        None => Ok(Accel::Tcg),
        Some(_) => Err(Error::NoKvm { reason }),
    };
    if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return unusable("/dev/kvm cannot be opened");
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let question = format!("{}\n{}\n", boot.trim(), qemu.program().display());
    let answer_file = cache.file(&format!("accel-{}", kernel.name()));
    let answer = fs::read_to_string(&answer_file).unwrap_or_default();
    let known = answer.strip_prefix(&question).and_then(|accel| accel.trim().parse().ok());
    let accel = if let Some(accel) = known {
        accel
    } else {
        progress.begin("trying whether KVM works here");
        let accel = if probe(qemu, &kernel.image())? { Accel::Kvm } else { Accel::Tcg };
        progress.begin(match accel {
            Accel::Kvm => "it does",
            Accel::Tcg => "it does not; going on with TCG, QEMU's own translator",
        });
        fs::write(&answer_file, format!("{question}{accel}\n")).file("write", answer_file)?;
        accel
    };
    if accel == Accel::Kvm { Ok(accel) } else { unusable("a kernel does not start under it") }
}

/// Starts the kernel without any root file system: it panics for the lack of one, if it gets there.
fn probe(qemu: &Qemu, kernel: &Path) -> Result<bool, Error> {
    let mut command = qemu.command();
    command.args(["-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35", "-m", "512"]);
    command.args(Accel::Kvm.args()).arg("-kernel").arg(kernel);
    command.args(["-append", "console=ttyS0 panic=-1", "-serial", "stdio"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn();
    let child = child.map_err(|source| Error::NoProgram { program: "setpriv".into(), source })?;
    let mut child = Reaped(child);
    let Some(mut console) = child.0.stdout.take() else { return Ok(false) };
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = console.read(&mut buffer) {
            if send.send(buffer[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + PROBE_LIMIT;
    let mut text = Vec::new();
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let Ok(more) = receive.recv_timeout(left) else { break };
        text.extend(more);
        if String::from_utf8_lossy(&text).contains("Kernel panic - not syncing: VFS") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A child that does not outlive its owner.
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only for a child that is gone, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
