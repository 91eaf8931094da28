use std::iter;
use std::path::{Path, PathBuf};

use podbond_cni::{CniResult, Code, Delegates, Dns, Failure, NodeRequest, Plugin, Request};
use rustix::io::Errno;

use crate::config::{Config, directory};
use crate::error::Error;
use crate::index::INDEXES;
use crate::known::Known;
use crate::lease::{Holder, Lease};
use crate::plan::{self, Ask, Grant};
use crate::resolv;
use crate::store::{Store, last_reserved};

/// The plugin.
#[derive(Debug, Clone)]
pub struct HostLocal {
    indexes: PathBuf,
}

impl Default for HostLocal {
    fn default() -> Self {
        Self::with_indexes(INDEXES.into())
    }
}

impl HostLocal {
    /// The plugin with its indexes elsewhere than under `/run`.
    pub fn with_indexes(indexes: PathBuf) -> Self {
        Self { indexes }
    }
}

impl Plugin for HostLocal {
    fn name(&self) -> &'static str {
        "host-local"
    }

    /// One address from each range set. "Delegated IPAM plugins must return an abbreviated Success
    /// object. Specifically, it is missing the interfaces array, as well as the interface entry in
    /// ips" (section "Delegated plugins (IPAM)").
    fn add(&self, request: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        Ok(add(request, &self.indexes)?)
    }

    fn del(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(del(request, &self.indexes)?)
    }

    /// The interface holds a lease, and one for each address of `prevResult` that is of the ranges.
    fn check(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(check(request, &self.indexes)?)
    }

    /// Code 50 when a range set has no address left, or no lease can be written.
    fn status(&self, request: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(status(request, &self.indexes)?)
    }

    /// Removes the leases of all but the valid attachments. What is no lease stays, whatever it is
    /// called.
    fn gc(&self, request: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(gc(request, &self.indexes)?)
    }
}

fn add(request: &Request, indexes: &Path) -> Result<CniResult, Error> {
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
    let allocate = |known: &dyn Known| {
        plan::allocate(&ask, &config.sets, known, |set| last_reserved(&dir, set))
    };
    let holder = Holder::new(ask.container, ask.ifname);
    let mut store = Store::create(&dir, indexes)?;
    let mut grants = store.decide(allocate)?;
    match reserve(&mut store, &grants, &holder) {
        // Somebody holds what the index took for free.
        Err(Error::State(error)) if error.errno() == Some(Errno::EXIST) => {
            grants = allocate(&store.leases()?)?;
            reserve(&mut store, &grants, &holder)?;
        }
        reserved => reserved?,
    }
    let ips = grants.into_iter().map(|grant| grant.ip).collect();
    Ok(CniResult { interfaces: Vec::new(), ips, routes: config.routes, dns })
}

/// Makes all leases, or none.
fn reserve(store: &mut Store, grants: &[Grant], holder: &Holder) -> Result<(), Error> {
    let lease = |grant: &Grant| Lease { address: grant.ip.address.addr(), holder: holder.clone() };
    for (position, grant) in grants.iter().enumerate() {
        if let Err(error) = store.reserve(&lease(grant)) {
            let undo = grants[..position].iter().map(|made| store.release(&lease(made)));
            let errors: Vec<Error> = undo.filter_map(Result::err).collect();
            Error::all(iter::once(error).chain(errors).collect())?;
        }
    }
    for grant in grants {
        // Without it the next address is only chosen less well.
        let _ = store.set_last_reserved(grant.set, grant.ip.address.addr());
    }
    Ok(())
}

fn del(request: &Request, indexes: &Path) -> Result<(), Error> {
    let dir = directory(&request.config)?;
    let Some(mut store) = Store::open(&dir, indexes)? else { return Ok(()) };
    let held = store.decide(|known| known.held_by(&request.container_id, &request.ifname))?;
    let released = held.iter().map(|lease| store.release(lease));
    Error::all(released.filter_map(Result::err).collect())
}

fn check(request: &Request, indexes: &Path) -> Result<(), Error> {
    let config = Config::new(&request.config)?;
    let dir = directory(&request.config)?;
    match Store::open(&dir, indexes)? {
        Some(mut store) => store.decide(|known| compare(request, &config, &dir, known)),
        None => compare(request, &config, &dir, &Vec::new()),
    }
}

/// Compares what the interface should hold with what it holds.
fn compare(request: &Request, config: &Config, dir: &Path, known: &dyn Known) -> Result<(), Error> {
    let held = known.held_by(&request.container_id, &request.ifname)?;
    let (dir, network) = (dir.to_owned(), request.config.name.clone());
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

fn status(request: &NodeRequest, indexes: &Path) -> Result<(), Error> {
    let config = Config::new(&request.config)?;
    let dir = directory(&request.config)?;
    let network = &request.config.name;
    let mut store = Store::open(&dir, indexes);
    let tried = match &mut store {
        Ok(Some(store)) => store.probe(),
        _ => dir.ancestors().find(|dir| dir.is_dir()).map_or(Ok(()), podbond_state::writable),
    };
    tried.map_err(|error| {
        let msg = format!(
            "network {network:?}: no lease can be recorded: {error}: make room, or mount the \
             filesystem for writing"
        );
        Failure::new(Code::NotAvailable, msg)
    })?;
    let Some(mut store) = store? else { return Ok(()) };
    store.decide(|known| match plan::exhausted(&config.sets, known)? {
        None => Ok(()),
        Some(set) => {
            let msg = format!(
                "network {network:?}: no address is left in {}, {set}: delete pods that use the \
                 network, or widen the range",
                set.field
            );
            Err(Failure::new(Code::NotAvailable, msg).into())
        }
    })
}

fn gc(request: &NodeRequest, indexes: &Path) -> Result<(), Error> {
    let dir = directory(&request.config)?;
    let Some(mut store) = Store::open(&dir, indexes)? else { return Ok(()) };
    let leases = store.leases()?;
    let is_stale =
        |holder: &Holder| holder.is_of_a_lease() && !holder.is_among(&request.valid_attachments);
    let stale = leases.iter().filter(|lease| is_stale(&lease.holder));
    let released = stale.map(|lease| store.release(lease));
    Error::all(released.filter_map(Result::err).collect())
}

#[cfg(test)]
mod alike;
#[cfg(test)]
mod indexed;
#[cfg(test)]
mod tests;
