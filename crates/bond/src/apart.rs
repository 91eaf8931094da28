//! DEL at the kernel: the plans of [`crate::removal`] are carried out, and what cannot be done is told.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_cni::{Command, Delegates, Request};
use podbond_kernel::{At, Kernel, Netns, Step, View, undo_all};
use podbond_names::LinkName;

use crate::Error;
use crate::beneath::bond_beneath;
use crate::config::{Links, LinksAre};
use crate::home::on_node;
use crate::made::Made;
use crate::plugin::see_pod;
use crate::removal::{dissolution, giving_back, may_be_refused};

/// How long DEL waits for the links that the kernel gives back from a namespace that is gone. It
/// does so at its leisure, and links without hardware never come.
const RETURN_PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks.
const RETURN_PAUSE: Duration = Duration::from_millis(20);

/// Takes the steps that DEL takes; gives the errors of those that failed.
pub(crate) fn take_apart(
    netns: Option<&Path>,
    links: &Links,
    request: &Request,
    delegates: &Delegates<'_>,
    made: &Made,
) -> podbond_kernel::Result<Vec<Error>> {
    let ifname = &request.ifname;
    let mut kernel = netns.map_or_else(Kernel::host, Kernel::with_pod)?;
    let mut before = View::default();
    if netns.is_some() {
        see_pod(&mut kernel, [ifname, &bond_beneath(ifname)], &mut before)?;
        see_pod(&mut kernel, &links.names, &mut before)?;
    }
    let steps = dissolution(ifname, &before, made);
    let mut errors = take(&mut kernel, &steps);
    // Seen again: what the driver has given its ports back is for the kernel to say.
    let mut now = View::default();
    if netns.is_some() {
        see_pod(&mut kernel, &links.names, &mut now)?;
    }
    if links.are == LinksAre::OnHost {
        see_node(&mut kernel, netns, &links.names, made, &mut now)?;
    }
    let steps = giving_back(links, ifname, &before, &now, made);
    for step in steps {
        let failed = take(&mut kernel, std::slice::from_ref(&step));
        if failed.is_empty()
            && let Step::Move { from: At { netns: Netns::Pod, name }, to } = &step
            && *name != to.name
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

/// Adds the node's links to a view. A killed ADD left those that it did not come to; those that were
/// up are waited for, since from a namespace that is gone the kernel gives them back.
///
/// All of them, since no other question tells which link has a name as its altname.
fn see_node(
    kernel: &mut Kernel,
    netns: Option<&Path>,
    ports: &[LinkName],
    made: &Made,
    view: &mut View,
) -> podbond_kernel::Result<()> {
    let end = Instant::now() + RETURN_PATIENCE;
    loop {
        view.host = kernel.links(Netns::Host)?;
        let was_up = |name: &&LinkName| made.brought_down(&At::host((*name).clone()));
        let mut missing = ports.iter().filter(was_up).filter(|name| {
            view.link(Netns::Pod, name).is_none() && on_node(name, made, view).is_none()
        });
        if netns.is_some() || missing.next().is_none() || Instant::now() > end {
            return Ok(());
        }
        sleep(RETURN_PAUSE);
    }
}
