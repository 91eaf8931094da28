//! Runs a program with bounded output and time, without blocking on any of its pipes.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;

/// How much of a plugin's standard output is read: more is no result.
const MAX_STDOUT: usize = 1 << 20;

/// How much of a plugin's standard error is kept for the person who waits.
const MAX_STDERR: usize = 16 << 10;

/// How long a plugin may take: longer than kubelet waits for all plugins of a pod, four minutes. Without a limit
/// one that waits for ever, as for a server of a tenant's, would keep `podbond gc` from all that comes after it.
const TIMEOUT: Duration = Duration::from_mins(5);

/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// What a program that has ended wrote.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    /// An error where it cannot be read, is longer than a result may be, or is not all there as the program had
    /// to be killed.
    pub(crate) stdout: io::Result<Vec<u8>>,
    /// Its first 16 KiB.
    pub(crate) stderr: String,
}

/// Runs a program to its end, or to the deadline, if there is one; an error says that it cannot be started.
/// Variables without a value are removed from its environment, the others of this process are passed on.
pub(crate) fn run(
    program: &Path,
    variables: &[(&str, Option<OsString>)],
    stdin: &[u8],
    deadline: Option<Instant>,
) -> io::Result<Output> {
    let mut command = Command::new(program);
    for (key, value) in variables {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    run_within(left.unwrap_or(TIMEOUT).min(TIMEOUT), &mut command, stdin)
}

fn run_within(timeout: Duration, command: &mut Command, stdin: &[u8]) -> io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command)?;
    let deadline = Instant::now() + timeout;
    let mut pipes = Pipes::of(&mut child, stdin);
    let mut exchanged = match pipes.exchange(deadline) {
        // What a program that has ended left running may hold its pipes.
        Ok(End::Late) if child.try_wait()?.is_none() => Err(too_late(timeout)),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    let Pipes { output, errors, .. } = pipes;
    if exchanged.is_ok() && !ends_before(deadline, &mut child)? {
        exchanged = Err(too_late(timeout));
    }
    if exchanged.is_err() {
        // It may go on for ever; it has ended if this fails.
        let _ = child.kill();
    }
    let status = child.wait()?;
    let stderr = String::from_utf8_lossy(&errors).trim().to_owned();
    Ok(Output { status, stdout: exchanged.map(|()| output), stderr })
}

/// Starts the program, and waits up to 2 s for one that is being written at this moment.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..40 {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(50));
            }
            outcome => return outcome,
        }
    }
    command.spawn()
}

fn too_late(timeout: Duration) -> io::Error {
    let seconds = timeout.as_secs_f64();
    io::Error::other(format!("it did not end within {seconds:.1} s, and was killed"))
}

/// Waits for a program that has closed its pipes. Returns false where it goes on.
fn ends_before(deadline: Instant, child: &mut Child) -> io::Result<bool> {
    let mut interval = Duration::from_micros(100);
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(interval);
        interval = (2 * interval).min(Duration::from_millis(16));
    }
    Ok(true)
}

/// How an exchange with a program ended that was not broken off.
enum End {
    /// The program has closed what it writes to.
    Closed,
    /// It had not at the deadline.
    Late,
}

/// The pipes of a program. None once they are closed.
struct Pipes<'s> {
    stdin: Option<ChildStdin>,
    /// What is still to be written.
    input: &'s [u8],
    stdout: Option<ChildStdout>,
    output: Vec<u8>,
    stderr: Option<ChildStderr>,
    errors: Vec<u8>,
}

impl<'s> Pipes<'s> {
    fn of(child: &mut Child, input: &'s [u8]) -> Self {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Self { stdin, input, stdout, output: Vec::new(), stderr, errors: Vec::new() }
    }

    /// Writes the program's input and reads its output until it closes that. All at once: a program may fill
    /// one pipe before it looks at another.
    fn exchange(&mut self, deadline: Instant) -> io::Result<End> {
        // A write that does not fit must not wait; a read is made when there is something.
        if let Some(stdin) = &self.stdin {
            ioctl_fionbio(stdin, true)?;
        }
        while self.stdout.is_some() || self.stderr.is_some() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Ok(End::Late);
            };
            let [stdin, stdout, stderr] = self.wait(left)?;
            if stdin {
                self.write();
            }
            if stdout && fill(&mut self.stdout, &mut self.output, MAX_STDOUT)? == Limit::Passed {
                let problem = format!("it wrote more than {MAX_STDOUT} bytes to standard output");
                return Err(io::Error::other(problem));
            }
            if stderr {
                // What is beyond the limit is read, so that the writer never blocks, and dropped.
                fill(&mut self.stderr, &mut self.errors, MAX_STDERR)?;
            }
        }
        Ok(End::Closed)
    }

    /// Waits until a pipe can be used, at most this long. Returns which.
    fn wait(&self, left: Duration) -> io::Result<[bool; 3]> {
        let (stdin, stdout, stderr) = (
            self.stdin.as_ref().map(AsFd::as_fd),
            self.stdout.as_ref().map(AsFd::as_fd),
            self.stderr.as_ref().map(AsFd::as_fd),
        );
        let all = [(stdin, PollFlags::OUT), (stdout, PollFlags::IN), (stderr, PollFlags::IN)];
        let open = all.into_iter().filter_map(|(fd, flags)| Some((fd?, flags)));
        let mut fds: Vec<PollFd<'_>> =
            open.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        let limit = Timespec::try_from(left).ok();
        match poll(&mut fds, limit.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok([false; 3]),
            polled => polled?,
        };
        let mut polled = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok(all.map(|(fd, _)| fd.is_some() && polled.next().unwrap_or(false)))
    }

    /// Writes what the program takes of its input, and closes it after all of it. A program that does not
    /// read its input is not thereby wrong.
    fn write(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(self.input) {
            Ok(written) if written < self.input.len() => self.input = &self.input[written..],
            Err(error) if is_to_be_tried_again(&error) => {}
            Ok(_) | Err(_) => self.stdin = None,
        }
    }
}

/// Whether more was read than is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Kept,
    Passed,
}

/// Reads once from a pipe that has something, or is at its end, and is closed then. No more than `max` bytes
/// are kept.
fn fill<R: Read>(pipe: &mut Option<R>, kept: &mut Vec<u8>, max: usize) -> io::Result<Limit> {
    let mut chunk = [0; CHUNK];
    let Some(reader) = pipe else { return Ok(Limit::Kept) };
    let length = match reader.read(&mut chunk) {
        Err(error) if is_to_be_tried_again(&error) => return Ok(Limit::Kept),
        read => read?,
    };
    if length == 0 {
        *pipe = None;
    }
    let room = max - kept.len();
    kept.extend_from_slice(&chunk[..length.min(room)]);
    Ok(if length > room { Limit::Passed } else { Limit::Kept })
}

fn is_to_be_tried_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: u64, script: &str) -> (Output, Duration) {
        let start = Instant::now();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        let input = vec![b'x'; 300_000];
        let output = run_within(Duration::from_secs(seconds), &mut command, &input).unwrap();
        (output, start.elapsed())
    }

    /// Promise: input-limits
    #[test]
    fn program_that_does_not_end_is_killed() {
        for script in
            ["exec sleep 100", "exec >&- 2>&-; sleep 100", "yes >&2", "cat >/dev/null; sleep 100"]
        {
            let (output, took) = run(1, script);
            let error = output.stdout.unwrap_err().to_string();
            assert_eq!(error, "it did not end within 1.0 s, and was killed", "{script}");
            assert!(took < Duration::from_secs(20), "{script}: {took:?}");
        }
    }

    #[test]
    fn what_a_program_left_running_is_not_waited_for() {
        let (output, took) = run(1, "sleep 30 & echo result; echo error >&2; exit 3");
        assert_eq!(output.stdout.unwrap(), b"result\n");
        assert_eq!((output.status.code(), output.stderr.as_str()), (Some(3), "error"));
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn input_and_output_are_whole() {
        let (output, _) = run(60, "tee /dev/stderr");
        assert_eq!(output.stdout.unwrap(), vec![b'x'; 300_000]);
        assert_eq!(output.stderr.len(), MAX_STDERR);
    }
}
