//! Which addresses an attachment gets: pure, from configuration and leases.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use podbond_cni::{ContainerId, IpConfig};
use podbond_names::LinkName;

use crate::error::Error;
use crate::known::Known;
use crate::range::{Range, RangeSet, bits, nth};

/// Who asks, and for what.
pub(crate) struct Ask<'a> {
    pub(crate) network: &'a str,
    /// Where the leases are, for messages.
    pub(crate) dir: &'a Path,
    pub(crate) container: &'a ContainerId,
    pub(crate) ifname: &'a LinkName,
    /// Addresses that were requested, each once.
    pub(crate) wanted: Vec<IpAddr>,
}

/// One address for the attachment, from the range set of this index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) set: usize,
    pub(crate) ip: IpConfig,
}

/// One address from each set: a requested one where one of the set is, or else the next that is
/// free after the last that was given.
pub(crate) fn allocate(
    ask: &Ask<'_>,
    sets: &[RangeSet],
    known: &dyn Known,
    last_reserved: impl Fn(usize) -> Option<IpAddr>,
) -> Result<Vec<Grant>, Error> {
    let network = || ask.network.to_owned();
    let held = known.held_by(ask.container, ask.ifname)?;
    let gateways = gateways(sets);
    let mut wanted = ask.wanted.clone();
    let mut grants = Vec::new();
    for (index, set) in sets.iter().enumerate() {
        if let Some(lease) = held.iter().find(|lease| set.range_of(lease.address).is_some()) {
            return Err(Error::Duplicate {
                network: network(),
                container: ask.container.to_string(),
                ifname: ask.ifname.clone(),
                address: lease.address,
            });
        }
        let wish = wanted.iter().position(|&address| set.range_of(address).is_some());
        let address = match wish.map(|position| wanted.remove(position)) {
            Some(address) => requested(ask, address, &gateways, known)?,
            None => match next(set, last_reserved(index), &gateways, known)? {
                Some(address) => address,
                None => {
                    return Err(Error::Exhausted {
                        network: network(),
                        field: set.field.clone(),
                        ranges: set.to_string(),
                        held: known.count(set)?,
                        dir: ask.dir.to_owned(),
                    });
                }
            },
        };
        grants.extend(set.range_of(address).map(|range| grant(index, range, address)));
    }
    match wanted.first() {
        Some(&address) => {
            let ranges: Vec<String> = sets.iter().map(RangeSet::to_string).collect();
            Err(Error::NotInRanges { network: network(), address, ranges: ranges.join("; ") })
        }
        None => Ok(grants),
    }
}

/// The first set, if any, that has no address left.
pub(crate) fn exhausted<'s>(
    sets: &'s [RangeSet],
    known: &dyn Known,
) -> Result<Option<&'s RangeSet>, Error> {
    let gateways = gateways(sets);
    for set in sets {
        if next(set, None, &gateways, known)?.is_none() {
            return Ok(Some(set));
        }
    }
    Ok(None)
}

/// What may not be given beside what somebody holds.
fn gateways(sets: &[RangeSet]) -> BTreeSet<IpAddr> {
    sets.iter().flat_map(|set| &set.ranges).map(|range| range.gateway).collect()
}

/// A requested address, if it is free.
fn requested(
    ask: &Ask<'_>,
    address: IpAddr,
    gateways: &BTreeSet<IpAddr>,
    known: &dyn Known,
) -> Result<IpAddr, Error> {
    let network = ask.network.to_owned();
    if gateways.contains(&address) {
        return Err(Error::Gateway { network, address });
    }
    match known.holder_of(address)? {
        Some(holder) => Err(Error::Taken { network, address, holder }),
        None => Ok(address),
    }
}

fn grant(set: usize, range: &Range, address: IpAddr) -> Grant {
    let address = IpNet::new_assert(address, range.subnet.prefix_len());
    Grant { set, ip: IpConfig { address, gateway: Some(range.gateway), interface: None } }
}

/// The next free address of a set, round robin: a container that is restarted over and over gets
/// every other address before it gets the same one again. It begins after the last one given, or
/// with the first range where that one is unknown, and comes to the last one given at the very end.
fn next(
    set: &RangeSet,
    last: Option<IpAddr>,
    gateways: &BTreeSet<IpAddr>,
    known: &dyn Known,
) -> Result<Option<IpAddr>, Error> {
    let ranges = &set.ranges;
    let whole = |range: &Range| (range.start, range.end);
    let position = last.and_then(|last| ranges.iter().position(|range| range.contains(last)));
    let mut spans: Vec<(IpAddr, IpAddr)> = Vec::new();
    match last.zip(position) {
        None => spans.extend(ranges.iter().map(whole)),
        Some((last, position)) => {
            let (start, end) = whole(&ranges[position]);
            spans.extend(after(last).map(|next| (next, end)));
            spans.extend(ranges[position + 1..].iter().map(whole));
            spans.extend(ranges[..position].iter().map(whole));
            spans.push((start, last));
        }
    }
    for (mut from, to) in spans {
        while from <= to {
            match known.first_free(from, to)? {
                Some(free) if !gateways.contains(&free) => return Ok(Some(free)),
                free => match free.and_then(after) {
                    Some(next) => from = next,
                    None => break,
                },
            }
        }
    }
    Ok(None)
}

/// The next address of the family, if there is one.
fn after(address: IpAddr) -> Option<IpAddr> {
    let next = nth(address, bits(address).checked_add(1)?);
    (next > address).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Holder, Lease};
    use crate::range::RawRange;

    fn set(ranges: &[(&str, &str, &str)]) -> RangeSet {
        let range = |&(subnet, start, end): &(&str, &str, &str)| {
            let text = |text: &str| Some(text.to_owned());
            Range::new(&RawRange {
                subnet: text(subnet),
                range_start: text(start),
                range_end: text(end),
                gateway: None,
            })
        };
        let ranges = ranges.iter().map(|r| range(r).unwrap()).collect();
        RangeSet::new("ipam.ranges[0]".to_owned(), ranges).unwrap()
    }

    fn lease(address: &str, holder: Holder) -> Lease {
        Lease { address: address.parse().unwrap(), holder }
    }

    fn other() -> Holder {
        Holder::parse("other\r\nnet1")
    }

    /// The addresses that container c1 gets for net1, or why not.
    fn ask(
        sets: &[RangeSet],
        leases: &[Lease],
        last: &[&str],
        wanted: &[&str],
    ) -> Result<Vec<String>, String> {
        let ask = Ask {
            network: "n",
            dir: Path::new("/var/lib/cni/networks/n"),
            container: &"c1".to_owned().try_into().unwrap(),
            ifname: &"net1".parse().unwrap(),
            wanted: wanted.iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        let last = |index: usize| last.get(index).and_then(|ip| ip.parse().ok());
        let grants =
            allocate(&ask, sets, &leases.to_vec(), last).map_err(|error| error.to_string())?;
        Ok(grants.iter().map(|grant| grant.ip.address.to_string()).collect())
    }

    #[test]
    fn the_first_address_is_the_first_that_is_not_the_gateway() {
        let sets = [set(&[("10.0.0.0/24", "", "")]), set(&[("fd00::/64", "", "")])];
        assert_eq!(ask(&sets, &[], &[], &[]).unwrap(), ["10.0.0.2/24", "fd00::2/64"]);
    }

    #[test]
    fn addresses_are_given_round_robin() {
        let sets = [set(&[("10.0.0.0/29", "", "")])];
        let leases = [lease("10.0.0.4", other())];
        for (last, next) in [
            ("10.0.0.2", "10.0.0.3/29"),
            ("10.0.0.3", "10.0.0.5/29"),
            ("10.0.0.6", "10.0.0.2/29"),
            ("192.0.2.1", "10.0.0.2/29"),
            ("", "10.0.0.2/29"),
        ] {
            assert_eq!(ask(&sets, &leases, &[last], &[]).unwrap(), [next], "after {last}");
        }
    }

    #[test]
    fn the_last_one_given_is_given_again_when_no_other_is_left() {
        let sets = [set(&[("10.0.0.0/29", "10.0.0.2", "10.0.0.3")])];
        let leases = [lease("10.0.0.3", other())];
        assert_eq!(ask(&sets, &leases, &["10.0.0.2"], &[]).unwrap(), ["10.0.0.2/29"]);
    }

    #[test]
    fn the_last_address_of_all_is_followed_by_the_first_of_its_range() {
        let end = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let sets = [set(&[("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124", "", "")])];
        let leases = [lease(end, other())];
        let next = ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2/124"];
        assert_eq!(ask(&sets, &leases, &[end], &[]).unwrap(), next);
    }

    #[test]
    fn ranges_of_a_set_are_one_pool_in_their_order() {
        let sets = [set(&[
            ("10.0.0.0/24", "10.0.0.10", "10.0.0.11"),
            ("10.0.1.0/24", "10.0.1.10", "10.0.1.11"),
        ])];
        for (last, next) in [
            ("10.0.0.10", "10.0.0.11/24"),
            ("10.0.0.11", "10.0.1.10/24"),
            ("10.0.1.11", "10.0.0.10/24"),
        ] {
            assert_eq!(ask(&sets, &[], &[last], &[]).unwrap(), [next], "after {last}");
        }
    }

    #[test]
    fn an_exhausted_set_is_named_with_its_ranges_and_where_to_look() {
        let sets = [set(&[("10.0.0.0/29", "10.0.0.1", "10.0.0.2")])];
        let leases = [lease("10.0.0.2", other())];
        assert_eq!(
            ask(&sets, &leases, &[], &[]).unwrap_err(),
            "network \"n\": no address is left in ipam.ranges[0], 10.0.0.1-10.0.0.2 (1 leases): \
             delete pods that use the network, or widen the range; who holds an address is in the \
             file named after it in /var/lib/cni/networks/n"
        );
        assert_eq!(exhausted(&sets, &leases.to_vec()).unwrap(), Some(&sets[0]));
        assert_eq!(exhausted(&sets, &Vec::new()).unwrap(), None);
    }

    #[test]
    fn a_requested_address_is_given_from_its_own_set() {
        let sets = [set(&[("10.0.0.0/24", "", "")]), set(&[("fd00::/64", "", "")])];
        let wanted = ["fd00::77", "10.0.0.77"];
        assert_eq!(ask(&sets, &[], &[], &wanted).unwrap(), ["10.0.0.77/24", "fd00::77/64"]);
        let expected = ["10.0.0.2/24", "fd00::77/64"];
        assert_eq!(ask(&sets, &[], &[], &["fd00::77"]).unwrap(), expected);
    }

    #[test]
    fn a_requested_address_that_cannot_be_given_is_an_error() {
        let sets = [set(&[("10.0.0.0/24", "", "")])];
        let leases = [lease("10.0.0.9", other())];
        for (wanted, part) in [
            (&["10.0.0.1"][..], "10.0.0.1 is the gateway's"),
            (&["10.0.0.9"], "10.0.0.9 is held by net1 of container other"),
            (&["10.0.1.5"], "10.0.1.5 cannot be given"),
            (&["10.0.0.255"], "10.0.0.255 cannot be given"),
            (&["10.0.0.5", "10.0.0.6"], "10.0.0.6 cannot be given"),
        ] {
            let message = ask(&sets, &leases, &[], wanted).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_second_address_for_the_same_interface_is_refused() {
        let sets = [set(&[("10.0.0.0/24", "", "")])];
        for held in ["c1\r\nnet1", "c1"] {
            let leases = [lease("10.0.0.9", Holder::parse(held))];
            let message = ask(&sets, &leases, &[], &[]).unwrap_err();
            assert!(message.contains("container c1 has 10.0.0.9 for net1 already"), "{message}");
        }
        let elsewhere = [lease("10.9.0.9", Holder::parse("c1\r\nnet1"))];
        assert!(ask(&sets, &elsewhere, &[], &[]).is_ok());
        let other_interface = [lease("10.0.0.9", Holder::parse("c1\r\nnet2"))];
        assert!(ask(&sets, &other_interface, &[], &[]).is_ok());
    }

    #[test]
    fn an_empty_lease_is_nobodys_and_is_given_again() {
        let sets = [set(&[("10.0.0.0/29", "10.0.0.2", "10.0.0.2")])];
        let leases = [lease("10.0.0.2", Holder::Nobody)];
        assert_eq!(ask(&sets, &leases, &[], &[]).unwrap(), ["10.0.0.2/29"]);
        assert_eq!(ask(&sets, &leases, &[], &["10.0.0.2"]).unwrap(), ["10.0.0.2/29"]);
    }
}
