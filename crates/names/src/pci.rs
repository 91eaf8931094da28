//! PCI addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{NameError, string_type};

/// The address of a PCI function, `domain:bus:device.function`, as sysfs spells it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl PciAddress {
    /// Returns domain, bus and device without the function: equal for the ports of one card.
    pub fn slot(self) -> String {
        format!("{:04x}:{:02x}:{:02x}", self.domain, self.bus, self.device)
    }

    /// Returns the function whose routing ID (bus, device and function as 16 bits) is `offset`
    /// further on: so the PCI Express base specification (section 9.2.1.2) numbers the VFs of a PF.
    /// None past the last bus of the domain.
    #[must_use]
    pub fn plus(self, offset: u16) -> Option<Self> {
        let [bus, low] = self.routing_id().checked_add(offset)?.to_be_bytes();
        Some(Self { domain: self.domain, bus, device: low >> 3, function: low & 7 })
    }

    /// Returns the distance of its routing ID from that of `first`. None when it lies before
    /// `first` or in another domain.
    #[must_use]
    pub fn offset_from(self, first: Self) -> Option<u16> {
        let distance = self.routing_id().checked_sub(first.routing_id());
        distance.filter(|_| self.domain == first.domain)
    }

    fn routing_id(self) -> u16 {
        u16::from(self.bus) << 8 | u16::from(self.device) << 3 | u16::from(self.function)
    }
}

impl FromStr for PciAddress {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let form = "domain:bus:device.function, like 0000:03:10.1";
        parse(text).ok_or_else(|| NameError::malformed("PCI address", text, form))
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    // Domains have 4 digits, and up to 8 behind Intel VMD.
    let domain = hex(domain, 4..=8)?;
    let bus = u8::try_from(hex(bus, 2..=2)?).ok()?;
    let device = u8::try_from(hex(device, 2..=2)?).ok().filter(|&d| d < 32)?;
    let function = u8::try_from(hex(function, 1..=1)?).ok().filter(|&f| f < 8)?;
    Some(PciAddress { domain, bus, device, function })
}

fn hex(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let all_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    if all_hex && digits.contains(&text.len()) { u32::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

string_type!(PciAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysfs_spelling_round_trips() {
        for text in ["0000:03:10.1", "10000:e1:00.0", "0000:ff:1f.7"] {
            assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn offset_crosses_devices_and_buses() {
        let pf: PciAddress = "0000:01:00.0".parse().unwrap();
        // An 82576 has its VFs at offset 128, stride 2.
        let vfs: Vec<_> =
            [128, 134, 136, 256].map(|offset| pf.plus(offset).unwrap().to_string()).into();
        assert_eq!(vfs, ["0000:01:10.0", "0000:01:10.6", "0000:01:11.0", "0000:02:00.0"]);
        let address = |text: &str| text.parse::<PciAddress>().unwrap();
        assert_eq!(address("0000:ff:1f.7").plus(1), None);
        for offset in [0, 128, 256] {
            assert_eq!(pf.plus(offset).unwrap().offset_from(pf), Some(offset));
        }
        assert_eq!(pf.offset_from(address("0000:01:00.1")), None);
        assert_eq!(address("0001:01:10.0").offset_from(pf), None);
    }

    #[test]
    fn malformed_address_is_refused() {
        for text in [
            "",
            "03:10.1",
            "0000:03:10",
            "0000:03:20.1",
            "0000:03:10.8",
            "0000:3:10.1",
            "../0000:03:10.1",
        ] {
            assert!(text.parse::<PciAddress>().is_err(), "{text:?} was accepted");
        }
    }
}
