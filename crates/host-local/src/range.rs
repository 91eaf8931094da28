//! Ranges of IP addresses: parsed from a configuration, checked, and in the order in which their
//! addresses are given.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::Deserialize;

/// A range as configuration writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawRange {
    pub(crate) subnet: Option<String>,
    pub(crate) range_start: Option<String>,
    pub(crate) range_end: Option<String>,
    pub(crate) gateway: Option<String>,
}

/// The addresses of one subnet that may be given, `start` to `end`, both included. Never among them
/// are the subnet's own address and, for IPv4, the broadcast address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) subnet: IpNet,
    pub(crate) start: IpAddr,
    pub(crate) end: IpAddr,
    pub(crate) gateway: IpAddr,
}

/// Ranges of one family that are one pool: an attachment gets one address from each set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// The path to it in the configuration.
    pub(crate) field: String,
    pub(crate) ranges: Vec<Range>,
}

/// What is wrong with a field; it continues a sentence that begins with the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("is missing: write the subnet, like 10.56.217.0/24")]
    NoSubnet,
    #[error("is {text:?}, which is no subnet: write it like 10.56.217.0/24")]
    MalformedSubnet { text: String },
    #[error("is {text:?}, which is no address: write it like 10.56.217.1")]
    MalformedAddress { text: String },
    #[error("is {subnet}, which has host bits set: the subnet is {network}")]
    HostBits { subnet: IpNet, network: IpNet },
    #[error(
        "is {subnet}, which is too small to give addresses from: the longest prefix is /30 for \
         IPv4 and /126 for IPv6"
    )]
    TooSmall { subnet: IpNet },
    #[error("is {address}, which is not in the subnet {subnet}: write an address of the subnet")]
    Outside { address: IpAddr, subnet: IpNet },
    #[error("is {end}, which is before the start of the range, {start}: write a later address")]
    Backwards { start: IpAddr, end: IpAddr },
    #[error("is {gateway}, which is not of the same family as the subnet {subnet}")]
    GatewayFamily { gateway: IpAddr, subnet: IpNet },
    #[error("is an empty list: give it a range")]
    EmptySet,
    #[error("mixes IPv4 and IPv6: make a set of ranges for each")]
    Mixed,
    #[error("overlaps: {first} and {second} have addresses in common")]
    Overlap { first: String, second: String },
    #[error("overlaps {other}: {first} and {second} have addresses in common")]
    SetsOverlap { other: String, first: String, second: String },
}

impl Range {
    /// Checks a range and fills in what it leaves open. The error names the key that is wrong.
    pub(crate) fn new(raw: &RawRange) -> Result<Self, (&'static str, Problem)> {
        let subnet = subnet(raw.subnet.as_deref()).map_err(|problem| ("subnet", problem))?;
        let (first, last) = usable(subnet);
        let start = in_subnet("rangeStart", raw.range_start.as_deref(), subnet)?;
        let end = in_subnet("rangeEnd", raw.range_end.as_deref(), subnet)?;
        let (start, end) = (start.unwrap_or(first).max(first), end.unwrap_or(last).min(last));
        if end < start {
            return Err(("rangeEnd", Problem::Backwards { start, end }));
        }
        let gateway = address("gateway", raw.gateway.as_deref())?.unwrap_or(first);
        if gateway.is_ipv4() != first.is_ipv4() {
            return Err(("gateway", Problem::GatewayFamily { gateway, subnet }));
        }
        Ok(Self { subnet, start, end, gateway })
    }

    /// Returns whether an address may be given from the range.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        // Addresses of different families are ordered as well.
        address.is_ipv4() == self.start.is_ipv4() && self.start <= address && address <= self.end
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Returns an address of the family, and the addresses as numbers.
    fn span(&self) -> (IpAddr, RangeInclusive<u128>) {
        (self.start, bits(self.start)..=bits(self.end))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl RangeSet {
    /// Makes a set of ranges, which must be of one family and not overlap.
    pub(crate) fn new(field: String, ranges: Vec<Range>) -> Result<Self, Problem> {
        let Some(first) = ranges.first() else { return Err(Problem::EmptySet) };
        if ranges.iter().any(|range| range.start.is_ipv4() != first.start.is_ipv4()) {
            return Err(Problem::Mixed);
        }
        for (position, first) in ranges.iter().enumerate() {
            if let Some(second) = ranges[position + 1..].iter().find(|r| r.overlaps(first)) {
                let (first, second) = (first.to_string(), second.to_string());
                return Err(Problem::Overlap { first, second });
            }
        }
        Ok(Self { field, ranges })
    }

    /// Returns the range that an address is of.
    pub(crate) fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.ranges.iter().find(|range| range.contains(address))
    }

    /// Returns whether its ranges are of IPv4.
    pub(crate) fn is_ipv4(&self) -> bool {
        self.ranges.iter().all(|range| range.start.is_ipv4())
    }

    /// Returns every address of the set in the order in which they are tried, round robin: a
    /// container that is restarted over and over gets every other address before it gets the same
    /// one again. It begins after the address leased last, or with the first range where none is
    /// recorded, and ends with the address leased last.
    pub(crate) fn addresses_after(
        &self,
        last: Option<IpAddr>,
    ) -> impl Iterator<Item = IpAddr> + use<> {
        let ranges = &self.ranges;
        let position = last.and_then(|last| ranges.iter().position(|range| range.contains(last)));
        let mut spans: Vec<(IpAddr, RangeInclusive<u128>)> = Vec::new();
        match last.zip(position) {
            None => spans.extend(ranges.iter().map(Range::span)),
            Some((last, position)) => {
                let (family, span) = ranges[position].span();
                let last = bits(last);
                if last < *span.end() {
                    spans.push((family, last + 1..=*span.end()));
                }
                spans.extend(ranges[position + 1..].iter().map(Range::span));
                spans.extend(ranges[..position].iter().map(Range::span));
                spans.push((family, *span.start()..=last));
            }
        }
        spans.into_iter().flat_map(|(family, span)| span.map(move |bits| nth(family, bits)))
    }

    /// Returns the problem of a set that has addresses in common with this one.
    pub(crate) fn overlap(&self, other: &Self) -> Option<Problem> {
        let mut pairs = self.ranges.iter().flat_map(|a| other.ranges.iter().map(move |b| (a, b)));
        let (first, second) = pairs.find(|(a, b)| a.overlaps(b))?;
        Some(Problem::SetsOverlap {
            other: other.field.clone(),
            first: first.to_string(),
            second: second.to_string(),
        })
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.ranges.iter().enumerate() {
            write!(f, "{}{range}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Parses a subnet that has addresses to give.
fn subnet(text: Option<&str>) -> Result<IpNet, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Err(Problem::NoSubnet) };
    let subnet: IpNet =
        text.parse().map_err(|_| Problem::MalformedSubnet { text: text.to_owned() })?;
    if subnet.prefix_len() > subnet.max_prefix_len() - 2 {
        Err(Problem::TooSmall { subnet })
    } else if subnet.addr() != subnet.network() {
        Err(Problem::HostBits { subnet, network: subnet.trunc() })
    } else {
        Ok(subnet)
    }
}

/// Parses the address of a key, if it has one; IPv4 mapped into IPv6 is IPv4.
fn address(
    key: &'static str,
    text: Option<&str>,
) -> Result<Option<IpAddr>, (&'static str, Problem)> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Some(address.to_canonical())),
        Err(_) => Err((key, Problem::MalformedAddress { text: text.to_owned() })),
    }
}

/// Parses the address of a key, if it has one, which must be of the subnet.
fn in_subnet(
    key: &'static str,
    text: Option<&str>,
    subnet: IpNet,
) -> Result<Option<IpAddr>, (&'static str, Problem)> {
    match address(key, text)? {
        Some(address) if !subnet.contains(&address) => {
            Err((key, Problem::Outside { address, subnet }))
        }
        inside => Ok(inside),
    }
}

/// Returns the first and the last address of a subnet that a host may have. IPv6 has no broadcast.
fn usable(subnet: IpNet) -> (IpAddr, IpAddr) {
    let (network, broadcast) = (subnet.network(), subnet.broadcast());
    let last = if broadcast.is_ipv4() { nth(broadcast, bits(broadcast) - 1) } else { broadcast };
    (nth(network, bits(network) + 1), last)
}

/// Returns an address as a number within its family.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Returns the address of this number in the family of another one.
fn nth(family: IpAddr, bits: u128) -> IpAddr {
    match family {
        // The number of an IPv4 address fits: the ranges end within the family.
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(subnet: &str, start: &str, end: &str, gateway: &str) -> RawRange {
        let text = |text: &str| Some(text.to_owned());
        RawRange {
            subnet: text(subnet),
            range_start: text(start),
            range_end: text(end),
            gateway: text(gateway),
        }
    }

    fn range(subnet: &str, start: &str, end: &str) -> Range {
        Range::new(&raw(subnet, start, end, "")).unwrap()
    }

    fn problem(raw: &RawRange) -> String {
        let (key, problem) = Range::new(raw).unwrap_err();
        format!("{key} {problem}")
    }

    #[test]
    fn missing_keys_get_the_subnets_values() {
        for (subnet, start, end, gateway) in [
            ("10.56.217.0/24", "10.56.217.1", "10.56.217.254", "10.56.217.1"),
            ("10.0.0.4/30", "10.0.0.5", "10.0.0.6", "10.0.0.5"),
            ("0.0.0.0/0", "0.0.0.1", "255.255.255.254", "0.0.0.1"),
            ("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff", "fd00::1"),
            ("fd00::4/126", "fd00::5", "fd00::7", "fd00::5"),
        ] {
            let range = range(subnet, "", "");
            let found = [range.start, range.end, range.gateway].map(|ip| ip.to_string());
            assert_eq!(found, [start, end, gateway], "{subnet}");
        }
    }

    #[test]
    fn network_and_broadcast_address_are_not_in_a_range() {
        let range = range("10.0.0.0/24", "10.0.0.0", "10.0.0.255");
        assert_eq!(range.to_string(), "10.0.0.1-10.0.0.254");
    }

    #[test]
    fn wrong_field_is_named_with_its_value() {
        for (raw, expected) in [
            (RawRange::default(), "subnet is missing: write the subnet, like 10.56.217.0/24"),
            (
                raw("10.56.217.0", "", "", ""),
                "subnet is \"10.56.217.0\", which is no subnet: write it like 10.56.217.0/24",
            ),
            (
                raw("10.56.217.5/24", "", "", ""),
                "subnet is 10.56.217.5/24, which has host bits set: the subnet is 10.56.217.0/24",
            ),
            (
                raw("10.0.0.0/24", "x", "", ""),
                "rangeStart is \"x\", which is no address: write it like 10.56.217.1",
            ),
            (
                raw("10.0.0.0/24", "10.0.1.1", "", ""),
                "rangeStart is 10.0.1.1, which is not in the subnet 10.0.0.0/24: write an address \
                 of the subnet",
            ),
            (
                raw("10.0.0.0/24", "10.0.0.9", "10.0.0.8", ""),
                "rangeEnd is 10.0.0.8, which is before the start of the range, 10.0.0.9: write a \
                 later address",
            ),
            (
                raw("10.0.0.0/24", "", "", "fd00::1"),
                "gateway is fd00::1, which is not of the same family as the subnet 10.0.0.0/24",
            ),
        ] {
            assert_eq!(problem(&raw), expected);
        }
        for small in ["10.0.0.0/31", "10.0.0.1/32", "fd00::/127", "fd00::1/128"] {
            assert!(problem(&raw(small, "", "", "")).contains("too small"), "{small}");
        }
    }

    #[test]
    fn ranges_of_a_set_are_of_one_family_and_do_not_overlap() {
        let set = |ranges: &[&Range]| {
            RangeSet::new("f".to_owned(), ranges.iter().copied().cloned().collect())
        };
        let (a, b) = (range("10.0.0.0/24", "", "10.0.0.9"), range("10.0.0.0/24", "10.0.0.10", ""));
        let (c, six) = (range("10.0.0.0/16", "", ""), range("fd00::/64", "", ""));
        assert_eq!(set(&[&a, &b]).unwrap().to_string(), "10.0.0.1-10.0.0.9, 10.0.0.10-10.0.0.254");
        assert_eq!(set(&[]), Err(Problem::EmptySet));
        assert_eq!(set(&[&a, &six]), Err(Problem::Mixed));
        assert!(matches!(set(&[&b, &c]), Err(Problem::Overlap { .. })));
        assert!(set(&[&a]).unwrap().overlap(&set(&[&c]).unwrap()).is_some());
        assert!(set(&[&a]).unwrap().overlap(&set(&[&b]).unwrap()).is_none());
        assert!(set(&[&a]).unwrap().overlap(&set(&[&six]).unwrap()).is_none());
    }

    #[test]
    fn addresses_wrap_around_at_the_end_of_the_family() {
        let end = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let range = range("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124", "", "");
        let set = RangeSet::new("f".to_owned(), vec![range]).unwrap();
        let addresses: Vec<IpAddr> = set.addresses_after(Some(end.parse().unwrap())).collect();
        assert_eq!(addresses[0].to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1");
        assert_eq!((addresses.len(), addresses[14].to_string().as_str()), (15, end));
    }
}
