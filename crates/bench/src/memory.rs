//! The memory of a process, which its parent must not blur.
//!
//! Between fork and exec a process has its parent's memory, and the kernel counts the peak of that
//! as its own (`exec_mmap` keeps it). So the process is started by one that has hardly any: this
//! program once more, before it does anything else.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use wait4::Wait4;

use crate::error::Error;
use crate::process::Process;

/// As the first argument: start what follows, and print what memory it had.
pub(crate) const WORD: &str = "peak-memory-of";

/// The most memory of a process and its descendants at once, each alone, in kB.
pub(crate) fn peak_kb(process: &Process, itself: &Path) -> Result<u64, Error> {
    let (_, printed) = process.under([itself.as_os_str(), WORD.as_ref()]).run_and_read()?;
    printed.trim().parse().map_err(|_| Error::Refused { what: WORD.to_owned(), why: printed })
}

/// Runs a command with this process's input and gives its peak on standard output.
pub(crate) fn start(mut command: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = command.next() else { return ExitCode::FAILURE };
    let mut process = std::process::Command::new(program);
    process.args(command).stdout(std::process::Stdio::null());
    match process.spawn().and_then(Wait4::wait4) {
        Ok(end) if end.status.success() => {
            println!("{}", end.rusage.maxrss / 1024);
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_told_by_the_status() {
        let run = |program: &str| format!("{:?}", start([OsString::from(program)].into_iter()));
        assert_eq!(run("/bin/true"), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(run("/bin/false"), format!("{:?}", ExitCode::FAILURE));
    }
}
