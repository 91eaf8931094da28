//! Plugins that are programs of their own (section "Delegated plugin execution procedure").

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::FailedAdd;
use crate::error::WireError;
use crate::exec;
use crate::{CniResult, Code, Command, Failure, NetConf, NodeRequest, Request, Version};

type Variables = [(&'static str, Option<OsString>); 6];

/// The environment of a call (section "Parameters"). A request for no attachment has none of its
/// variables, not even those of our own environment.
fn variables(
    command: Command,
    request: Option<&Request>,
    path: &[PathBuf],
) -> Result<Variables, Failure> {
    let path = std::env::join_paths(path).map_err(|error| {
        Failure::new(Code::InvalidEnvironment, format!("CNI_PATH cannot be passed on: {error}"))
    })?;
    let netns = |request: &Request| request.netns.clone().unwrap_or_default().into_os_string();
    Ok([
        ("CNI_COMMAND", Some(command.as_str().into())),
        ("CNI_CONTAINERID", request.map(|request| request.container_id.as_str().into())),
        ("CNI_NETNS", request.map(netns)),
        ("CNI_IFNAME", request.map(|request| request.ifname.as_str().into())),
        ("CNI_ARGS", request.map(|request| request.args.to_string().into())),
        ("CNI_PATH", Some(path)),
    ])
}

/// ADD by a program.
pub(super) fn add(program: &Path, request: &Request) -> Result<CniResult, FailedAdd> {
    let NetConf { plugin, version, .. } = &request.config;
    // What cannot be started has left nothing.
    let output = start(program, Command::Add, request)?;
    let cause = match result(plugin, *version, &output) {
        Err(cause) => cause,
        Ok(result) => return Ok(result),
    };
    // "If, on ADD, a delegated plugin fails, the "upper" plugin should execute again with DEL
    // before returning failure" (section "Delegated plugin execution procedure").
    let Err(del) = del_or_check(program, Command::Del, request) else { return Err(cause.into()) };
    let details = [cause.details.as_str(), &format!("and its DEL failed: {del}")];
    let details: Vec<&str> = details.into_iter().filter(|text| !text.is_empty()).collect();
    let details = details.join("; ");
    let is_unknown = del.code == Code::ContainerUnknown;
    let left = Some(del).filter(|_| !is_unknown && !is_refusal(cause.code));
    Err(FailedAdd { cause: cause.with_details(details), left })
}

/// DEL or CHECK by a program.
pub(super) fn del_or_check(
    program: &Path,
    command: Command,
    request: &Request,
) -> Result<(), Failure> {
    succeeded(&request.config.plugin, &start(program, command, request)?).map(drop)
}

/// STATUS or GC by a program.
pub(super) fn of_node(
    program: &Path,
    command: Command,
    request: &NodeRequest,
) -> Result<(), Failure> {
    let variables = variables(command, None, &request.path)?;
    succeeded(&request.config.plugin, &run(program, &variables, &request.config)?).map(drop)
}

/// Whether a plugin says with this code that it cannot do what it was asked, so that it has not
/// begun to, or that it has left nothing to clean up.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::IncompatibleVersion
            | Code::UnsupportedField
            | Code::ContainerUnknown
            | Code::InvalidEnvironment
            | Code::InvalidConfig
    )
}

fn start(program: &Path, command: Command, request: &Request) -> Result<exec::Output, Failure> {
    run(program, &variables(command, Some(request), &request.path)?, &request.config)
}

/// Runs a program as a plugin, to its end.
fn run(program: &Path, variables: &Variables, config: &NetConf) -> Result<exec::Output, Failure> {
    let output = exec::run(program, variables, stdin(config).to_string().as_bytes());
    let output = output.map_err(|error| {
        let name = &config.plugin;
        let msg = format!("plugin {name:?} ({}) cannot be run: {error}", program.display());
        Failure::new(Code::Io, msg)
    })?;
    // "Ensure that the delegated plugin's stderr is output to the calling plugin's stderr" (same
    // section). It is for logs: that it cannot be written there changes nothing.
    if !output.stderr.is_empty() {
        let _ = writeln!(io::stderr(), "{}", output.stderr);
    }
    Ok(output)
}

/// What a program answered to an ADD.
fn result(name: &str, version: Version, output: &exec::Output) -> Result<CniResult, Failure> {
    let stdout = succeeded(name, output)?;
    let unreadable = |problem: String| {
        Failure::new(Code::Decode, format!("plugin {name:?} gave no result: {problem}"))
            .with_details(output.stderr.clone())
    };
    let value: Value =
        serde_json::from_slice(stdout).map_err(|error| unreadable(error.to_string()))?;
    CniResult::from_value(&value, version).map_err(|failure| unreadable(failure.msg))
}

/// What the plugin reads: the whole configuration, with what was set beside it.
fn stdin(config: &NetConf) -> Value {
    let mut raw = config.raw.clone();
    raw.insert("cniVersion".to_owned(), config.version.as_str().into());
    if let Some(result) = &config.prev_result {
        raw.entry("prevResult").or_insert_with(|| result.to_value(config.version));
    }
    Value::Object(raw)
}

/// What a program has written, if it succeeded; else its own words where it has any.
fn succeeded<'o>(name: &str, output: &'o exec::Output) -> Result<&'o [u8], Failure> {
    let stdout = output.stdout.as_deref().map_err(|error| {
        Failure::new(Code::Io, format!("plugin {name:?} cannot be understood: {error}"))
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
    Err(Failure::new(Code::Io, msg).with_details(output.stderr.clone()))
}
