//! What a command must know of the leases: from all of them, or from an index.

use std::collections::BTreeSet;
use std::net::IpAddr;

use podbond_cni::ContainerId;
use podbond_names::LinkName;

use crate::error::Error;
use crate::lease::{Holder, Lease, held_by};
use crate::range::{RangeSet, bits, nth};

/// The leases of a network. An index fails where it cannot tell; all leases never do.
pub(crate) trait Known {
    /// The leases that an interface of a container holds, as [`held_by`] finds them.
    fn held_by(&self, container: &ContainerId, ifname: &LinkName) -> Result<Vec<Lease>, Error>;

    /// Who holds an address, if anybody does.
    fn holder_of(&self, address: IpAddr) -> Result<Option<Holder>, Error>;

    /// The first address from one to another of its family that nobody holds.
    fn first_free(&self, from: IpAddr, to: IpAddr) -> Result<Option<IpAddr>, Error>;

    /// How many leases there are of a range set.
    fn count(&self, set: &RangeSet) -> Result<usize, Error>;
}

impl Known for Vec<Lease> {
    fn held_by(&self, container: &ContainerId, ifname: &LinkName) -> Result<Vec<Lease>, Error> {
        Ok(held_by(self, container, ifname).into_iter().cloned().collect())
    }

    fn holder_of(&self, address: IpAddr) -> Result<Option<Holder>, Error> {
        let lease = self.iter().find(|lease| lease.address == address);
        let holder = lease.map(|lease| lease.holder.clone());
        Ok(holder.filter(|holder| *holder != Holder::Nobody))
    }

    fn first_free(&self, from: IpAddr, to: IpAddr) -> Result<Option<IpAddr>, Error> {
        let held = self.iter().filter(|lease| lease.holder != Holder::Nobody);
        let taken: BTreeSet<IpAddr> = held.map(|lease| lease.address).collect();
        // It looks at no more addresses than are taken, and one.
        let mut addresses = (bits(from)..=bits(to)).map(|number| nth(from, number));
        Ok(addresses.find(|address| !taken.contains(address)))
    }

    fn count(&self, set: &RangeSet) -> Result<usize, Error> {
        Ok(self.iter().filter(|lease| set.range_of(lease.address).is_some()).count())
    }
}
