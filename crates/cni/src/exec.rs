//! Runs a program with bounded output, without blocking on any of its pipes.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How much of a plugin's standard output is read: more is no result.
const MAX_STDOUT: u64 = 1 << 20;

/// How much of a plugin's standard error is kept for the person who waits.
const MAX_STDERR: u64 = 16 << 10;

/// What a program that has ended wrote.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    /// An error where it cannot be read, or is longer than a result may be.
    pub(crate) stdout: io::Result<Vec<u8>>,
    /// Its first 16 KiB.
    pub(crate) stderr: String,
}

/// Runs a program to its end; an error says that it cannot be started. Variables without a value are
/// removed from its environment, the others of this process are passed on.
pub(crate) fn run(
    program: &Path,
    variables: &[(&str, Option<OsString>)],
    stdin: &[u8],
) -> io::Result<Output> {
    let mut command = Command::new(program);
    for (key, value) in variables {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command)?;
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    // All three at once: a program may fill one pipe before it looks at another.
    let (stdout, stderr) = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read its input is not thereby wrong.
            input.map(|mut input| input.write_all(stdin))
        });
        let stderr = scope.spawn(move || errors.map(drain).unwrap_or_default());
        let stdout = read_stdout(&mut child);
        if stdout.is_err() {
            // It may go on for ever, and with it its standard error; it has ended if this fails.
            let _ = child.kill();
        }
        (stdout, stderr.join().unwrap_or_default())
    });
    let status = child.wait()?;
    Ok(Output { status, stdout, stderr })
}

/// Starts the program, and waits up to 2 s for one that is being written at this moment.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..40 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(50));
            }
            outcome => return outcome,
        }
    }
    command.spawn()
}

fn read_stdout(child: &mut Child) -> io::Result<Vec<u8>> {
    let mut stdout = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(MAX_STDOUT + 1).read_to_end(&mut stdout)?;
    }
    if stdout.len() as u64 > MAX_STDOUT {
        let problem = format!("it wrote more than {MAX_STDOUT} bytes to standard output");
        return Err(io::Error::other(problem));
    }
    Ok(stdout)
}

/// Reads a pipe to its end and returns the first [`MAX_STDERR`] bytes, so that the writer never blocks.
fn drain(mut pipe: impl Read) -> String {
    let mut kept = Vec::new();
    let mut start = pipe.by_ref().take(MAX_STDERR);
    if start.read_to_end(&mut kept).is_ok() {
        // An error here loses only what would be dropped.
        let _ = io::copy(&mut pipe, &mut io::sink());
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
