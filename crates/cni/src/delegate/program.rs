//! Calls of a CNI plugin that is a program of its own (section "Delegated plugin execution procedure").

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::{Call, FailedAdd};
use crate::config::PREV_RESULT;
use crate::error::WireError;
use crate::exec;
use crate::go_json::set_field;
use crate::shown::print_error_line;
use crate::{CniResult, Code, Failure, NetConf, Request, Version};

/// How much of what a program printed instead of an answer goes into an error, in characters.
const MAX_PRINTED: usize = 1000;

/// ADD by a program.
pub(super) fn add(
    program: &Path,
    request: &Request,
    deadline: Option<Instant>,
) -> Result<CniResult, FailedAdd> {
    let NetConf { plugin, version, .. } = &request.config;
    // One that cannot be started has nothing to remove.
    let output = run(program, &Call::Add(Cow::Borrowed(request)), deadline)?;
    let cause = match result(plugin, *version, &output) {
        Err(cause) => cause,
        Ok(result) => return Ok(result),
    };
    // "If, on ADD, a delegated plugin fails, the "upper" plugin should execute again with DEL
    // before returning failure" (section "Delegated plugin execution procedure").
    let del = call(program, &Call::Del(Cow::Borrowed(request)), deadline);
    let Err(del) = del else { return Err(cause.into()) };
    let separator = if cause.details.is_empty() { "" } else { "; " };
    let details = format!("{}{separator}and its DEL failed: {del}", cause.details);
    let needs_del = !is_refusal(cause.code) && del.code != Code::CONTAINER_UNKNOWN;
    let failed_del = Some(del).filter(|_| needs_del);
    Err(FailedAdd { cause: cause.with_details(details), failed_del })
}

/// A call of a program that answers nothing: any but ADD.
pub(super) fn call(
    program: &Path,
    call: &Call<'_>,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    let output = run(program, call, deadline)?;
    let (config, _) = call.config_and_path();
    success(&config.plugin, &output).map(drop)
}

/// Returns true for the codes with which a plugin says that it has not begun, or that there is
/// nothing to clean up.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::INCOMPATIBLE_VERSION
            | Code::UNSUPPORTED_FIELD
            | Code::CONTAINER_UNKNOWN
            | Code::INVALID_ENVIRONMENT
            | Code::INVALID_CONFIG
    )
}

/// Runs a program as a plugin, to its end. Its environment is that of section "Parameters": without
/// an attachment it has none of an attachment's variables, not even those of our own environment.
fn run(
    program: &Path,
    call: &Call<'_>,
    deadline: Option<Instant>,
) -> Result<exec::Output, Failure> {
    let (attachment, (config, path)) = (call.attachment(), call.config_and_path());
    let path = std::env::join_paths(path).map_err(|error| {
        Failure::new(Code::INVALID_ENVIRONMENT, format!("CNI_PATH cannot be passed on: {error}"))
    })?;
    let netns = attachment.map(|request| request.netns.clone().unwrap_or_default().into());
    let variables: [(&str, Option<OsString>); 6] = [
        ("CNI_COMMAND", Some(call.command().as_str().into())),
        ("CNI_CONTAINERID", attachment.map(|request| request.container_id.as_str().into())),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", attachment.map(|request| request.ifname.as_str().into())),
        ("CNI_ARGS", attachment.map(|request| request.args.to_string().into())),
        ("CNI_PATH", Some(path)),
    ];
    let output = exec::run(program, &variables, stdin(config).to_string().as_bytes(), deadline);
    let output = output.map_err(|error| {
        let name = &config.plugin;
        let msg = format!("plugin {name:?} ({}) cannot be run: {error}", program.display());
        Failure::new(Code::IO, msg)
    })?;
    // "Ensure that the delegated plugin's stderr is output to the calling plugin's stderr" (section
    // "Delegated plugin execution procedure").
    output.stderr.lines().for_each(print_error_line);
    Ok(output)
}

/// Returns what a program answered to an ADD.
fn result(name: &str, version: Version, output: &exec::Output) -> Result<CniResult, Failure> {
    let stdout = success(name, output)?;
    let read = match serde_json::from_slice::<Value>(stdout) {
        Ok(value) => CniResult::from_value(&value, version).map_err(|failure| failure.msg),
        Err(error) => Err(error.to_string()),
    };
    read.map_err(|problem| {
        Failure::new(Code::DECODE, format!("plugin {name:?} gave no result: {problem}"))
            .with_details(printed(stdout, output))
    })
}

/// Returns what the plugin reads: the whole configuration, with `cniVersion` and `prevResult` as they
/// were set.
fn stdin(config: &NetConf) -> Value {
    let mut raw = config.raw.clone();
    set_field(&mut raw, "cniVersion", Some(config.version.as_str().into()));
    if let Some(result) = config.prev_result.as_ref().filter(|_| config.get(PREV_RESULT).is_none())
    {
        set_field(&mut raw, PREV_RESULT, Some(result.to_value(config.version)));
    }
    Value::Object(raw)
}

/// Returns what a program wrote to standard output if it succeeded, else its error object, or that it
/// gave none.
fn success<'o>(name: &str, output: &'o exec::Output) -> Result<&'o [u8], Failure> {
    let stdout = output.stdout.as_deref().map_err(|error| {
        Failure::new(Code::IO, format!("plugin {name:?} cannot be understood: {error}"))
            .with_details(output.stderr.clone())
    })?;
    if output.status.success() {
        return Ok(stdout);
    }
    if let Ok(error) = serde_json::from_slice::<WireError>(stdout) {
        let failure = Failure::from(error);
        return Err(Failure { msg: format!("plugin {name:?}: {}", failure.msg), ..failure });
    }
    // "exit status: 3" or "signal: 9 (SIGKILL)".
    let msg = format!("plugin {name:?} failed without a reason ({})", output.status);
    Err(Failure::new(Code::IO, msg).with_details(printed(stdout, output)))
}

/// Returns what a program in trouble printed on either stream: nobody knows on which it says why.
fn printed(stdout: &[u8], output: &exec::Output) -> String {
    let stdout = String::from_utf8_lossy(stdout);
    let stdout: String = stdout.trim().chars().take(MAX_PRINTED).collect();
    let streams = [output.stderr.trim(), &stdout];
    let printed: Vec<&str> = streams.into_iter().filter(|text| !text.is_empty()).collect();
    printed.join("; ")
}
