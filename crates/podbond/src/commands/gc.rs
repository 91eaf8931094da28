use crate::cli::{GcArgs, Output};
use crate::error::Error;
use crate::gc::{Orphans, lines};
use crate::node::{Node, require_root};
use crate::output::say;

/// Takes away what belongs to nobody, or tells what that would be. It goes on past errors and tells
/// them all.
pub(crate) fn gc(node: &Node<'_>, args: &GcArgs) -> Result<(), Error> {
    let _lock = if args.dry_run {
        require_root("gc")?;
        None
    } else {
        Some(node.lock("gc")?)
    };
    let mut orphans = Orphans::find(node);
    let mut errors = std::mem::take(&mut orphans.errors);
    let pods = orphans.pods();
    let rows = if args.dry_run { orphans.foreseen() } else { orphans.remove(node) };
    errors.extend(rows.iter().filter_map(|row| row.error().map(Error::NotRemoved)));
    match args.output {
        Output::Json => say(serde_json::to_string_pretty(&rows).unwrap_or_default()),
        Output::Text => {
            lines(&rows).iter().for_each(say);
            for pod in pods {
                if matches!(node.store.pod(&pod), Ok(Some(_))) {
                    say(format_args!("pod {pod} stays known: apply its manifest to make it anew"));
                }
            }
        }
    }
    Error::gather(errors)
}
