use std::process::ExitCode;

use crate::{Delegates, Plugin};

/// Runs one plugin as a process: environment and standard input to a request, the answer on
/// standard output, exit status 0 or 1.
pub fn serve(_plugin: &dyn Plugin, _delegates: &Delegates<'_>) -> ExitCode {
    todo!()
}
