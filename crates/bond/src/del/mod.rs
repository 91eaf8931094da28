//! DEL: the bond goes, its ports are restored by the attachment's record, and its lease is
//! released.

mod host_name;
mod reclaim_ports;
mod renew_vfs;
mod restore_ports;
mod teardown_plan;
#[cfg(test)]
mod tests;
mod uncertain_ports;
mod wait_for_links;

use std::fmt::Display;

use podbond_cni::{Code, Command, Delegates, Failure, Request};
use podbond_ipam::Ipam;
use podbond_kernel::{Kernel, LinkRef, LinkState, Netns, NetnsState, Step, View, undo_all};
use podbond_names::{LinkName, OneLine, PciAddress};
use podbond_record::{Record, Records, State, Stored, if_possible};

use self::reclaim_ports::{is_on_host, reclaim_ports};
use self::renew_vfs::renew_vfs;
use self::restore_ports::{may_be_refused, restore_ports};
use self::teardown_plan::{bond_of, remove_bond};
use self::uncertain_ports::{UncertainPort, lost_ports};
use self::wait_for_links::read_host_links;
use crate::config::{Links, LinksAre, bond_below_vlan};
use crate::error::Error;
use crate::pod_links::{own_names_in, read_all_pod_links, read_pod_links};
use crate::record::{BondRecord, PLUGIN};

/// Deletes an attachment. Success when there is nothing left to delete.
pub(crate) fn del(
    request: &Request,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<(), Error> {
    let _lock = if_possible(records.lock(&request.attachment()))?;
    del_locked(request, delegates, records)
}

/// Deletes an attachment whose lock is held. The links go before the lease, so that no address is
/// given out while it is in use, unless the lease needs the link. An error of the links does not
/// keep the lease; nothing is changed and nothing freed where nobody can tell whether the pod's
/// namespace is alive.
pub(crate) fn del_locked(
    request: &Request,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<(), Error> {
    let mut errors: Vec<Error> = Vec::new();
    let record = read_record(request, delegates, records).unwrap_or_else(|error| {
        // It keeps nothing else from being restored.
        errors.push(error.into());
        None
    });
    if record.as_ref().is_some_and(|record| !record.is_of(PLUGIN)) {
        // Its ADD has changed nothing.
        return Ok(());
    }
    let request = &match &record {
        Some(record) => record.del_for(request),
        None => unrecorded_request(request, records),
    };
    let are_links_back = record.as_ref().is_some_and(|record| record.state == State::IpamPending);
    let pod = if are_links_back { None } else { Some(open(request, record.as_ref())?) };
    let ipam = Ipam { request, delegates };
    let was_never_made = record.is_none() && ipam.was_never_made();
    let ((), pending) = ipam.release_after(|| {
        let Some(mut kernel) = pod else { return Ok(()) };
        if let Some(record) = &record {
            // For people; a DEL needs no state.
            let _ = records.write(&Record { state: State::Releasing, ..record.clone() });
        }
        let bond = record.as_ref().and_then(BondRecord::read).unwrap_or_default();
        let is_anothers = |function| is_held(records, request, function);
        let restored = restore_links(&mut kernel, &bond, request, delegates, is_anothers);
        errors.extend(restored.unwrap_or_else(|error| vec![error.into()]));
        Ok::<(), Error>(())
    })?;
    let pending = pending.filter(|_| !was_never_made);
    if errors.is_empty() {
        return Ok(ipam.end(records, record, pending.as_deref())?);
    }
    if let Some(problem) = pending {
        errors.push(Error::Config(Failure::new(Code::TRY_AGAIN, problem)));
    }
    Error::all(errors)
}

/// Returns the record of an attachment; none, with a warning, where it cannot be understood.
fn read_record(
    request: &Request,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<Option<Record>, podbond_record::Error> {
    match records.read(&request.attachment())? {
        Stored::Whole(record) => Ok(Some(*record)),
        Stored::Missing => Ok(None),
        Stored::Unreadable(file) => {
            let ifname = &request.ifname;
            let (path, problem) = (file.path.display(), file.problem);
            let unreadable = format_args!(
                "the record {path} {problem}: {ifname} and its ports are restored by the \
                 configuration and by what the kernel shows of them"
            );
            delegates.warn(Command::Del, request, "warning", &unreadable);
            Ok(None)
        }
    }
}

/// Returns the DEL of an attachment of which nothing is recorded: without its namespace where
/// another container has the interface in that one.
fn unrecorded_request(request: &Request, records: &Records) -> Request {
    let (all, _) = records.all().unwrap_or_default();
    let is_anothers = all.iter().any(|record| {
        let netns =
            record.netns.as_ref().filter(|netns| Some(&netns.path) == request.netns.as_ref());
        record.container_id != request.container_id
            && record.ifname == request.ifname
            // Of a pending lease alone nothing is in the namespace any more.
            && record.state != State::IpamPending
            && netns.is_some_and(|netns| netns.state() == NetnsState::Alive)
    });
    let netns = request.netns.clone().filter(|_| !is_anothers);
    Request { netns, ..request.clone() }
}

/// Opens the pod's namespace, or the node's alone where that is over.
fn open(request: &Request, record: Option<&Record>) -> podbond_kernel::Result<Kernel> {
    match (record, &request.netns) {
        (Some(Record { netns: Some(netns), .. }), _) => Kernel::with_recorded(netns),
        (None, Some(path)) => Kernel::with_path_of_del(path),
        (_, _) => Kernel::host(),
    }
}

/// Returns whether another attachment has a PCI function, by the records.
fn is_held(records: &Records, request: &Request, function: PciAddress) -> bool {
    let holders = records.holding(function).unwrap_or_default();
    holders.iter().any(|holder| {
        holder.attachment() != request.attachment() && !holder.netns_state().is_over()
    })
}

/// Takes the bond out of the pod and restores its ports. Returns what went wrong.
fn restore_links(
    kernel: &mut Kernel,
    bond: &BondRecord,
    request: &Request,
    delegates: &Delegates<'_>,
    is_anothers: impl Fn(PciAddress) -> bool,
) -> podbond_kernel::Result<Vec<Error>> {
    // A record's configuration has the links' own names.
    let conf = if bond.is_empty() && kernel.has_pod() {
        own_names_in(Netns::Pod, kernel, &request.config)?
    } else {
        request.config.clone()
    };
    let (links, ifname) = (Links::of(&conf), &request.ifname);
    // With the namespace the bond is gone too, and a record alone says what the kernel gives back
    // of its ports.
    if !kernel.has_pod() && (links.are == LinksAre::InPod || bond.is_empty()) {
        return Ok(Vec::new());
    }
    let warn = |what: &dyn Display| delegates.warn(Command::Del, request, "warning", what);
    let mut errors = Vec::new();
    let before = if kernel.has_pod() {
        read_bond(kernel, &links, ifname, bond, &mut errors)?
    } else {
        View::default()
    };
    errors.extend(apply(kernel, &remove_bond(ifname, &before, bond)));
    // Read again: what the driver has given its ports back is for the kernel to say.
    let now = match links.are {
        LinksAre::InPod => {
            let mut now = View::default();
            read_pod_links(kernel, links.names.iter().cloned(), &mut now)?;
            now
        }
        LinksAre::OnHost => {
            fetch_host_links(kernel, &links, bond, is_anothers, &warn, &mut errors)?
        }
    };
    for step in restore_ports(&links, ifname, &before, &now, bond) {
        match uncertain_port(kernel, &step, bond) {
            Ok(None) => {}
            Ok(Some(uncertain)) => {
                warn(&uncertain);
                continue;
            }
            Err(error) => {
                errors.push(error.into());
                continue;
            }
        }
        let failed = apply(kernel, std::slice::from_ref(&step));
        if failed.is_empty() {
            warn_of_other_name(&step, &links, &now, request, delegates);
        } else if may_be_refused(&step) {
            for error in failed {
                warn(&error);
            }
        } else {
            errors.extend(failed);
        }
    }
    Ok(errors)
}

/// Returns the bond and its ports in the pod, under whatever names; adds what went wrong to `errors`.
fn read_bond(
    kernel: &mut Kernel,
    links: &Links,
    ifname: &LinkName,
    bond: &BondRecord,
    errors: &mut Vec<Error>,
) -> podbond_kernel::Result<View> {
    let mut view = View::default();
    let names = [ifname.clone(), bond_below_vlan(ifname)];
    read_pod_links(kernel, names.into_iter().chain(links.names.iter().cloned()), &mut view)?;
    if !bond.is_empty() && bond_of(ifname, &view, bond).is_none() {
        // The pod may have renamed it.
        let not_renamed = read_all_pod_links(kernel, &mut view)?;
        errors.extend(not_renamed.into_iter().map(Error::Kernel));
    }
    Ok(view)
}

/// Fetches links of the node from whatever the pod has made of them: VFs are made anew by their drivers, others
/// are freed of what stands on them, and those of a namespace that is over are waited for. Returns the links of
/// pod and node then; adds what went wrong to `errors`.
fn fetch_host_links(
    kernel: &mut Kernel,
    links: &Links,
    bond: &BondRecord,
    is_anothers: impl Fn(PciAddress) -> bool,
    warn: &impl Fn(&dyn Display),
    errors: &mut Vec<Error>,
) -> podbond_kernel::Result<View> {
    let mut now = View::default();
    if kernel.has_pod() {
        errors.extend(renew_vfs(kernel, bond, &is_anothers));
        if bond.is_empty() {
            now.pod = kernel.links(Netns::Pod)?;
        } else {
            let not_renamed = read_all_pod_links(kernel, &mut now)?;
            errors.extend(not_renamed.into_iter().map(Error::Kernel));
        }
        let steps = reclaim_ports(&now, bond);
        if !steps.is_empty() {
            errors.extend(apply(kernel, &steps));
            now.pod = kernel.links(Netns::Pod)?;
        }
    }
    for missing in read_host_links(kernel, &links.names, bond, &mut now, &is_anothers)? {
        warn(&missing);
    }
    if kernel.has_pod() {
        for lost in lost_ports(&links.names, &now, bond) {
            warn(&lost);
        }
    } else {
        errors.extend(renew_vfs(kernel, bond, &is_anothers));
        now.host = kernel.links(Netns::Host)?;
    }
    Ok(now)
}

/// Returns the link that a step would bring up on the node although it may be another than ADD took. The pod may
/// have changed its links up to the moment in which this one left it; on the node it can change nothing.
fn uncertain_port(
    kernel: &mut Kernel,
    step: &Step,
    bond: &BondRecord,
) -> podbond_kernel::Result<Option<UncertainPort>> {
    let Step::SetState { at: at @ LinkRef { netns: Netns::Host, .. }, to: LinkState::Up } = step
    else {
        return Ok(None);
    };
    let link = kernel.link(at)?.filter(|link| !bond.is_certain_on_host(link));
    Ok(link.map(|link| UncertainPort::down(&link)))
}

fn warn_of_other_name(
    step: &Step,
    links: &Links,
    now: &View,
    request: &Request,
    delegates: &Delegates<'_>,
) {
    if let Step::RemoveAltname { at, altname } = step
        && is_on_host(altname, now)
    {
        let lost = format_args!(
            "{} comes back to the node without its altname {}, which another link has there",
            at.name,
            OneLine(altname)
        );
        delegates.warn(Command::Del, request, "warning", &lost);
    }
    if let Step::Move { from: LinkRef { netns: Netns::Pod, name }, to } = step
        && !links.names.contains(&to.name)
    {
        let renamed = format_args!(
            "{name} is {} on the node now, where another link has its name: rename that one, and then \
             this one",
            to.name
        );
        delegates.warn(Command::Del, request, "warning", &renamed);
    }
}

/// Applies steps and goes on past errors, which it returns; what is gone is none. It is the undoing
/// of their inverses.
fn apply(kernel: &mut Kernel, steps: &[Step]) -> Vec<Error> {
    let inverses: Vec<Step> = steps.iter().rev().map(Step::inverse).collect();
    undo_all(kernel, &inverses).into_iter().map(Error::Kernel).collect()
}
