//! Which addresses of a block are taken, one bit each: pure.

use std::iter;
use std::net::IpAddr;

use crate::range::{bits, nth};

/// How many addresses a block has: the bits of one page of memory.
const ADDRESSES: u128 = 1 << 15;

/// The size of a block, in bytes.
pub(crate) const SIZE: usize = 1 << 12;

/// Where the bit of an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first address of its block. Blocks begin at multiples of their size, whatever ranges a
    /// configuration has.
    pub(crate) block: IpAddr,
    /// The byte of the block.
    pub(crate) byte: usize,
    /// The bit of the byte.
    bit: u8,
}

impl Place {
    pub(crate) fn of(address: IpAddr) -> Self {
        let number = bits(address);
        let within = number % ADDRESSES;
        // Both fit: there are fewer bits in a block than a u16 counts.
        let byte = usize::try_from(within / 8).unwrap_or_default();
        let bit = u8::try_from(within % 8).unwrap_or_default();
        Self { block: nth(address, number - within), byte, bit }
    }
}

/// The addresses of one block that are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bitmap(Vec<u8>);

impl Bitmap {
    /// A block of which nothing is taken.
    pub(crate) fn empty() -> Self {
        Self(vec![0; SIZE])
    }

    /// Reads a block; none if it is not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == SIZE).then(|| Self(bytes.to_owned()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Notes that an address of the block is taken or free. Gives the byte that holds it.
    pub(crate) fn set(&mut self, place: Place, is_taken: bool) -> u8 {
        let (byte, mask) = (&mut self.0[place.byte], 1 << place.bit);
        *byte = if is_taken { *byte | mask } else { *byte & !mask };
        *byte
    }

    /// The first free address from one of the block to another one of it.
    pub(crate) fn first_free(&self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        let (mut number, last) = (bits(from), bits(to));
        while number <= last {
            let place = Place::of(nth(from, number));
            match self.0[place.byte] {
                u8::MAX => number = (number | 7).checked_add(1)?,
                byte if byte & (1 << place.bit) == 0 => return Some(nth(from, number)),
                _ => number = number.checked_add(1)?,
            }
        }
        None
    }
}

/// The addresses from one to another of its family, cut where a block ends: of each part the first
/// and the last.
pub(crate) fn parts(from: IpAddr, to: IpAddr) -> impl Iterator<Item = (IpAddr, IpAddr)> {
    let mut next = Some(from).filter(|from| *from <= to);
    iter::from_fn(move || {
        let first = next?;
        let end = bits(Place::of(first).block) + (ADDRESSES - 1);
        let last = nth(first, end).min(to);
        next = (last < to).then(|| nth(first, end + 1));
        Some((first, last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn taken(addresses: &[&str]) -> Bitmap {
        let mut bitmap = Bitmap::empty();
        for address in addresses {
            bitmap.set(Place::of(ip(address)), true);
        }
        bitmap
    }

    #[test]
    fn an_address_has_a_bit_in_the_block_of_its_neighbours() {
        for (address, block, byte, bit) in [
            ("10.56.217.2", "10.56.128.0", 0x5902 / 8, 2),
            ("10.56.127.255", "10.56.0.0", 4095, 7),
            ("255.255.255.255", "255.255.128.0", 4095, 7),
            ("fd00::8001", "fd00::8000", 0, 1),
            ("::", "::", 0, 0),
        ] {
            assert_eq!(Place::of(ip(address)), Place { block: ip(block), byte, bit }, "{address}");
        }
    }

    #[test]
    fn the_first_free_address_is_found_and_no_further_than_asked() {
        let some = taken(&["10.0.0.2", "10.0.0.3", "10.0.0.5"]);
        for (from, to, free) in [
            ("10.0.0.2", "10.0.0.9", Some("10.0.0.4")),
            ("10.0.0.5", "10.0.0.9", Some("10.0.0.6")),
            ("10.0.0.2", "10.0.0.3", None),
            ("10.0.0.4", "10.0.0.4", Some("10.0.0.4")),
        ] {
            assert_eq!(some.first_free(ip(from), ip(to)), free.map(ip), "{from} to {to}");
        }
    }

    #[test]
    fn whole_bytes_that_are_taken_are_passed_over_and_none_beside_them() {
        let mut bitmap = Bitmap::empty();
        for number in 0..1000 {
            bitmap.set(Place::of(nth(ip("10.0.0.0"), bits(ip("10.0.0.0")) + number)), true);
        }
        assert_eq!(bitmap.first_free(ip("10.0.0.1"), ip("10.0.9.0")), Some(ip("10.0.3.232")));
        assert_eq!(bitmap.first_free(ip("10.0.0.1"), ip("10.0.3.231")), None);
        bitmap.set(Place::of(ip("10.0.1.7")), false);
        assert_eq!(bitmap.first_free(ip("10.0.0.1"), ip("10.0.9.0")), Some(ip("10.0.1.7")));
        let end = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        bitmap.set(Place::of(end), true);
        assert_eq!(bitmap.first_free(end, end), None);
    }

    #[test]
    fn a_block_is_read_as_it_was_written_or_not_at_all() {
        let bitmap = taken(&["10.0.0.2"]);
        assert_eq!(Bitmap::parse(bitmap.as_bytes()), Some(bitmap.clone()));
        for torn in [&[][..], &bitmap.as_bytes()[1..], &[0; SIZE + 1]] {
            assert_eq!(Bitmap::parse(torn), None);
        }
    }

    #[test]
    fn addresses_are_cut_where_a_block_ends() {
        let parts = |from: &str, to: &str| {
            let parts = parts(ip(from), ip(to));
            parts.map(|(from, to)| format!("{from}-{to}")).collect::<Vec<_>>()
        };
        assert_eq!(parts("10.0.0.1", "10.0.0.9"), ["10.0.0.1-10.0.0.9"]);
        assert_eq!(
            parts("10.0.0.1", "10.0.128.0"),
            ["10.0.0.1-10.0.127.255", "10.0.128.0-10.0.128.0"]
        );
        assert_eq!(parts("10.0.0.2", "10.0.0.1"), Vec::<String>::new());
        assert_eq!(parts("255.255.255.255", "255.255.255.255").len(), 1);
        let end = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(parts(end, end), [format!("{end}-{end}")]);
    }
}
