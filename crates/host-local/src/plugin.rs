use podbond_cni::{CniResult, Code, Delegates, Dns, Failure, NodeRequest, Plugin, Request};

use crate::config::{Config, directory};
use crate::error::Error;
use crate::lease::{Holder, held_by};
use crate::plan::{self, Ask, Grant};
use crate::resolv;
use crate::store::Store;

/// The plugin.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostLocal;

impl Plugin for HostLocal {
    fn name(&self) -> &'static str {
        "host-local"
    }

    /// One address from each range set. "Delegated IPAM plugins must return an abbreviated Success
    /// object. Specifically, it is missing the interfaces array, as well as the interface entry in
    /// ips" (section "Delegated plugins (IPAM)").
    fn add(&self, request: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        Ok(add(request)?)
    }

    fn del(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(del(request)?)
    }

    /// The interface holds a lease, and one for each address of `prevResult` that is of the ranges.
    fn check(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(check(request)?)
    }

    /// Code 50 when a range set has no address left, or no lease can be written.
    fn status(&self, request: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(status(request)?)
    }

    /// Removes the leases of all but the valid attachments.
    fn gc(&self, request: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(gc(request)?)
    }
}

fn add(request: &Request) -> Result<CniResult, Error> {
    let config = Config::new(&request.config)?;
    let dir = directory(&request.config)?;
    let ask = Ask {
        network: &request.config.name,
        dir: &dir,
        container: &request.container_id,
        ifname: &request.ifname,
        wanted: request.wanted_ips()?.into_iter().map(|ip| ip.to_canonical()).collect(),
    };
    let dns = match &config.resolv_conf {
        None => Dns::default(),
        Some(path) => resolv::read(path)?,
    };
    let store = Store::create(&dir)?;
    let leases = store.leases()?;
    let grants = plan::allocate(&ask, &config.sets, &leases, |set| store.last_reserved(set))?;
    reserve(&store, &grants, &Holder::new(ask.container, ask.ifname))?;
    let ips = grants.into_iter().map(|grant| grant.ip).collect();
    Ok(CniResult { interfaces: Vec::new(), ips, routes: config.routes, dns })
}

/// Makes all leases, or none.
fn reserve(store: &Store, grants: &[Grant], holder: &Holder) -> Result<(), Error> {
    for (position, grant) in grants.iter().enumerate() {
        let address = grant.ip.address.addr();
        if let Err(error) = store.reserve(address, holder) {
            let undo = grants[..position].iter().map(|made| store.release(made.ip.address.addr()));
            let errors = undo.filter_map(Result::err);
            Error::all(std::iter::once(error).chain(errors).collect())?;
        }
    }
    for grant in grants {
        // Without it the next address is only chosen less well.
        let _ = store.set_last_reserved(grant.set, grant.ip.address.addr());
    }
    Ok(())
}

fn del(request: &Request) -> Result<(), Error> {
    let Some(store) = Store::open(&directory(&request.config)?)? else { return Ok(()) };
    let leases = store.leases()?;
    let held = held_by(&leases, &request.container_id, &request.ifname);
    let released = held.into_iter().map(|lease| store.release(lease.address));
    Error::all(released.filter_map(Result::err).collect())
}

fn check(request: &Request) -> Result<(), Error> {
    let config = Config::new(&request.config)?;
    let dir = directory(&request.config)?;
    let leases = Store::open(&dir)?.map(|store| store.leases()).transpose()?.unwrap_or_default();
    let held = held_by(&leases, &request.container_id, &request.ifname);
    let network = request.config.name.clone();
    let (container, ifname) = (request.container_id.to_string(), request.ifname.clone());
    if held.is_empty() {
        return Err(Error::NoLease { network, container, ifname, dir });
    }
    // A chained plugin may have added addresses that are none of ours.
    let given = request.config.prev_result.iter().flat_map(|result| &result.ips);
    let given = given
        .map(|ip| ip.address.addr())
        .filter(|&address| config.sets.iter().any(|set| set.range_of(address).is_some()));
    let lost = given.filter(|&address| held.iter().all(|lease| lease.address != address));
    let lost = lost.map(|address| {
        let (network, container, dir) = (network.clone(), container.clone(), dir.clone());
        Error::Lost { network, container, ifname: ifname.clone(), address, dir }
    });
    Error::all(lost.collect())
}

fn status(request: &NodeRequest) -> Result<(), Error> {
    let config = Config::new(&request.config)?;
    let dir = directory(&request.config)?;
    let network = &request.config.name;
    if let Some(dir) = dir.ancestors().find(|dir| dir.is_dir()) {
        podbond_state::writable(dir).map_err(|error| {
            let msg = format!(
                "network {network:?}: no lease can be recorded: {error}: make room, or mount the \
                 filesystem for writing"
            );
            Failure::new(Code::NotAvailable, msg)
        })?;
    }
    let Some(store) = Store::open(&dir)? else { return Ok(()) };
    match plan::exhausted(&config.sets, &store.leases()?) {
        None => Ok(()),
        Some(set) => {
            let msg = format!(
                "network {network:?}: no address is left in {}, {set}: delete pods that use the \
                 network, or widen the range",
                set.field
            );
            Err(Failure::new(Code::NotAvailable, msg).into())
        }
    }
}

fn gc(request: &NodeRequest) -> Result<(), Error> {
    let Some(store) = Store::open(&directory(&request.config)?)? else { return Ok(()) };
    let leases = store.leases()?;
    let stale = leases.iter().filter(|lease| !lease.holder.is_among(&request.valid_attachments));
    let released = stale.map(|lease| store.release(lease.address));
    Error::all(released.filter_map(Result::err).collect())
}

#[cfg(test)]
mod tests;
