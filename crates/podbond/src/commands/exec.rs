//! `podbond exec`: runs a command in the network namespace of a pod.

use std::os::unix::process::CommandExt;
use std::process::Command;

use podbond_api::ObjectKey;

use crate::arguments::ExecArgs;
use crate::error::Error;
use crate::node::Node;

/// Executes the command in this process, in the network namespace of the pod. Returns only when that
/// fails.
pub(crate) fn exec(node: &Node<'_>, args: &ExecArgs) -> Error {
    let key = ObjectKey { namespace: args.namespace.clone(), name: args.pod.clone() };
    let netns = match node.netns_of(&key) {
        Ok(netns) => netns,
        Err(error) => return error,
    };
    if let Err(error) = podbond_kernel::enter(netns.path()) {
        return error.into();
    }
    // clap requires one word at least.
    let (program, rest) = (&args.command[0], &args.command[1..]);
    let source = Command::new(program).args(rest).exec();
    Error::Exec { program: program.clone(), source }
}
