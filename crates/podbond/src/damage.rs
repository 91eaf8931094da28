//! Records that cannot be read. One of them keeps no command from doing what it can without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use podbond_bond::{Finding, Object, Reason};

use crate::error::Error;
use crate::gc;
use crate::node::Node;
use crate::output::note;

/// A finding for each record of the node that cannot be read, in order of their files. What cannot
/// be looked at is told beside the answer.
pub(crate) fn findings(node: &Node<'_>) -> Vec<Finding> {
    let torn = gc::torn(node.state()).into_iter();
    let mut damaged: BTreeMap<PathBuf, String> =
        torn.map(|path| (path, "it is empty or torn".to_owned())).collect();
    let attachments = node.records().all().1.into_iter().map(of_attachment);
    let holds = node.ledger.left_behind().1.into_iter().map(Error::from);
    let policies = match node.ledger.policies().readable() {
        Ok((_, errors)) => errors,
        Err(error) => vec![error],
    };
    let policies = policies.into_iter().map(Error::from);
    let errors = attachments.chain(holds).chain(policies).chain(node.store.damaged());
    for error in errors {
        match damage(&error) {
            Some((path, problem)) => drop(damaged.entry(path).or_insert(problem)),
            None => note(format_args!("podbond: {error}")),
        }
    }
    damaged.into_iter().map(|(path, problem)| of_file(&path, problem)).collect()
}

/// The finding for an error that is about one such record.
pub(crate) fn finding(error: &Error) -> Option<Finding> {
    damage(error).map(|(path, problem)| of_file(&path, problem))
}

fn of_file(path: &Path, problem: String) -> Finding {
    Finding::new(Object::File(path.display().to_string()), Reason::RecordDamaged { problem })
}

fn of_attachment(error: podbond_attach::Error) -> Error {
    match error {
        podbond_attach::Error::Record { path, problem } => Error::Record { path, reason: problem },
        podbond_attach::Error::State(error) => error.into(),
        other => Error::Failed(other.into()),
    }
}

/// The file and its problem, where that is what an error is about.
fn damage(error: &Error) -> Option<(PathBuf, String)> {
    use podbond_inventory::Error as OfInventory;
    use podbond_state::Error as OfState;
    match error {
        Error::Record { path, reason: problem }
        | Error::Inventory(OfInventory::Damaged { path, problem }) => {
            Some((path.clone(), problem.clone()))
        }
        Error::State(OfState::TooLarge { path, max })
        | Error::Inventory(OfInventory::State(OfState::TooLarge { path, max })) => {
            Some((path.clone(), format!("it has more than {max} bytes")))
        }
        _ => None,
    }
}
