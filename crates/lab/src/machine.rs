//! The virtual machine: its hardware, its start, and the conversation with it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, Scope},
    time::{Duration, Instant},
};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::{
    Error,
    channel::{Channel, End, Tail, copy, inherit},
    error::FileContext,
    kernel::KernelFiles,
};

/// From start to the command, at most. About 10 s on an idle machine under TCG.
const BOOT_LIMIT: Duration = Duration::from_mins(3);

/// From the command's end until all its output is here.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// The guest's kernel command line: a panic ends the machine, and no work that the lab does not need.
const KERNEL_LINE: &str = "console=ttyS0 quiet panic=-1 mitigations=off audit=0 apparmor=0 \
    cryptomgr.notests no_timer_check tsc=reliable";

/// The parts that QEMU is given.
pub(crate) struct Hardware<'a> {
    pub(crate) kernel: &'a KernelFiles,
    pub(crate) initramfs: &'a Initramfs,
    pub(crate) pfs: u8,
    /// Memory beside that for the initramfs and what the lab itself needs.
    pub(crate) more_megabytes: u64,
    /// In the MAC addresses, so that those of machines on one network differ.
    pub(crate) number: u8,
}

/// The guest's file system in memory: nothing to clean up, however this process ends.
pub(crate) struct Initramfs {
    file: File,
    bytes: u64,
}

impl Initramfs {
    /// The archives one after another, then what `write` writes.
    pub(crate) fn build(
        archives: &[&Path],
        write: impl FnOnce(&File) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let name = || Path::new("a memory file");
        let file = memfd_create("podbond-lab-initramfs", MemfdFlags::empty());
        let file = File::from(file.map_err(io::Error::from).file("make", name())?);
        inherit(&file).file("share", name())?;
        for path in archives {
            let mut archive = File::open(path).file("read", *path)?;
            io::copy(&mut archive, &mut &file).file("read", *path)?;
        }
        write(&file)?;
        let bytes = file.metadata().file("measure", name())?.len();
        Ok(Self { file, bytes })
    }
}

impl Hardware<'_> {
    pub(crate) fn args(&self, command: &mut Command) {
        // The archive is unpacked into memory, and both are there at once while that lasts.
        let megabytes = 640 + 2 * self.initramfs.bytes / 1_000_000 + self.more_megabytes;
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        command.args(["-machine", "q35", "-smp", "2"]).args(["-m", &megabytes.to_string()]);
        command.arg("-kernel").arg(self.kernel.image());
        command.arg("-initrd").arg(format!("/proc/self/fd/{}", self.initramfs.file.as_raw_fd()));
        command.args(["-append", KERNEL_LINE]);
        let share = self.kernel.modules();
        // QEMU reads a doubled comma as one.
        let share = share.to_string_lossy().replace(',', ",,");
        command.arg("-fsdev");
        command.arg(format!("local,id=modules,security_model=none,readonly=on,path={share}"));
        command.args(["-device", "virtio-9p-pci,fsdev=modules,mount_tag=modules"]);
        for number in 0..self.pfs {
            cable(command, self.number, number);
        }
    }

    fn socket(command: &mut Command, name: &str, channel: &Channel) {
        command.arg("-chardev").arg(format!("socket,id={name},fd={}", channel.fd()));
    }

    fn port(command: &mut Command, name: &str, channel: &Channel) {
        Self::socket(command, name, channel);
        command.arg("-device").arg(format!("virtserialport,chardev={name},name={name}"));
    }
}

/// A card and the switch port at the other end of its cable.
fn cable(command: &mut Command, machine: u8, number: u8) {
    let slot = number + 1;
    let mut arg = |option: &str, value: String| {
        command.arg(option).arg(value);
    };
    // A hub with two ends is a cable.
    arg("-netdev", format!("hubport,id=pf{number},hubid={number}"));
    arg("-netdev", format!("hubport,id=sw{number},hubid={number}"));
    // An igb makes VFs only below a PCIe root port. One for each card: the cards are then as
    // independent as two in a real machine. Without a romfile no boot ROM is run, which takes long.
    arg("-device", format!("pcie-root-port,id=slot{slot},chassis={slot},slot={slot}"));
    let mac = format!("52:54:{machine:02x}:70:66:{number:02x}");
    arg("-device", format!("igb,bus=slot{slot},netdev=pf{number},mac={mac},romfile="));
    // 802.3ad builds no aggregator of ports that have no speed, and a virtio card has none unless
    // it is given one.
    let mac = format!("52:54:{machine:02x}:73:77:{number:02x}");
    let link = "speed=1000,duplex=full";
    arg("-device", format!("virtio-net-pci,netdev=sw{number},mac={mac},{link},romfile="));
}

/// A machine of the lab that another program adds to, starts and watches.
pub struct Machine {
    command: Command,
    /// Open until the machine is started, which inherits it.
    _initramfs: Initramfs,
}

impl Machine {
    /// `command` has been given its hardware, `initramfs` among it.
    pub(crate) fn new(command: Command, initramfs: Initramfs) -> Self {
        Self { command, _initramfs: initramfs }
    }

    /// Returns QEMU's command line, to be added to. The cable of PF k is the hub of number k.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts the machine. It ends with the calling thread.
    pub fn start(mut self) -> Result<Child, Error> {
        let child = self.command.spawn();
        child.map_err(|source| Error::NoProgram { program: "setpriv".into(), source })
    }
}

/// What the guest and its streams report.
enum Event {
    Up,
    Exit(u8),
    StreamEnd(io::Result<End>),
    ControlClosed,
}

/// The user's side of a command in the guest.
pub(crate) struct Streams<'a> {
    pub(crate) stdin: Stdin,
    pub(crate) stdout: &'a mut (dyn Write + Send),
    pub(crate) stderr: &'a mut (dyn Write + Send),
}

/// What a command in the guest reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Empty,
    /// This process's standard input.
    Inherited,
}

/// Where the guest's console goes besides the message about a machine that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Console {
    /// Nowhere.
    #[default]
    Hidden,
    /// To standard error.
    Shown,
}

/// Runs the guest's command to its end. `qemu` is a command without arguments for hardware yet.
pub(crate) fn run(
    mut qemu: Command,
    hardware: &Hardware<'_>,
    console: Console,
    end: &str,
    streams: Streams<'_>,
    limit: Option<Duration>,
) -> Result<u8, Error> {
    let open = || Channel::open().file("open", "a channel to the virtual machine");
    let [serial, control, stdin, stdout, stderr] = [open()?, open()?, open()?, open()?, open()?];
    hardware.args(&mut qemu);
    Hardware::socket(&mut qemu, "serial", &serial);
    qemu.args(["-serial", "chardev:serial", "-device", "virtio-serial-pci"]);
    for (name, channel) in
        [("control", &control), ("stdin", &stdin), ("stdout", &stdout), ("stderr", &stderr)]
    {
        Hardware::port(&mut qemu, name, channel);
    }
    let (machine, tail) = (start(qemu)?, Mutex::new(Tail::default()));
    let (serial, control) = (serial.into_ours(), control.into_ours());
    let (stdout, stderr) = (stdout.into_ours(), stderr.into_ours());
    feed(streams.stdin, stdin.into_ours());
    let (send, events) = channel();
    thread::scope(|scope| {
        let watched = watch(scope, machine, serial, control, &tail, console, &send);
        for (from, to) in [(stdout, streams.stdout), (stderr, streams.stderr)] {
            let send = send.clone();
            scope.spawn(move || send.send(Event::StreamEnd(copy(from, to, end))));
        }
        // The machine ends here, by the drop: the threads then read the end of their streams.
        let _machine = watched;
        converse(&events, limit, 2)
    })
    .map_err(|error| error.with_console(&tail))
}

/// Joins the calling terminal to a shell in the guest.
pub(crate) fn shell(
    mut qemu: Command,
    hardware: &Hardware<'_>,
    console: Console,
    terminal_out: &mut (dyn Write + Send),
) -> Result<u8, Error> {
    let open = || Channel::open().file("open", "a channel to the virtual machine");
    let [serial, control, terminal] = [open()?, open()?, open()?];
    hardware.args(&mut qemu);
    Hardware::socket(&mut qemu, "serial", &serial);
    qemu.args(["-serial", "chardev:serial", "-device", "virtio-serial-pci"]);
    Hardware::port(&mut qemu, "control", &control);
    Hardware::socket(&mut qemu, "terminal", &terminal);
    qemu.args(["-device", "virtconsole,chardev=terminal"]);
    let (machine, tail) = (start(qemu)?, Mutex::new(Tail::default()));
    let (serial, control, terminal) =
        (serial.into_ours(), control.into_ours(), terminal.into_ours());
    let input = terminal.try_clone().file("share", "the terminal's channel")?;
    feed(Stdin::Inherited, input);
    let (send, events) = channel();
    thread::scope(|scope| {
        let watched = watch(scope, machine, serial, control, &tail, console, &send);
        scope.spawn(move || {
            // A terminal that is gone ends the session by the shell's own end of input.
            let _ = copy(terminal, terminal_out, "no marker in a terminal");
        });
        let _machine = watched;
        converse(&events, None, 0)
    })
    .map_err(|error| error.with_console(&tail))
}

fn start(mut qemu: Command) -> Result<Reaped, Error> {
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = qemu.spawn();
    let child = child.map_err(|source| Error::NoProgram { program: "setpriv".into(), source })?;
    Ok(Reaped(child))
}

/// A child that does not outlive its owner.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only for a child that is gone, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads console, QEMU's own messages and the guest's reports in threads of `scope`.
fn watch<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    mut machine: Reaped,
    serial: UnixStream,
    control: UnixStream,
    tail: &'env Mutex<Tail>,
    console: Console,
    send: &Sender<Event>,
) -> Reaped {
    scope.spawn(move || drain(serial, tail, console));
    if let Some(messages) = machine.0.stderr.take() {
        scope.spawn(move || drain(messages, tail, console));
    }
    let send = send.clone();
    scope.spawn(move || {
        for line in BufReader::new(control).lines().map_while(Result::ok) {
            let event = match line.split_once(' ') {
                Some(("exit", status)) => status.parse().ok().map(Event::Exit),
                _ => (line == "up").then_some(Event::Up),
            };
            if event.is_some_and(|event| send.send(event).is_err()) {
                return;
            }
        }
        let _ = send.send(Event::ControlClosed);
    });
    machine
}

fn drain(mut from: impl Read, tail: &Mutex<Tail>, console: Console) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        tail.lock().unwrap_or_else(PoisonError::into_inner).extend(&buffer[..read]);
        if console == Console::Shown {
            let _ = io::stderr().write_all(&buffer[..read]);
        }
    }
}

/// Waits for what the guest has to report, in its order and within the limits.
fn converse(
    events: &Receiver<Event>,
    limit: Option<Duration>,
    streams: usize,
) -> Result<u8, Error> {
    // Over a century stands for "no limit".
    const NO_LIMIT: Duration = Duration::from_secs(1 << 32);
    let failed = |what: String| Error::Machine { what, console: String::new() };
    let died = || failed("the virtual machine ended before the command did".into());
    let mut deadline = Instant::now() + BOOT_LIMIT;
    let mut up = false;
    let mut status = None;
    let mut open_streams = streams;
    loop {
        if let (Some(status), 0) = (status, open_streams) {
            return Ok(status);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Up) => {
                up = true;
                deadline = Instant::now() + limit.unwrap_or(NO_LIMIT);
            }
            Ok(Event::Exit(code)) => {
                status = Some(code);
                deadline = Instant::now() + DRAIN_LIMIT;
            }
            Ok(Event::StreamEnd(Ok(End::Marked))) => open_streams -= 1,
            Ok(Event::StreamEnd(Err(source))) => {
                let path = "the command's output".into();
                return Err(Error::File { what: "write", path, source });
            }
            Ok(Event::StreamEnd(Ok(End::Lost)) | Event::ControlClosed) => return Err(died()),
            Err(_) if status.is_some() => return Err(died()),
            Err(_) if up => return Err(Error::TimeLimit { limit: limit.unwrap_or(NO_LIMIT) }),
            Err(_) => {
                let limit = BOOT_LIMIT.as_secs();
                return Err(failed(format!(
                    "the virtual machine did not come up within {limit} s"
                )));
            }
        }
    }
}

impl Error {
    /// Adds the end of the console, complete once the machine is gone and its threads are joined.
    fn with_console(mut self, tail: &Mutex<Tail>) -> Self {
        if let Self::Machine { console, .. } = &mut self {
            *console = tail.lock().unwrap_or_else(PoisonError::into_inner).text();
        }
        self
    }
}

/// Feeds the guest in a thread that nobody waits for: it may be blocked in reading for ever.
fn feed(stdin: Stdin, mut to: UnixStream) {
    if stdin == Stdin::Empty {
        // Not closed: QEMU would take that for a hang-up before the guest had opened its end.
        let _ = to.shutdown(std::net::Shutdown::Write);
    }
    thread::spawn(move || {
        if stdin == Stdin::Inherited {
            let _ = io::copy(&mut io::stdin(), &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        }
        // Held open until QEMU closes its end.
        let _ = to.read(&mut [0]);
    });
}
