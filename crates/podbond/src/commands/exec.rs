use std::os::unix::process::CommandExt;
use std::process::Command;

use podbond_api::ObjectKey;

use crate::cli::ExecArgs;
use crate::error::Error;
use crate::node::Node;

/// Becomes the command, in the pod's network namespace. Returns only when that fails.
pub(crate) fn exec(node: &Node<'_>, args: &ExecArgs) -> Error {
    let key = ObjectKey { namespace: args.namespace.clone(), name: args.pod.clone() };
    let netns = match node.running_pod(&key) {
        Ok(netns) => netns,
        Err(error) => return error,
    };
    if let Err(error) = podbond_kernel::enter(netns.path()) {
        return error.into();
    }
    // clap requires one word at least.
    let Some((program, rest)) = args.command.split_first() else { return Error::NoCommand };
    let source = Command::new(program).args(rest).exec();
    Error::Exec { program: program.clone(), source }
}
