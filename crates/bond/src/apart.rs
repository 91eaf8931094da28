//! DEL at the kernel: the plans of [`crate::removal`] are carried out, and what cannot be done is told.

use std::path::PathBuf;

use podbond_cni::{Command, Delegates, Request};
use podbond_kernel::{Kernel, LinkRef, Netns, Step, View, undo_all};

use crate::Error;
use crate::away::see_node;
use crate::beneath::bond_beneath;
use crate::config::{Links, LinksAre};
use crate::home::find;
use crate::made::Made;
use crate::prepare::see_pod;
use crate::removal::{dissolution, giving_back, may_be_refused};

/// Takes the steps that DEL takes; gives the errors of those that failed. `others` gives the
/// namespaces of other bonds.
pub(crate) fn take_apart(
    kernel: &mut Kernel,
    links: &Links,
    request: &Request,
    delegates: &Delegates<'_>,
    made: &Made,
    others: impl FnOnce() -> Vec<PathBuf>,
) -> podbond_kernel::Result<Vec<Error>> {
    let ifname = &request.ifname;
    let mut before = View::default();
    if kernel.has_pod() {
        see_pod(kernel, [ifname, &bond_beneath(ifname)], &mut before)?;
        see_pod(kernel, &links.names, &mut before)?;
    }
    let steps = dissolution(ifname, &before, made);
    let mut errors = take(kernel, &steps);
    // Seen again: what the driver has given its ports back is for the kernel to say.
    let mut now = View::default();
    if kernel.has_pod() {
        see_pod(kernel, &links.names, &mut now)?;
    }
    if links.are == LinksAre::OnHost {
        let renamed =
            |name| made.function(name).is_some() && find(Netns::Pod, name, made, &now).is_none();
        if kernel.has_pod() && links.names.iter().any(renamed) {
            now.pod = kernel.links(Netns::Pod)?;
        }
        errors.extend(see_node(kernel, &links.names, made, &mut now, others)?);
    }
    let steps = giving_back(links, ifname, &before, &now, made);
    for step in steps {
        let failed = take(kernel, std::slice::from_ref(&step));
        if failed.is_empty()
            && let Step::Move { from: LinkRef { netns: Netns::Pod, name }, to } = &step
            && !links.names.contains(&to.name)
        {
            let renamed = format_args!(
                "{name} is {} on the node now, where another link has its name: rename that one, and \
                 then this one",
                to.name
            );
            delegates.warn(Command::Del, request, "warning", &renamed);
        }
        if may_be_refused(&step) {
            for error in failed {
                delegates.warn(Command::Del, request, "warning", &error);
            }
        } else {
            errors.extend(failed);
        }
    }
    Ok(errors)
}

/// Takes steps, going on past errors; what is gone is none. It is the undoing of their inverses.
fn take(kernel: &mut Kernel, steps: &[Step]) -> Vec<Error> {
    let inverses: Vec<Step> = steps.iter().rev().map(Step::inverse).collect();
    undo_all(kernel, &inverses).into_iter().map(Error::Kernel).collect()
}
