//! Ranges by anybody, and leases that nobody of ours wrote.

use std::net::IpAddr;
use std::path::Path;

use podbond_cni::{ContainerId, NetConf};
use podbond_names::LinkName;

use crate::config::Config;
use crate::lease::{Holder, Lease};
use crate::plan::{Ask, allocate, exhausted};

/// Reads the content of a lease file.
///
/// # Panics
/// When it names another holder once it is written again.
pub fn lease(content: &str) {
    let holder = Holder::parse(content);
    assert_eq!(Holder::parse(&holder.content()), holder);
}

/// Gives addresses from the ranges of a configuration until some are held, each to another
/// container.
///
/// # Panics
/// When an address is given that is not of the ranges, is a gateway's, or is held already.
pub fn ranges(config: &NetConf, container: &ContainerId, ifname: &LinkName) {
    let Ok(Config { sets, .. }) = Config::new(config) else { return };
    let mut leases: Vec<Lease> = Vec::new();
    for _ in 0..4 {
        let (network, dir) = ("n", Path::new("/"));
        let ask = Ask { network, dir, container, ifname, wanted: Vec::new() };
        let last = leases.last().map(|lease| lease.address);
        let Ok(grants) = allocate(&ask, &sets, &leases, |_| last) else {
            assert!(exhausted(&sets, &leases).is_some(), "refused with addresses left");
            return;
        };
        assert_eq!(grants.len(), sets.len());
        for grant in grants {
            let address: IpAddr = grant.ip.address.addr();
            assert!(sets[grant.set].range_of(address).is_some(), "{address} is of no range");
            assert_ne!(grant.ip.gateway, Some(address));
            assert!(leases.iter().all(|lease| lease.address != address), "{address} given twice");
            leases.push(Lease { address, holder: Holder::Container("other".to_owned()) });
        }
    }
}
