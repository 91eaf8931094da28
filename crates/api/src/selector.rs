//! Which PFs a policy selects, and which of their VFs.

use std::fmt;
use std::str::FromStr;

use podbond_names::{LinkName, PciAddress};

use crate::fields::Fields;
use crate::{FieldError, Reason};

/// Which PFs a policy is for. Each field that is given must match; at least one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicSelector {
    /// The PF's PCI vendor.
    pub vendor: Option<PciId>,
    /// The PF's PCI device.
    pub device_id: Option<PciId>,
    /// PCI addresses of PFs; empty: any.
    pub root_devices: Vec<PciAddress>,
    /// Names of PFs, each perhaps with the VFs meant; empty: any.
    pub pf_names: Vec<PfSelector>,
}

/// A PCI vendor or device, as `8086` or `158b`: four hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciId(pub u16);

/// One entry of `pfNames`: `ens1f0`, or `ens1f0#0-3` for some of its VFs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PfSelector {
    /// The PF's interface name.
    pub name: LinkName,
    /// The VFs meant; absent: all that the policy makes.
    pub vfs: Option<VfRange>,
}

/// VF indices from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VfRange {
    first: u16,
    last: u16,
}

impl NicSelector {
    pub(crate) fn read(spec: &Fields<'_>) -> Result<Self, FieldError> {
        let fields = spec.object("nicSelector")?;
        if let Some(filter) = fields.text("netFilter")? {
            let help = "select by vendor, deviceID, rootDevices or pfNames";
            let reason = Reason::unsupported(format!("{filter:?}"), help);
            return Err(fields.error("netFilter", reason));
        }
        let selector = Self {
            vendor: fields.parsed("vendor")?,
            device_id: fields.parsed("deviceID")?,
            root_devices: fields.list("rootDevices")?,
            pf_names: fields.list("pfNames")?,
        };
        if selector.is_empty() {
            let expected = "at least one of vendor, deviceID, rootDevices and pfNames";
            return Err(spec.error("nicSelector", Reason::missing(expected)));
        }
        Ok(selector)
    }

    fn is_empty(&self) -> bool {
        self.vendor.is_none()
            && self.device_id.is_none()
            && self.root_devices.is_empty()
            && self.pf_names.is_empty()
    }
}

impl VfRange {
    /// The first `count` VFs; nothing when `count` is 0.
    pub fn first(count: u16) -> Option<Self> {
        Some(Self { first: 0, last: count.checked_sub(1)? })
    }

    /// Reads `first-last`.
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let (first, last) = (index(first)?, index(last)?);
        (first <= last).then_some(Self { first, last })
    }

    /// The indices, in order.
    pub fn indices(self) -> std::ops::RangeInclusive<u16> {
        self.first..=self.last
    }

    /// The highest index.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether an index is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl FromStr for PciId {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let all_hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let id = u16::from_str_radix(digits, 16).ok().filter(|_| all_hex);
        id.map(Self).ok_or_else(|| {
            Reason::unexpected(format!("{text:?}"), "four hexadecimal digits, as \"8086\"")
        })
    }
}

impl FromStr for PfSelector {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        let (name, vfs) = match text.split_once('#') {
            None => (text, None),
            Some((name, range)) => {
                let vfs = VfRange::parse(range).ok_or_else(|| {
                    let expected = "the PF's name, `#` and a range of VFs, as \"ens1f0#0-3\"";
                    Reason::unexpected(format!("{text:?}"), expected)
                })?;
                (name, Some(vfs))
            }
        };
        Ok(Self { name: name.parse()?, vfs })
    }
}

/// Reads a number of digits alone.
fn index(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

impl fmt::Display for VfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl fmt::Display for PfSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vfs {
            None => write!(f, "{}", self.name),
            Some(vfs) => write!(f, "{}#{vfs}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pf_name_may_have_a_range_of_vfs() {
        let plain: PfSelector = "ens1f0np0".parse().unwrap();
        assert_eq!((plain.name.as_str(), plain.vfs), ("ens1f0np0", None));
        let ranged: PfSelector = "ens1f0#2-5".parse().unwrap();
        assert_eq!(ranged.vfs.unwrap().indices(), 2..=5);
        assert_eq!(ranged.to_string(), "ens1f0#2-5");
    }

    #[test]
    fn wrong_range_is_refused_with_the_form_to_write() {
        for text in ["ens1f0#", "ens1f0#3", "ens1f0#3-1", "ens1f0#0-x", "ens1f0#0-3#4", "a#+1-2"] {
            let message = text.parse::<PfSelector>().unwrap_err().to_string();
            assert!(message.contains("\"ens1f0#0-3\""), "{text:?}: {message}");
        }
        assert!("#0-3".parse::<PfSelector>().is_err());
    }

    #[test]
    fn ranges_overlap_when_they_share_an_index() {
        let range = |text: &str| VfRange::parse(text).unwrap();
        assert!(range("0-3").overlaps(range("3-5")));
        assert!(range("2-2").overlaps(range("0-7")));
        assert!(!range("0-3").overlaps(range("4-5")));
    }

    #[test]
    fn pci_ids_are_four_hexadecimal_digits() {
        assert_eq!("158B".parse::<PciId>().unwrap().to_string(), "158b");
        assert_eq!("0x15b3".parse::<PciId>().unwrap(), PciId(0x15b3));
        for text in ["", "15b", "15b33", "intel", "+123"] {
            assert!(text.parse::<PciId>().is_err(), "{text:?} was accepted");
        }
    }
}
