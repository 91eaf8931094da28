//! DEL at the kernel: the plans of [`crate::removal`] are carried out, and what cannot be done is told.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_cni::{Command, Delegates, Request};
use podbond_kernel::{At, Kernel, Netns, Step, View, undo_all};
use podbond_names::LinkName;

use crate::Error;
use crate::beneath::bond_beneath;
use crate::config::Links;
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
    see_returned(&mut kernel, netns, &links.names, made, &mut now)?;
    let steps = giving_back(links, ifname, &before, &now, made);
    for step in steps {
        let failed = take(&mut kernel, std::slice::from_ref(&step));
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

/// Adds those links of the node to a view that ADD found up and that are not in the pod. A killed ADD
/// left them where they were; from a namespace that is gone the kernel gives them back.
fn see_returned(
    kernel: &mut Kernel,
    netns: Option<&Path>,
    ports: &[LinkName],
    made: &Made,
    view: &mut View,
) -> podbond_kernel::Result<()> {
    let end = Instant::now() + RETURN_PATIENCE;
    for at in ports.iter().map(|name| At::host(name.clone())).filter(|at| made.brought_down(at)) {
        if view.link(Netns::Pod, &at.name).is_some() {
            continue;
        }
        let mut link = kernel.link(&at)?;
        while link.is_none() && netns.is_none() && Instant::now() < end {
            sleep(RETURN_PAUSE);
            link = kernel.link(&at)?;
        }
        view.host.extend(link);
    }
    Ok(())
}
