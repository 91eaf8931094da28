//! `podbond install` and `podbond uninstall`: this executable as CNI plugins of the node, and what was
//! there before them.

mod changes;
mod observe;
mod plan;

use std::path::Path;

use self::changes::PluginDir;
use self::plan::{Observed, Plan, Wanted};
use crate::arguments::PluginName;
use crate::error::Error;
use crate::output::say;

/// Copies this executable into a directory, which is created if there is none, and links it there under
/// the name of each plugin of `only`; without any, of bond, sriov and those that are podbond's already.
/// What it replaces is kept. Doing it again changes nothing.
pub(crate) fn install(dir: &Path, only: &[PluginName]) -> Result<(), Error> {
    run(&PluginDir::create(dir)?, |observed| plan::install(observed, wanted(only)))
}

/// Removes from a directory the plugins of `only`, without any all, where they are podbond's, and puts
/// back what they have replaced.
pub(crate) fn uninstall(dir: &Path, only: &[PluginName]) -> Result<(), Error> {
    run(&PluginDir::open(dir)?, |observed| plan::uninstall(observed, wanted(only)))
}

fn wanted(only: &[PluginName]) -> Wanted<'_> {
    if only.is_empty() { Wanted::Default } else { Wanted::Only(only) }
}

fn run(dir: &PluginDir<'_>, plan: impl FnOnce(&Observed) -> Plan) -> Result<(), Error> {
    let changed = dir.lock().and_then(|_lock| {
        let plan = plan(&dir.observe()?);
        plan.changes.iter().try_for_each(|change| dir.apply(change))?;
        dir.sync()?;
        Ok(plan)
    });
    dir.remove_empty();
    changed?.lines(dir.path()).into_iter().for_each(say);
    Ok(())
}

#[cfg(test)]
mod tests;
