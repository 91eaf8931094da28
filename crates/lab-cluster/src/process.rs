//! Programs of the cluster: run to their end, or kept running with their output in a log.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use podbond_lab::Progress;

use crate::error::{Error, FileContext};

/// How much of a log an error quotes.
const QUOTED_LINES: usize = 25;

/// Where the end of a log is looked for.
const TAIL_BYTES: u64 = 16 * 1024;

/// Between two looks at a program that runs.
const PACE: Duration = Duration::from_millis(100);

/// Runs a program to its end and returns its standard output.
pub(crate) fn output(command: &mut Command, doing: &str) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(cannot_start(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Program { doing: doing.into(), status: output.status, said });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program to its end with `input` as its standard input.
pub(crate) fn feed(command: &mut Command, doing: &str, input: &str) -> Result<(), Error> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot_start(command))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that reads no further says why itself.
        let _ = io::Write::write_all(&mut stdin, input.as_bytes());
    }
    let output = child.wait_with_output().file("wait for", doing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Program { doing: doing.into(), status: output.status, said })
}

/// Runs a program that takes minutes; what it says is shown, and every two seconds for how long it runs.
pub(crate) fn run_long(
    command: &mut Command,
    doing: &str,
    progress: &Progress,
) -> Result<(), Error> {
    let began = Instant::now();
    progress.begin(doing);
    let mut child = command.stdin(Stdio::null()).spawn().map_err(cannot_start(command))?;
    loop {
        if let Some(status) = child.try_wait().file("wait for", doing)? {
            let failed = || Error::Program { doing: doing.into(), status, said: String::new() };
            return if status.success() { Ok(()) } else { Err(failed()) };
        }
        progress.advance(format_args!("{doing}: {} s", began.elapsed().as_secs()));
        thread::sleep(PACE);
    }
}

/// Returns what turns the system's answer into an error that names the program.
pub(crate) fn cannot_start(command: &Command) -> impl FnOnce(io::Error) -> Error + use<> {
    let program = command.get_program().to_string_lossy().into_owned();
    move |source| Error::Start { program, source }
}

/// A program that runs as long as the cluster.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) name: String,
    child: Child,
    log: PathBuf,
}

impl Component {
    /// Starts it, with all that it says in the file `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: PathBuf) -> Result<Self, Error> {
        let file = File::create(&log).file("make", &log)?;
        let errors = file.try_clone().file("share", &log)?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().map_err(cannot_start(&command))?;
        Ok(Self { name: name.into(), child, log })
    }

    /// Takes over a program that was started; `log` is the file that tells most.
    pub(crate) fn started(name: &str, child: Child, log: PathBuf) -> Self {
        Self { name: name.into(), child, log }
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let Some(status) = self.child.try_wait().file("wait for", &self.name)? else {
            return Ok(());
        };
        let (name, log) = (self.name.clone(), self.log.clone());
        Err(Error::Ended { name, status, tail: tail(&log), log })
    }
}

/// Returns the last lines of a log; what cannot be read is said in their place.
pub(crate) fn tail(log: &Path) -> String {
    read_end(log).unwrap_or_else(|error| format!("(cannot read it: {error})"))
}

fn read_end(log: &Path) -> io::Result<String> {
    let mut file = fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(last_lines(&String::from_utf8_lossy(&bytes)))
}

/// Returns the last lines that are not empty, without the control characters of a console.
fn last_lines(text: &str) -> String {
    let visible = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let lines: Vec<String> =
        text.lines().map(visible).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_quotes_the_end_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "for i in $(seq 100); do echo line $i; done; echo; exit 3"]);
        let mut component = Component::start("it", command, log.clone()).unwrap();
        let error = loop {
            match component.check() {
                Ok(()) => thread::sleep(PACE),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.starts_with("it ended (exit status: 3); "), "{error}");
        assert!(error.ends_with("line 99\nline 100") && !error.contains("line 75\n"), "{error}");
        assert!(error.contains("line 76\n"), "{error}");
    }

    #[test]
    fn console_is_quoted_without_control_characters() {
        assert_eq!(last_lines("a\r\n\n\u{1b}[0mb\r\n"), "a\n[0mb");
    }
}
