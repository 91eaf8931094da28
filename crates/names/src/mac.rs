//! Ethernet MAC addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{NameError, string_type};

/// An Ethernet hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// All zeros: what a PF shows for a VF that was given no address.
    pub const ZERO: Self = Self([0; 6]);

    /// Returns the address with these bytes, in transmission order.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes in transmission order.
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// Returns whether it is a group's address: the lowest bit of the first byte is set.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Returns whether one interface can have it: it is neither a group's nor all zeros (the
    /// kernel's `is_valid_ether_addr`).
    pub fn is_unicast(self) -> bool {
        self != Self::ZERO && !self.is_multicast()
    }
}

impl FromStr for Mac {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let form = "six pairs of hexadecimal digits, like 02:00:00:00:00:01";
        let malformed = || NameError::malformed("MAC address", text, form);
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().ok_or_else(malformed)?;
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(malformed());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| malformed())?;
        }
        if pairs.next().is_some() { Err(malformed()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

string_type!(Mac);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_are_read() {
        for text in ["02:00:00:AB:cd:01", "02-00-00-ab-cd-01"] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), "02:00:00:ab:cd:01");
        }
    }

    #[test]
    fn group_and_zero_addresses_are_not_unicast() {
        for (text, expected) in [
            ("02:00:00:00:00:01", true),
            ("00:00:00:00:00:00", false),
            ("01:00:5e:00:00:01", false),
            ("ff:ff:ff:ff:ff:ff", false),
        ] {
            assert_eq!(text.parse::<Mac>().unwrap().is_unicast(), expected, "{text}");
        }
    }

    #[test]
    fn malformed_address_is_refused() {
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "2:0:0:0:0:0", "02:00:00:00:00:+1"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text:?} was accepted");
        }
    }
}
