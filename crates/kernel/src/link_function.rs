//! The PCI function behind a link: its address, and of a VF its PF and number.

use podbond_names::{LinkName, PciAddress};
use serde::{Deserialize, Serialize};

use crate::{Link, Result, Sysfs};

/// The PCI function behind a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkFunction {
    /// Its address.
    pub pci: PciAddress,
    /// The PF's link on the node; none where the function is no VF, or its PF has no link there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pf: Option<LinkName>,
    /// The VF's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vf: Option<u16>,
}

impl LinkFunction {
    /// Returns the function behind a link; none of a link without hardware.
    pub fn of(link: &Link, sysfs: &Sysfs) -> Result<Option<Self>> {
        let Some(pci) = link.parent else { return Ok(None) };
        Ok(Some(match sysfs.pf_of(pci)? {
            Some(pf) => Self { pci, pf: sysfs.link_of(pf)?, vf: sysfs.vf_index(pf, pci)? },
            None => Self { pci, pf: None, vf: None },
        }))
    }
}
