use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::panic::{self, PanicHookInfo};
use std::process::{self, ExitCode};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::{Call, Environment, version_of};
use crate::config::{MAX_BYTES, decode};
use crate::error::WireError;
use crate::{Code, Delegates, Failure, Journal, Operation, Plugin, Subject, Version};

/// Runs one plugin as a process: environment and standard input to a request, the answer on
/// standard output, exit status 0 or 1.
///
/// Without `CNI_COMMAND` a person is told on standard error what this is, with exit status 1.
pub fn serve(plugin: &dyn Plugin, delegates: &Delegates<'_>) -> ExitCode {
    match env("CNI_COMMAND").as_deref() {
        None => {
            // Nothing is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "{}", usage(plugin.name()));
            return ExitCode::FAILURE;
        }
        // Answered first: a runtime asks every plugin, before anything else can be right.
        Some("VERSION") => return print(&version_answer(&stdin_at_hand()), ExitCode::SUCCESS),
        Some(_) => answer_panics(plugin.name(), delegates.journal()),
    }
    let mut stdin = Vec::new();
    let call = Environment::read(env).and_then(|environment| {
        let limit = MAX_BYTES as u64 + 1;
        io::stdin().lock().take(limit).read_to_end(&mut stdin).map_err(|error| {
            Failure::new(Code::Io, format!("standard input cannot be read: {error}"))
        })?;
        environment.call(&stdin)
    });
    let subject = || match &call {
        Ok(call) => call.subject(plugin.name()),
        Err(_) => Subject::of_malformed(plugin.name(), env, &stdin),
    };
    let answer = delegates.noted(subject, || match &call {
        Ok(call) => run(plugin, delegates, call),
        Err(failure) => Err(failure.clone()),
    });
    match answer {
        Ok(Some(result)) => print(&result, ExitCode::SUCCESS),
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => {
            let version = decode(&stdin).ok().and_then(|raw| version_of(&raw));
            let error = WireError::new(failure, version.unwrap_or(Version::NEWEST));
            print(&error, ExitCode::FAILURE)
        }
    }
}

/// A variable of the environment; one that is empty is none.
fn env(key: &str) -> Option<String> {
    let value = std::env::var_os(key)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.is_empty())
}

/// From here on a defect of ours is told like any other error, since a runtime shows the person who
/// waits what is on standard output, and ends the process with exit status 1. What ADD had done by
/// then is undone by the DEL with which a runtime answers a failed ADD.
fn answer_panics(plugin: &'static str, journal: Option<&'static dyn Journal>) {
    let start = Instant::now();
    panic::set_hook(Box::new(move |panic| {
        let failure = defect(panic);
        if let Some(journal) = journal {
            let subject = Subject::of_malformed(plugin, env, b"");
            let outcome = Err(&failure);
            journal.note(&Operation { subject: &subject, duration: start.elapsed(), outcome });
        }
        print(&WireError::new(failure, Version::NEWEST), ExitCode::FAILURE);
        exit();
    }));
}

/// "panicked at", the place, and in a second line the reason.
fn defect(panic: &PanicHookInfo<'_>) -> Failure {
    let what = panic.to_string().replace('\n', " ");
    Failure::new(Code::DEFECT, format_args!("podbond is at fault: {what}: report it"))
}

#[expect(clippy::disallowed_methods, reason = "there is no way back from a panic to main")]
fn exit() -> ! {
    process::exit(1)
}

/// Calls the plugin; gives what it answers on standard output, if anything.
fn run(
    plugin: &dyn Plugin,
    delegates: &Delegates<'_>,
    call: &Call,
) -> Result<Option<Value>, Failure> {
    match call {
        Call::Add(request) => {
            let result = plugin.add(request, delegates)?;
            return Ok(Some(result.to_value(request.config.version)));
        }
        Call::Del(request) => plugin.del(request, delegates)?,
        Call::Check(request) => plugin.check(request, delegates)?,
        Call::Status(request) => plugin.status(request, delegates)?,
        Call::Gc(request) => plugin.gc(request, delegates)?,
    }
    Ok(None)
}

/// "cniVersion: The value of cniVersion specified on input" (section "VERSION Success"), or the
/// newest where there was none that podbond speaks.
fn version_answer(stdin: &[u8]) -> Value {
    let asked = decode(stdin).ok().and_then(|raw| version_of(&raw)).unwrap_or(Version::NEWEST);
    json!({
        "cniVersion": asked.as_str(),
        "supportedVersions": Version::ALL.map(Version::as_str),
    })
}

/// What is on standard input within 100 ms. A person who asks for the version writes nothing
/// there, and is not to wait for it.
fn stdin_at_hand() -> Vec<u8> {
    let stdin = io::stdin();
    let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
    let limit = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut buffer = vec![0; 4096];
    let length = match poll(&mut fds, Some(&limit)) {
        Ok(1..) => stdin.lock().read(&mut buffer).unwrap_or(0),
        _ => 0,
    };
    buffer.truncate(length);
    buffer
}

fn usage(plugin: &str) -> String {
    let versions = Version::ALL.map(Version::as_str).join(", ");
    format!(
        "CNI plugin {plugin} of podbond {}\nCNI versions supported: {versions}\n\
         It is called by a container runtime, with CNI_COMMAND and the other CNI_ variables in \
         its environment and a network configuration on standard input",
        env!("CARGO_PKG_VERSION")
    )
}

/// Writes an answer. When it cannot be written, the caller has no answer: that is a failure.
fn print(answer: &impl Serialize, code: ExitCode) -> ExitCode {
    let mut text = serde_json::to_string_pretty(answer).unwrap_or_default();
    text.push('\n');
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_was_asked_with_is_answered() {
        let answer = version_answer(br#"{"cniVersion":"0.4.0"}"#);
        assert_eq!(answer["cniVersion"], "0.4.0");
        assert_eq!(
            answer["supportedVersions"],
            json!(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
        );
    }

    #[test]
    fn without_a_version_that_is_spoken_the_newest_is_answered() {
        for stdin in ["", "garbage", "{}", r#"{"cniVersion":"9.0.0"}"#] {
            assert_eq!(version_answer(stdin.as_bytes())["cniVersion"], "1.1.0", "{stdin}");
        }
    }

    #[test]
    fn a_person_is_told_name_and_versions() {
        let text = usage("bond");
        assert!(text.starts_with("CNI plugin bond of podbond 0."), "{text}");
        assert!(text.contains("0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"), "{text}");
    }
}
