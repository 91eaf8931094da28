use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::config::is_file_name;
use crate::error::WireError;
use crate::exec;
use crate::{
    CniResult, Code, Command, Failure, Journal, NetConf, NodeRequest, Operation, Plugin, Request,
    Subject,
};

/// What to do with the name of one of our own plugins that is not found on `CNI_PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It is an error, as the specification has it: a runtime called us.
    PathOnly,
    /// Our own plugin serves: a person called us, nothing needs to be installed.
    PathThenBuiltin,
}

/// How plugins call plugins: as a function when the file on `CNI_PATH` is our own executable (same
/// device and inode), by exec when it is any other.
pub struct Delegates<'p> {
    builtins: &'p [&'p dyn Plugin],
    lookup: Lookup,
    journal: Option<&'static dyn Journal>,
}

/// Who serves a call.
enum Callee<'p> {
    Builtin(&'p dyn Plugin),
    Program(PathBuf),
}

impl<'p> Delegates<'p> {
    /// Delegation that knows these plugins as our own.
    pub fn new(builtins: &'p [&'p dyn Plugin], lookup: Lookup) -> Self {
        Self { builtins, lookup, journal: None }
    }

    /// The same, with each operation noted in a journal: one that [`serve`](crate::serve()) serves,
    /// and those of the plugins that are called through this.
    #[must_use]
    pub fn noting(self, journal: &'static dyn Journal) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Where operations are noted.
    pub(crate) fn journal(&self) -> Option<&'static dyn Journal> {
        self.journal
    }

    /// Tells of something that will not do what it is meant to do and is no reason to fail: on
    /// standard error, as `bond: network n: warning: …`, and in the journal.
    pub fn warn(&self, command: Command, request: &Request, severity: &str, what: &dyn Display) {
        let subject = || Subject::of(&request.config.plugin, command, request);
        self.tell(&request.config, subject, severity, what);
    }

    /// The same in an operation on a network as a whole.
    pub fn warn_of_network(&self, command: Command, request: &NodeRequest, what: &dyn Display) {
        let subject = || Subject::of_node(&request.config.plugin, command, request);
        self.tell(&request.config, subject, "warning", what);
    }

    fn tell(
        &self,
        NetConf { plugin, name, .. }: &NetConf,
        subject: impl FnOnce() -> Subject,
        severity: &str,
        what: &dyn Display,
    ) {
        // Who cannot be told is not kept from what was asked for.
        let _ = writeln!(io::stderr(), "{plugin}: network {name}: {severity}: {what}");
        if let Some(journal) = self.journal {
            journal.warn(&subject(), what);
        }
    }

    /// Runs an operation and notes it.
    pub(crate) fn noted<T>(
        &self,
        subject: impl FnOnce() -> Subject,
        operation: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(journal) = self.journal else { return operation() };
        let start = Instant::now();
        let outcome = operation();
        let duration = start.elapsed();
        let noted = outcome.as_ref().map(drop);
        journal.note(&Operation { subject: &subject(), duration, outcome: noted });
        outcome
    }

    /// Calls the plugin that `request.config.plugin` names. Gives the result of an ADD, none for
    /// the other commands. For 1.1.0's STATUS and GC the request's container and interface are not
    /// passed on.
    pub fn call(&self, command: Command, request: &Request) -> Result<Option<CniResult>, Failure> {
        let (path, config) = (request.path.clone(), request.config.clone());
        match command {
            Command::Status => {
                return self.status(&NodeRequest::status(path, config)).map(|()| None);
            }
            Command::Gc => return self.gc(&NodeRequest::gc(path, config)?).map(|()| None),
            Command::Add | Command::Del | Command::Check => {}
        }
        let callee = self.find(&request.config.plugin, &request.path)?;
        let subject = || Subject {
            program: callee.program(),
            ..Subject::of(&request.config.plugin, command, request)
        };
        self.noted(subject, || match &callee {
            Callee::Builtin(plugin) => match command {
                Command::Add => plugin.add(request, self).map(Some),
                Command::Check => plugin.check(request, self).map(|()| None),
                _ => plugin.del(request, self).map(|()| None),
            },
            Callee::Program(program) => call_program(program, command, request),
        })
    }

    /// The plugin of this name that is our own, whatever is on `CNI_PATH`.
    pub fn own(&self, plugin: &str) -> Option<&'p dyn Plugin> {
        self.builtins.iter().copied().find(|builtin| builtin.name() == plugin)
    }

    /// Whether the plugin that a configuration names can be called, and its IPAM plugin, so that a
    /// chain is refused before its first plugin has changed anything.
    pub fn look_up(&self, config: &NetConf, path: &[PathBuf]) -> Result<(), Failure> {
        for plugin in std::iter::once(&config.plugin).chain(&config.ipam) {
            self.find(plugin, path)?;
        }
        Ok(())
    }

    /// Calls the IPAM plugin of `request.config` with the same configuration, as the specification
    /// has it ("Delegated plugins are provided the *complete network configuration*", section
    /// "Delegated Plugin protocol"). None when the configuration has no `ipam.type`.
    pub fn ipam(&self, command: Command, request: &Request) -> Result<Option<CniResult>, Failure> {
        match ipam_config(&request.config) {
            Ok(None) => Ok(None),
            Ok(Some(config)) => self.call(command, &Request { config, ..request.clone() }),
            // ADD was refused for it, so that there is nothing to give back.
            Err(_) if command == Command::Del => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// STATUS of the plugin that `request.config.plugin` names.
    pub fn status(&self, request: &NodeRequest) -> Result<(), Failure> {
        self.call_node(Command::Status, request)
    }

    /// GC by the plugin that `request.config.plugin` names.
    pub fn gc(&self, request: &NodeRequest) -> Result<(), Failure> {
        self.call_node(Command::Gc, request)
    }

    /// STATUS of the IPAM plugin; success when the configuration has none.
    pub fn ipam_status(&self, request: &NodeRequest) -> Result<(), Failure> {
        match ipam_config(&request.config)? {
            None => Ok(()),
            Some(config) => self.status(&NodeRequest { config, ..request.clone() }),
        }
    }

    /// GC by the IPAM plugin; success when the configuration has none.
    pub fn ipam_gc(&self, request: &NodeRequest) -> Result<(), Failure> {
        match ipam_config(&request.config)? {
            None => Ok(()),
            Some(config) => self.gc(&NodeRequest { config, ..request.clone() }),
        }
    }

    fn call_node(&self, command: Command, request: &NodeRequest) -> Result<(), Failure> {
        let callee = self.find(&request.config.plugin, &request.path)?;
        let subject = || Subject {
            program: callee.program(),
            ..Subject::of_node(&request.config.plugin, command, request)
        };
        self.noted(subject, || match &callee {
            Callee::Builtin(plugin) if command == Command::Gc => plugin.gc(request, self),
            Callee::Builtin(plugin) => plugin.status(request, self),
            Callee::Program(program) => {
                let variables = variables(command, None, &request.path)?;
                run(program, command, &variables, &request.config).map(|_| ())
            }
        })
    }

    /// Looks for a plugin "by searching the directories provided in `CNI_PATH`" (section
    /// "Delegated plugin execution procedure"), in their order.
    fn find(&self, plugin: &str, path: &[PathBuf]) -> Result<Callee<'p>, Failure> {
        if !is_file_name(plugin) {
            let msg = format!("plugin name {plugin:?} is no file name");
            return Err(Failure::new(Code::InvalidConfig, msg));
        }
        let builtin = self.own(plugin);
        let found = path.iter().find_map(|dir| {
            let file = dir.join(plugin);
            let metadata = fs::metadata(&file).ok()?;
            metadata.is_file().then_some((file, metadata))
        });
        match (found, builtin) {
            (Some((_, file)), Some(builtin)) if is_own_executable(&file) => {
                Ok(Callee::Builtin(builtin))
            }
            (Some((file, _)), _) => Ok(Callee::Program(file)),
            (None, Some(builtin)) if self.lookup == Lookup::PathThenBuiltin => {
                Ok(Callee::Builtin(builtin))
            }
            (None, _) => Err(not_found(plugin, path)),
        }
    }
}

impl Callee<'_> {
    fn program(&self) -> Option<String> {
        match self {
            Self::Builtin(_) => None,
            Self::Program(path) => Some(path.display().to_string()),
        }
    }
}

fn not_found(plugin: &str, path: &[PathBuf]) -> Failure {
    let dirs: Vec<_> = path.iter().map(|dir| dir.display().to_string()).collect();
    let msg = if dirs.is_empty() {
        format!(
            "plugin {plugin:?} cannot be looked for, since CNI_PATH names no directory: set it, \
             like /opt/cni/bin"
        )
    } else {
        format!(
            "plugin {plugin:?} is not in {}: install it there, or add its directory to CNI_PATH",
            dirs.join(", ")
        )
    };
    Failure::new(Code::InvalidConfig, msg)
}

/// Whether the file is the executable that runs at this moment, by whatever name.
fn is_own_executable(file: &Metadata) -> bool {
    // Through the link, so that it stays right when the file was renamed or removed.
    fs::metadata("/proc/self/exe")
        .is_ok_and(|own| (own.dev(), own.ino()) == (file.dev(), file.ino()))
}

/// The configuration for the IPAM plugin: the same, but for who is meant.
fn ipam_config(config: &NetConf) -> Result<Option<NetConf>, Failure> {
    let Some(ipam) = &config.ipam else { return Ok(None) };
    if *ipam == config.plugin {
        // It would call itself for ever.
        let msg = format!(
            "network {:?}: field ipam.type is {ipam:?}, the plugin itself: name an IPAM plugin, \
             like \"host-local\"",
            config.name
        );
        return Err(Failure::new(Code::InvalidConfig, msg));
    }
    Ok(Some(NetConf { plugin: ipam.clone(), ..config.clone() }))
}

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

/// ADD, DEL or CHECK by a program.
fn call_program(
    program: &Path,
    command: Command,
    request: &Request,
) -> Result<Option<CniResult>, Failure> {
    let call = |command| {
        let variables = variables(command, Some(request), &request.path)?;
        run(program, command, &variables, &request.config)
    };
    let failure = match call(command) {
        Err(failure) if command == Command::Add => failure,
        outcome => return outcome,
    };
    // "If, on ADD, a delegated plugin fails, the "upper" plugin should execute again with DEL
    // before returning failure" (section "Delegated plugin execution procedure").
    let Err(del) = call(Command::Del) else { return Err(failure) };
    let details = [failure.details.as_str(), &format!("and its DEL failed: {del}")];
    let details: Vec<&str> = details.into_iter().filter(|text| !text.is_empty()).collect();
    let details = details.join("; ");
    Err(failure.with_details(details))
}

/// Runs a program as a plugin.
fn run(
    program: &Path,
    command: Command,
    variables: &Variables,
    config: &NetConf,
) -> Result<Option<CniResult>, Failure> {
    let name = &config.plugin;
    let output = exec::run(program, variables, stdin(config).to_string().as_bytes());
    let output = output.map_err(|error| {
        let msg = format!("plugin {name:?} ({}) cannot be run: {error}", program.display());
        Failure::new(Code::Io, msg)
    })?;
    // "Ensure that the delegated plugin's stderr is output to the calling plugin's stderr" (same
    // section). It is for logs: that it cannot be written there changes nothing.
    if !output.stderr.is_empty() {
        let _ = writeln!(io::stderr(), "{}", output.stderr);
    }
    if !output.status.success() {
        return Err(failure_of(name, &output));
    }
    if command != Command::Add {
        return Ok(None);
    }
    let unreadable = |problem: String| {
        Failure::new(Code::Decode, format!("plugin {name:?} gave no result: {problem}"))
            .with_details(output.stderr.clone())
    };
    let value: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| unreadable(error.to_string()))?;
    let result = CniResult::from_value(&value, config.version);
    result.map(Some).map_err(|failure| unreadable(failure.msg))
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

/// The error of a program that did not succeed: its own words where it has any.
fn failure_of(name: &str, output: &exec::Output) -> Failure {
    if let Ok(error) = serde_json::from_slice::<WireError>(&output.stdout) {
        let failure = Failure::from(error);
        return Failure { msg: format!("plugin {name:?}: {}", failure.msg), ..failure };
    }
    // "exit status: 3" or "signal: 9 (SIGKILL)".
    let msg = format!("plugin {name:?} failed without a reason ({})", output.status);
    Failure::new(Code::Io, msg).with_details(output.stderr.clone())
}

#[cfg(test)]
mod tests;
