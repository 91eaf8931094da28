//! `podbond gc`: removes what pods that are gone left behind.

mod orphans;
mod text;

use self::orphans::{Orphan, Row};
use crate::arguments::{GcArgs, Output};
use crate::error::Error;
use crate::node::{Node, require_root};
use crate::output::{say, say_json};

/// Removes all orphans, or lists them. It goes on past errors and returns them all.
pub(crate) fn gc(node: &Node<'_>, args: &GcArgs) -> Result<(), Error> {
    let _lock = if args.dry_run {
        require_root("gc")?;
        None
    } else {
        Some(node.lock("gc")?)
    };
    let (orphans, mut errors) = orphans::find(node);
    let pods = orphans::pods_of(&orphans);
    let rows: Vec<Row> = if args.dry_run {
        orphans.iter().map(Orphan::dry_run).collect()
    } else {
        node.records.remove_temporary_files().unwrap_or_default();
        orphans.iter().map(|orphan| orphan.remove(node)).collect()
    };
    for row in &rows {
        let error = row.error.as_ref();
        errors.extend(error.map(|error| Error::NotRemoved(format!("{}: {error}", row.object))));
    }
    match args.output {
        Output::Json => say_json(&rows),
        Output::Text => {
            text::lines(&rows).iter().for_each(say);
            for pod in pods {
                if matches!(node.store.pod(&pod), Ok(Some(_))) {
                    say(format_args!("pod {pod} stays known: apply its manifest to make it anew"));
                }
            }
        }
    }
    Error::gather(errors)
}
