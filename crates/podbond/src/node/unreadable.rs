//! Findings about records that cannot be read: of attachments, of policies, of what was applied.

use podbond_bond::{Finding, Object, kind};
use podbond_inventory::Error as InventoryError;
use podbond_record::Unreadable;

use super::this_node::Node;
use crate::error::Error;
use crate::output::note;

/// Returns a finding for each record of the node that cannot be read. Those of attachments are given.
/// Other errors are printed on standard error.
pub(crate) fn unreadable_files(node: &Node<'_>, attachments: Vec<Unreadable>) -> Vec<Finding> {
    let mut errors: Vec<Error> = attachments.into_iter().map(Error::from).collect();
    match node.holdings.policies().readable() {
        Ok((_, policies)) => errors.extend(policies.into_iter().map(Error::from)),
        Err(error) => errors.push(error.into()),
    }
    match node.store.unreadable() {
        Ok(manifests) => errors.extend(manifests),
        Err(error) => errors.push(error),
    }
    let mut findings = Vec::new();
    for error in errors {
        match unreadable_file(&error) {
            Some(finding) => findings.push(finding),
            None => note(format_args!("podbond: {error}")),
        }
    }
    findings
}

/// Returns the finding for an error that is about a record that cannot be read.
pub(crate) fn unreadable_file(error: &Error) -> Option<Finding> {
    let (Error::Record { path, reason: problem }
    | Error::Inventory(InventoryError::Unreadable { path, problem, .. })) = error
    else {
        return None;
    };
    let file = Object::File(path.display().to_string());
    let reason = format!("a record that cannot be read: {problem}");
    Some(Finding::new(&kind::RECORD_DAMAGED, file, reason))
}
