//! Delegation: calls of another CNI plugin, as a function where it is our own, else by exec.

mod call;
mod plugin;
mod program;

use std::borrow::Cow;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

pub(crate) use self::call::Call;
pub use self::plugin::Plugin;
use crate::config::is_file_name;
use crate::shown::print_error_line;
use crate::{
    CniResult, Code, Command, Failure, Journal, NetConf, NodeRequest, Operation, Request, Subject,
};

/// The names of meta-plugins, which attach the pod's networks themselves: our own is called by all of them.
/// No network and no IPAM plugin may be one: its DEL would delete the attachment that calls it, which would
/// call its DEL again, one process more each time.
pub const META_PLUGINS: [&str; 3] = ["podbond", "multus", "multus-shim"];

/// The names of our own plugins that make links, which are no IPAM plugins.
const LINK_PLUGINS: [&str; 2] = ["bond", "sriov"];

/// What to do with the name of one of our own plugins that is not in a directory of `CNI_PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It is an error, as the specification has it: a runtime called us.
    PathOnly,
    /// Our own plugin serves: a person called us, nothing needs to be installed.
    PathThenBuiltin,
}

/// What is said of `logFile` in a network's configuration.
const NO_LOG_FILE: &str = "logFile: it has no effect, since a network's author may not administer the node: \
                           leave it out; the node's administrator names a file in [log] of \
                           /etc/podbond/config.toml (log-file-ignored)";

/// How plugins call plugins: as a function when the file on `CNI_PATH` is our own executable (same
/// device and inode), by exec when it is any other.
pub struct Delegates<'p> {
    builtins: &'p [&'p dyn Plugin],
    lookup: Lookup,
    journal: Option<&'static dyn Journal>,
    /// When a plugin that is another program is killed, if it goes on for so long.
    deadline: Option<Instant>,
}

/// An ADD by another plugin that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAdd {
    /// Why the ADD failed; its details say so too when the DEL after it failed.
    pub cause: Failure,
    /// Why the DEL after it failed, where there may be something that it should have removed.
    pub failed_del: Option<Failure>,
}

impl From<Failure> for FailedAdd {
    /// Returns the failure of an ADD after which nothing needs to be removed.
    fn from(cause: Failure) -> Self {
        Self { cause, failed_del: None }
    }
}

impl AsRef<Failure> for FailedAdd {
    fn as_ref(&self) -> &Failure {
        &self.cause
    }
}

/// Who serves a call.
enum Callee<'p> {
    Builtin(&'p dyn Plugin),
    Program(PathBuf),
}

impl<'p> Delegates<'p> {
    /// Creates the delegation that knows these plugins as our own.
    pub fn new(builtins: &'p [&'p dyn Plugin], lookup: Lookup) -> Self {
        Self { builtins, lookup, journal: None, deadline: None }
    }

    /// Sets where each operation is noted: one that [`serve`](crate::serve()) serves, and those of the
    /// plugins that are called through this.
    #[must_use]
    pub fn with_journal(self, journal: &'static dyn Journal) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Returns the same delegation, in which a plugin that is another program is killed when it goes on past
    /// this moment.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..*self }
    }

    /// Returns where operations are noted.
    pub(crate) fn journal(&self) -> Option<&'static dyn Journal> {
        self.journal
    }

    /// Reports something that will not do what it is meant to do and is no reason to fail: on standard
    /// error, as `bond: network n: warning: …`, and in the journal.
    pub fn warn(&self, command: Command, request: &Request, severity: &str, what: &dyn Display) {
        let NetConf { plugin, name, .. } = &request.config;
        print_error_line(format_args!("{plugin}: network {name}: {severity}: {what}"));
        if let Some(journal) = self.journal {
            let subject = Subject::of(plugin, command, &request.config, Some(request));
            journal.warn(&subject, what);
        }
    }

    /// Warns of a log file that a network's author wants one of our plugins to write, once for each
    /// configuration: its IPAM plugin gets the same one.
    pub(crate) fn warn_of_log_file(&self, request: &Request) {
        let config = &request.config;
        let is_ipam = config.get("type").and_then(Value::as_str) != Some(config.plugin.as_str());
        if !is_ipam && config.has_log_file() {
            self.warn(Command::Add, request, "warning", &NO_LOG_FILE);
        }
    }

    /// Runs an operation and notes it in the journal.
    pub(crate) fn noted<T, E: AsRef<Failure>>(
        &self,
        subject: &Subject,
        operation: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let outcome = operation();
        if let Some(journal) = self.journal {
            let outcome = outcome.as_ref().map(drop).map_err(AsRef::as_ref);
            journal.note(&Operation { subject, duration: start.elapsed(), outcome });
        }
        outcome
    }

    /// ADD by the plugin that `request.config.plugin` names.
    pub fn add(&self, request: &Request) -> Result<CniResult, FailedAdd> {
        let callee = self.find(&request.config.plugin, &request.path)?;
        let call = Call::Add(Cow::Borrowed(request));
        self.noted(&callee.subject(&call), || match &callee {
            Callee::Builtin(plugin) => {
                self.warn_of_log_file(request);
                Ok(plugin.add(request, self)?)
            }
            Callee::Program(program) => program::add(program, request, self.deadline),
        })
    }

    /// DEL by the plugin that `request.config.plugin` names; success for a meta-plugin, whose ADD was refused.
    pub fn del(&self, request: &Request) -> Result<(), Failure> {
        if is_meta_plugin(&request.config.plugin) {
            return Ok(());
        }
        self.call(&Call::Del(Cow::Borrowed(request)))
    }

    /// CHECK by the plugin that `request.config.plugin` names.
    pub fn check(&self, request: &Request) -> Result<(), Failure> {
        self.call(&Call::Check(Cow::Borrowed(request)))
    }

    /// STATUS of the plugin that `request.config.plugin` names.
    pub fn status(&self, request: &NodeRequest) -> Result<(), Failure> {
        self.call(&Call::Status(Cow::Borrowed(request)))
    }

    /// GC by the plugin that `request.config.plugin` names.
    pub fn gc(&self, request: &NodeRequest) -> Result<(), Failure> {
        self.call(&Call::Gc(Cow::Borrowed(request)))
    }

    /// Has the plugin that the configuration names serve a call that answers nothing: any but ADD.
    fn call(&self, call: &Call<'_>) -> Result<(), Failure> {
        let (config, path) = call.config_and_path();
        let callee = self.find(&config.plugin, path)?;
        self.noted(&callee.subject(call), || match &callee {
            Callee::Builtin(plugin) => call.serve(*plugin, self).map(drop),
            Callee::Program(program) => program::call(program, call, self.deadline),
        })
    }

    /// ADD by the IPAM plugin of `request.config` with the same configuration, as the specification
    /// has it ("Delegated plugins are provided the *complete network configuration*", section
    /// "Delegated Plugin protocol"). None when the configuration has no `ipam.type`.
    pub fn ipam_add(&self, request: &Request) -> Result<Option<CniResult>, FailedAdd> {
        let Some(config) = ipam_config(&request.config)? else { return Ok(None) };
        self.add(&Request { config, ..request.clone() }).map(Some)
    }

    /// DEL by the IPAM plugin; success when the configuration has none, or when it names the plugin
    /// itself or another one that makes links: its ADD was refused for that. Code 3, "container unknown or does not exist; the runtime
    /// does not need to perform any container specific cleanup" (section "Error"), is success too.
    pub fn ipam_del(&self, request: &Request) -> Result<(), Failure> {
        let Ok(Some(config)) = ipam_config(&request.config) else { return Ok(()) };
        match self.del(&Request { config, ..request.clone() }) {
            Err(failure) if failure.code == Code::CONTAINER_UNKNOWN => Ok(()),
            outcome => outcome,
        }
    }

    /// CHECK by the IPAM plugin; success when the configuration has none.
    pub fn ipam_check(&self, request: &Request) -> Result<(), Failure> {
        match ipam_config(&request.config)? {
            None => Ok(()),
            Some(config) => self.check(&Request { config, ..request.clone() }),
        }
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

    /// Returns our own plugin of this name, whatever is on `CNI_PATH`.
    pub fn builtin(&self, plugin: &str) -> Option<&'p dyn Plugin> {
        self.builtins.iter().copied().find(|builtin| builtin.name() == plugin)
    }

    /// Returns our own plugin that a call to one of this name would reach: none where the file on
    /// `path` is another executable, or there is no such plugin.
    pub fn builtin_on_path(&self, plugin: &str, path: &[PathBuf]) -> Option<&'p dyn Plugin> {
        match self.find(plugin, path) {
            Ok(Callee::Builtin(builtin)) => Some(builtin),
            Ok(Callee::Program(_)) | Err(_) => None,
        }
    }

    /// Checks that the plugin that a configuration names can be called, and its IPAM plugin, so that a
    /// chain is refused before its first plugin has changed anything.
    pub fn check_installed(&self, config: &NetConf, path: &[PathBuf]) -> Result<(), Failure> {
        self.find(&config.plugin, path)?;
        config.ipam.as_ref().map_or(Ok(()), |ipam| self.find(ipam, path).map(drop))
    }

    /// Looks for a plugin "by searching the directories provided in `CNI_PATH`" (section
    /// "Delegated plugin execution procedure"), in their order.
    fn find(&self, plugin: &str, path: &[PathBuf]) -> Result<Callee<'p>, Failure> {
        if !is_file_name(plugin) {
            let msg = format!("plugin name {plugin:?} is no file name");
            return Err(Failure::new(Code::INVALID_CONFIG, msg));
        }
        if is_meta_plugin(plugin) {
            let msg = format!(
                "plugin {plugin:?} attaches the networks of a pod, and is no network's plugin itself: name \
                 the plugin of the network, like \"bond\", or an IPAM plugin, like \"host-local\""
            );
            return Err(Failure::new(Code::INVALID_CONFIG, msg));
        }
        let file = path.iter().map(|dir| dir.join(plugin)).find(|file| file.is_file());
        match (file, self.builtin(plugin)) {
            (Some(file), Some(builtin)) if is_own_executable(&file) => Ok(Callee::Builtin(builtin)),
            (Some(file), _) => Ok(Callee::Program(file)),
            (None, Some(builtin)) if self.lookup == Lookup::PathThenBuiltin => {
                Ok(Callee::Builtin(builtin))
            }
            (None, _) => Err(not_installed(plugin, path)),
        }
    }
}

impl Callee<'_> {
    /// Returns what a call of this plugin is about.
    fn subject(&self, call: &Call<'_>) -> Subject {
        let program = match self {
            Self::Builtin(_) => None,
            Self::Program(path) => Some(path.as_path()),
        };
        let (config, _) = call.config_and_path();
        call.subject(&config.plugin, program)
    }
}

fn is_meta_plugin(plugin: &str) -> bool {
    META_PLUGINS.contains(&plugin)
}

fn not_installed(plugin: &str, path: &[PathBuf]) -> Failure {
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
    Failure::new(Code::INVALID_CONFIG, msg)
}

/// Returns true if the file is the executable that runs at this moment, by whatever name.
fn is_own_executable(file: &Path) -> bool {
    // Through the link, so that it stays right when the file was renamed or removed.
    match (fs::metadata("/proc/self/exe"), fs::metadata(file)) {
        (Ok(own), Ok(file)) => (own.dev(), own.ino()) == (file.dev(), file.ino()),
        _ => false,
    }
}

/// Returns the configuration for the IPAM plugin, if there is one: the same, but for
/// [`NetConf::plugin`].
fn ipam_config(config: &NetConf) -> Result<Option<NetConf>, Failure> {
    let Some(ipam) = &config.ipam else { return Ok(None) };
    let what = if *ipam == config.plugin {
        // It would call itself for ever.
        "the plugin itself"
    } else if LINK_PLUGINS.contains(&ipam.as_str()) {
        // It would wait for the lock of the attachment, which its caller holds.
        "a plugin that makes links"
    } else {
        return Ok(Some(NetConf { plugin: ipam.clone(), ..config.clone() }));
    };
    let problem = format_args!("is {ipam:?}, {what}: name an IPAM plugin, like \"host-local\"");
    Err(config.invalid("ipam.type", problem))
}

#[cfg(test)]
mod tests;
