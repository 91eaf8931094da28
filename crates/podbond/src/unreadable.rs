//! Records that cannot be read. One of them keeps no command from doing what it can without it.

use std::path::{Path, PathBuf};

use podbond_bond::{Finding, Object, Reason};
use podbond_record::Unreadable;

use crate::error::Error;
use crate::node::Node;
use crate::output::note;

/// Returns a finding for each record of the node that cannot be read: those of attachments, which are
/// given, of policies and of what was applied. What cannot be looked at is told beside the answer.
pub(crate) fn findings(node: &Node<'_>, attachments: &[Unreadable]) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        attachments.iter().map(|file| of_file(&file.path, file.problem.clone())).collect();
    let policies = match node.holdings.policies().readable() {
        Ok((_, errors)) => errors,
        Err(error) => vec![error],
    };
    for error in policies.into_iter().map(Error::from).chain(node.store.damaged()) {
        match finding(&error) {
            Some(finding) => findings.push(finding),
            None => note(format_args!("podbond: {error}")),
        }
    }
    findings
}

/// Returns the finding for an error that is about one such record.
pub(crate) fn finding(error: &Error) -> Option<Finding> {
    file_of(error).map(|(path, problem)| of_file(&path, problem))
}

fn of_file(path: &Path, problem: String) -> Finding {
    Finding::new(Object::File(path.display().to_string()), Reason::RecordDamaged { problem })
}

/// Returns the file and its problem, where that is what an error is about.
fn file_of(error: &Error) -> Option<(PathBuf, String)> {
    use podbond_inventory::Error as OfInventory;
    use podbond_state::Error as OfState;
    match error {
        Error::Record { path, reason: problem }
        | Error::Inventory(OfInventory::Unreadable { path, problem, .. }) => {
            Some((path.clone(), problem.clone()))
        }
        Error::State(OfState::TooLarge { path, max })
        | Error::Inventory(OfInventory::State(OfState::TooLarge { path, max })) => {
            Some((path.clone(), format!("it has more than {max} bytes")))
        }
        _ => None,
    }
}
