mod program;

use std::fmt::Display;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use crate::config::is_file_name;
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

/// An ADD by another plugin that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAdd {
    /// Why; its details tell what is left, too.
    pub cause: Failure,
    /// Why the DEL failed that followed, where the ADD may have left something for it.
    pub left: Option<Failure>,
}

impl From<Failure> for FailedAdd {
    /// It has left nothing.
    fn from(cause: Failure) -> Self {
        Self { cause, left: None }
    }
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
        match command {
            Command::Add => return self.add(request).map(Some).map_err(|failed| failed.cause),
            Command::Del | Command::Check => self.del_or_check(command, request),
            Command::Status => {
                self.status(&NodeRequest::status(request.path.clone(), request.config.clone()))
            }
            Command::Gc => self.gc(&NodeRequest::gc(request.path.clone(), request.config.clone())?),
        }?;
        Ok(None)
    }

    fn add(&self, request: &Request) -> Result<CniResult, FailedAdd> {
        let callee = self.find(&request.config.plugin, &request.path)?;
        let mut left = None;
        let outcome = self.noted(subject(&callee, Command::Add, request), || match &callee {
            Callee::Builtin(plugin) => plugin.add(request, self),
            Callee::Program(program) => program::add(program, request).map_err(|failed| {
                left = failed.left;
                failed.cause
            }),
        });
        outcome.map_err(|cause| FailedAdd { cause, left })
    }

    fn del_or_check(&self, command: Command, request: &Request) -> Result<(), Failure> {
        let callee = self.find(&request.config.plugin, &request.path)?;
        self.noted(subject(&callee, command, request), || match &callee {
            Callee::Builtin(plugin) if command == Command::Check => plugin.check(request, self),
            Callee::Builtin(plugin) => plugin.del(request, self),
            Callee::Program(program) => program::del_or_check(program, command, request),
        })
    }

    /// The plugin of this name that is our own, whatever is on `CNI_PATH`.
    pub fn own(&self, plugin: &str) -> Option<&'p dyn Plugin> {
        self.builtins.iter().copied().find(|builtin| builtin.name() == plugin)
    }

    /// The plugin of our own that a call to one of this name gets: none where another executable has the
    /// name, or there is none.
    pub fn called(&self, plugin: &str, path: &[PathBuf]) -> Option<&'p dyn Plugin> {
        match self.find(plugin, path) {
            Ok(Callee::Builtin(builtin)) => Some(builtin),
            Ok(Callee::Program(_)) | Err(_) => None,
        }
    }

    /// Whether the plugin that a configuration names can be called, and its IPAM plugin, so that a
    /// chain is refused before its first plugin has changed anything.
    pub fn look_up(&self, config: &NetConf, path: &[PathBuf]) -> Result<(), Failure> {
        for plugin in std::iter::once(&config.plugin).chain(&config.ipam) {
            self.find(plugin, path)?;
        }
        Ok(())
    }

    /// ADD by the IPAM plugin of `request.config` with the same configuration, as the specification
    /// has it ("Delegated plugins are provided the *complete network configuration*", section
    /// "Delegated Plugin protocol"). None when the configuration has no `ipam.type`.
    pub fn ipam_add(&self, request: &Request) -> Result<Option<CniResult>, FailedAdd> {
        let Some(config) = ipam_config(&request.config)? else { return Ok(None) };
        self.add(&Request { config, ..request.clone() }).map(Some)
    }

    /// DEL by the IPAM plugin; success when the configuration has none, or none that ADD took, and when
    /// the plugin does not know the container: "This error implies the runtime does not need to perform
    /// any container network cleanup" (section "Error", code 3).
    pub fn ipam_del(&self, request: &Request) -> Result<(), Failure> {
        // ADD was refused for one that it cannot be, so that there is nothing to give back.
        let Ok(Some(config)) = ipam_config(&request.config) else { return Ok(()) };
        match self.del_or_check(Command::Del, &Request { config, ..request.clone() }) {
            Err(failure) if failure.code == Code::ContainerUnknown => Ok(()),
            outcome => outcome,
        }
    }

    /// CHECK by the IPAM plugin; success when the configuration has none.
    pub fn ipam_check(&self, request: &Request) -> Result<(), Failure> {
        match ipam_config(&request.config)? {
            None => Ok(()),
            Some(config) => {
                self.del_or_check(Command::Check, &Request { config, ..request.clone() })
            }
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
            Callee::Program(program) => program::of_node(program, command, request),
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

/// What an operation on an attachment is about, by whom.
fn subject(callee: &Callee<'_>, command: Command, request: &Request) -> impl FnOnce() -> Subject {
    move || Subject {
        program: callee.program(),
        ..Subject::of(&request.config.plugin, command, request)
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

#[cfg(test)]
mod tests;
