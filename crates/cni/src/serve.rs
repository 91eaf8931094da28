//! A CNI plugin as a process: standard input and output, the VERSION answer, exit status, panics.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::panic::{self, PanicHookInfo};
use std::process::{self, ExitCode};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::version_of;
use crate::config::decode;
use crate::delegate::Call;
use crate::error::WireError;
use crate::shown::{json_text, print_error_line};
use crate::{Code, Delegates, Failure, Journal, Operation, Plugin, Subject, Version};

/// Runs one plugin as a process: environment and standard input to a request, the answer on
/// standard output, exit status 0 or 1.
///
/// Without `CNI_COMMAND` it says on standard error what this is, with exit status 1.
pub fn serve(plugin: &dyn Plugin, delegates: &Delegates<'_>) -> ExitCode {
    let Some(command) = env("CNI_COMMAND") else {
        usage(plugin.name()).lines().for_each(print_error_line);
        return ExitCode::FAILURE;
    };
    // Answered first: a runtime asks every plugin, before anything else can be right.
    if command == "VERSION" {
        return print(&version_answer(&stdin_at_hand()), ExitCode::SUCCESS);
    }
    answer_panics(plugin.name(), delegates.journal());
    let mut stdin = Vec::new();
    let call = Call::read(&command, env, io::stdin().lock(), &mut stdin);
    let subject = match &call {
        Ok(call) => call.subject(plugin.name(), None),
        Err(_) => Subject::of_malformed(plugin.name(), env, &stdin),
    };
    match delegates.noted(&subject, || call?.serve(plugin, delegates)) {
        Ok(Some(result)) => print(&result, ExitCode::SUCCESS),
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => print(&WireError::new(&failure, version_in(&stdin)), ExitCode::FAILURE),
    }
}

/// Returns a variable of the environment; none where it is empty.
fn env(key: &str) -> Option<String> {
    let value = std::env::var_os(key)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.is_empty())
}

/// From here on a panic is answered like any other error, since a runtime shows what is on standard
/// output to the person who waits, with exit status 1. What ADD has done until then is undone by the
/// DEL that a runtime sends after a failed ADD.
fn answer_panics(plugin: &'static str, journal: Option<&'static dyn Journal>) {
    let start = Instant::now();
    panic::set_hook(Box::new(move |panic| {
        let failure = defect(panic);
        if let Some(journal) = journal {
            let subject = Subject::of_malformed(plugin, env, b"");
            let outcome = Err(&failure);
            journal.note(&Operation { subject: &subject, duration: start.elapsed(), outcome });
        }
        print(&WireError::new(&failure, Version::NEWEST), ExitCode::FAILURE);
        exit();
    }));
}

/// Returns the answer to a panic: what a panic displays is "panicked at", the place, and in a second
/// line the reason.
fn defect(panic: &PanicHookInfo<'_>) -> Failure {
    let what = panic.to_string().replace('\n', " ");
    Failure::new(Code::DEFECT, format_args!("podbond is at fault: {what}: report it"))
}

#[expect(clippy::disallowed_methods, reason = "there is no way back from a panic to main")]
fn exit() -> ! {
    process::exit(1)
}

/// Returns the version of the configuration on standard input, or the newest where that has none that
/// podbond speaks.
fn version_in(stdin: &[u8]) -> Version {
    decode(stdin).ok().and_then(|raw| version_of(&raw)).unwrap_or(Version::NEWEST)
}

/// "cniVersion: The value of cniVersion specified on input" (section "VERSION Success").
fn version_answer(stdin: &[u8]) -> Value {
    json!({
        "cniVersion": version_in(stdin).as_str(),
        "supportedVersions": Version::ALL.map(Version::as_str),
    })
}

/// Returns what is on standard input within 100 ms. A person who asks for the version writes nothing
/// there, and does not wait for it.
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

/// Writes an answer, and returns `code`. That it cannot be written is a failure, as the caller has none.
fn print(answer: &impl Serialize, code: ExitCode) -> ExitCode {
    let text = json_text(answer).unwrap_or_default();
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_answer_repeats_the_asked_version() {
        let answer = version_answer(br#"{"cniVersion":"0.4.0"}"#);
        assert_eq!(answer["cniVersion"], "0.4.0");
        assert_eq!(
            answer["supportedVersions"],
            json!(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
        );
    }

    #[test]
    fn version_answer_is_newest_without_known_version() {
        for stdin in ["", "garbage", "{}", r#"{"cniVersion":"9.0.0"}"#] {
            assert_eq!(version_answer(stdin.as_bytes())["cniVersion"], "1.1.0", "{stdin}");
        }
    }

    #[test]
    fn usage_names_plugin_and_versions() {
        let text = usage("bond");
        assert!(text.starts_with("CNI plugin bond of podbond 0."), "{text}");
        assert!(text.contains("0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"), "{text}");
    }
}
