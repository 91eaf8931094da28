//! One call of a CNI plugin, whatever its command: what it is about, and who serves it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Command, Delegates, Failure, NetConf, NodeRequest, Plugin, Request, Subject};

/// One call of a plugin, complete and checked: what this process was called for, or what it has another
/// plugin do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Call<'r> {
    Add(Cow<'r, Request>),
    Del(Cow<'r, Request>),
    Check(Cow<'r, Request>),
    Status(Cow<'r, NodeRequest>),
    Gc(Cow<'r, NodeRequest>),
}

impl Call<'_> {
    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Add(_) => Command::Add,
            Self::Del(_) => Command::Del,
            Self::Check(_) => Command::Check,
            Self::Status(_) => Command::Status,
            Self::Gc(_) => Command::Gc,
        }
    }

    /// Returns the request, where the call is about an attachment.
    pub(crate) fn attachment(&self) -> Option<&Request> {
        match self {
            Self::Add(request) | Self::Del(request) | Self::Check(request) => Some(request),
            Self::Status(_) | Self::Gc(_) => None,
        }
    }

    /// Returns the configuration, and the directories in which plugins are looked for.
    pub(crate) fn config_and_path(&self) -> (&NetConf, &[PathBuf]) {
        match self {
            Self::Add(request) | Self::Del(request) | Self::Check(request) => {
                (&request.config, &request.path)
            }
            Self::Status(request) | Self::Gc(request) => (&request.config, &request.path),
        }
    }

    /// Returns what the call is about, for the plugin that serves it.
    pub(crate) fn subject(&self, plugin: &str, program: Option<&Path>) -> Subject {
        let (config, _) = self.config_and_path();
        let program = program.map(|path| path.display().to_string());
        Subject { program, ..Subject::of(plugin, self.command(), config, self.attachment()) }
    }

    /// Has the plugin serve the call. Returns what goes to standard output, if anything.
    pub(crate) fn serve(
        &self,
        plugin: &dyn Plugin,
        delegates: &Delegates<'_>,
    ) -> Result<Option<Value>, Failure> {
        match self {
            Self::Add(request) => {
                delegates.warn_of_log_file(request);
                let result = plugin.add(request, delegates)?;
                return Ok(Some(result.to_value(request.config.version)));
            }
            Self::Del(request) => plugin.del(request, delegates)?,
            Self::Check(request) => plugin.check(request, delegates)?,
            Self::Status(request) => plugin.status(request, delegates)?,
            Self::Gc(request) => plugin.gc(request, delegates)?,
        }
        Ok(None)
    }
}
