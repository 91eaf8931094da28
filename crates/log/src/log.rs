use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use podbond_cni::{Journal, Operation, Subject};

use crate::config::{Config, NamedBy, Target, is_networks};
use crate::file::append;
use crate::level::Level;
use crate::line;

/// Who reads standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A runtime, or a plugin that called another: it gets the lines that go into no file.
    Runtime,
    /// A person, who is told by the command itself.
    Person,
}

/// The node's log. Nothing is read or written before the first operation has ended.
#[derive(Debug)]
pub struct Log {
    settings: &'static str,
    caller: Caller,
    config: OnceLock<Config>,
    /// The first that went wrong with the log, which is told; the rest is not.
    complaint: OnceLock<()>,
}

impl Log {
    /// The log that `[log]` in this file describes.
    pub const fn new(settings: &'static str, caller: Caller) -> Self {
        Self { settings, caller, config: OnceLock::new(), complaint: OnceLock::new() }
    }

    fn config(&self) -> &Config {
        self.config.get_or_init(|| {
            Config::read(Path::new(self.settings)).unwrap_or_else(|error| {
                self.complain(format_args!("{error}; what fails is told here until it is mended"));
                Config::default()
            })
        })
    }

    fn write(&self, level: Level, subject: &Subject, line: &str) {
        let config = self.config();
        if level <= config.level {
            let file = config.file.as_ref();
            let written = file.is_some_and(|path| self.append(path, NamedBy::Administrator, line));
            // Warnings are there already: who found it says it there too.
            if !written && self.caller == Caller::Runtime && level != Level::Warning {
                tell(line);
            }
        }
        let Some(path) = subject.log_file.as_deref().map(Path::new) else { return };
        if level > Level::of_network(subject.log_level.as_deref()) {
            return;
        }
        if is_networks(path) {
            self.append(path, NamedBy::Network, line);
        } else {
            let path = path.display();
            self.complain(format_args!(
                "network {}: logFile: {path:?} is not below /var/log, where a network may have its \
                 log: name a file there, or let the node's administrator name one in {}",
                subject.network.as_deref().unwrap_or_default(),
                self.settings
            ));
        }
    }

    /// Whether the line is in the file.
    fn append(&self, path: &Path, named_by: NamedBy, line: &str) -> bool {
        let Config { max_size, keep, .. } = *self.config();
        let written = append(Target { path, max_size, keep, named_by }, line);
        if let Err(error) = &written {
            self.complain(format_args!("cannot write {}: {error}", path.display()));
        }
        written.is_ok()
    }

    fn complain(&self, what: impl Display) {
        if self.complaint.set(()).is_ok() {
            tell(&format!("log: warning: {what}\n"));
        }
    }
}

/// On standard error. Nobody is left to tell when that is gone.
fn tell(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}

impl Journal for Log {
    fn note(&self, operation: &Operation<'_>) {
        let level = if operation.outcome.is_ok() { Level::Info } else { Level::Error };
        // Nearly always so: nothing to say, and nowhere to say it.
        if level > self.config().level && operation.subject.log_file.is_none() {
            return;
        }
        let line = line::of_operation(SystemTime::now(), operation);
        self.write(level, operation.subject, &line);
    }

    fn warn(&self, subject: &Subject, warning: &dyn Display) {
        let line = line::of_warning(SystemTime::now(), subject, warning);
        self.write(Level::Warning, subject, &line);
    }
}
