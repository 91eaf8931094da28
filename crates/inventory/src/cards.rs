//! The physical and virtual functions (PFs and VFs) of a node, as sysfs and the kernel show them.

use std::str::FromStr;

use podbond_api::{LinkType, PciId};
use podbond_kernel::{Apply, Kernel, LinkState, Sysfs};
use podbond_names::{LinkName, Mac, PciAddress};

use crate::error::Error;

/// The PFs of a node with their VFs, in order of PCI address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Every network function that can have VFs.
    pub pfs: Vec<Pf>,
}

/// A physical function: one network port of a card that can have VFs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pf {
    /// Its PCI address.
    pub pci: PciAddress,
    /// Its link; none while it has no driver, or is in another namespace.
    pub link: Option<NetLink>,
    /// PCI vendor.
    pub vendor: PciId,
    /// PCI device.
    pub device: PciId,
    /// The driver bound to it.
    pub driver: Option<String>,
    /// How many VFs it can have (`sriov_totalvfs`).
    pub total_vfs: u16,
    /// How many it has (`sriov_numvfs`).
    pub num_vfs: u16,
    /// Its VFs in order of index.
    pub vfs: Vec<Vf>,
}

/// A virtual function of a PF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vf {
    /// The PF's number for it.
    pub index: u16,
    /// Its PCI address.
    pub pci: PciAddress,
    /// The driver bound to it.
    pub driver: Option<String>,
    /// Its link on the host; none while a pod has it, or while no network driver is bound.
    pub link: Option<NetLink>,
    /// Its administrative MAC on the PF; none where it was not read, or the PF shows none.
    pub admin_mac: Option<Mac>,
}

/// A link of the host as sysfs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLink {
    /// Its name at present.
    pub name: LinkName,
    /// In bytes.
    pub mtu: u32,
    /// Whether it is up by administration.
    pub state: LinkState,
    /// Its kind; none for one that is neither Ethernet nor InfiniBand.
    pub link_type: Option<LinkType>,
    /// Its own address, where that is an Ethernet address.
    pub mac: Option<Mac>,
}

/// Cards that can be observed and changed: the kernel's, or simulated ones in tests.
pub trait Cards: Apply {
    /// Returns the cards with the administrative MACs of their VFs.
    fn inventory(&mut self) -> Result<Inventory, Error>;
}

impl Cards for Kernel {
    fn inventory(&mut self) -> Result<Inventory, Error> {
        let mut inventory = Inventory::read(self.sysfs())?;
        for pf in inventory.pfs.iter_mut().filter(|pf| pf.num_vfs > 0) {
            let Some(link) = &pf.link else { continue };
            let shown = self.vfs(&link.name)?;
            for vf in &mut pf.vfs {
                let of_pf = shown.iter().find(|shown| shown.pci == vf.pci);
                vf.admin_mac = of_pf.and_then(|shown| shown.settings.mac);
            }
        }
        Ok(inventory)
    }
}

impl Inventory {
    /// Returns the cards as sysfs shows them, without those that vanish meanwhile.
    pub fn read(sysfs: &Sysfs) -> Result<Self, Error> {
        let mut pfs = Vec::new();
        for pci in sysfs.network_functions()? {
            if let Some(pf) = read_pf(sysfs, pci)? {
                pfs.push(pf);
            }
        }
        Ok(Self { pfs })
    }

    /// Returns the same with one PF alone.
    pub(crate) fn read_one(sysfs: &Sysfs, pf: PciAddress) -> Result<Self, Error> {
        Ok(Self { pfs: read_pf(sysfs, pf)?.into_iter().collect() })
    }

    /// Returns the PF at an address.
    pub fn pf(&self, pci: PciAddress) -> Option<&Pf> {
        self.pfs.iter().find(|pf| pf.pci == pci)
    }

    /// Returns the VF at an address, with its PF.
    pub fn vf(&self, pci: PciAddress) -> Option<(&Pf, &Vf)> {
        self.pfs.iter().find_map(|pf| Some((pf, pf.vfs.iter().find(|vf| vf.pci == pci)?)))
    }
}

impl Pf {
    /// Returns the VF of this index.
    pub fn vf(&self, index: u16) -> Option<&Vf> {
        self.vfs.iter().find(|vf| vf.index == index)
    }

    /// Returns its link's name for people, or its address where it has no link.
    pub fn label(&self) -> String {
        self.link.as_ref().map_or_else(|| self.pci.to_string(), |link| link.name.to_string())
    }
}

impl Vf {
    /// Returns whether a user-space driver is bound, as vfio-pci, so that the VF has no link.
    pub fn is_userspace(&self) -> bool {
        self.driver.as_deref().is_some_and(podbond_kernel::is_userspace_driver)
    }
}

/// Returns the PF at an address; none for a function without `sriov_totalvfs`, as a VF is.
fn read_pf(sysfs: &Sysfs, pci: PciAddress) -> Result<Option<Pf>, Error> {
    let Some(total_vfs) = parsed(sysfs, pci, "sriov_totalvfs")?.filter(|total| *total > 0) else {
        return Ok(None);
    };
    let (Some(vendor), Some(device)) =
        (parsed(sysfs, pci, "vendor")?, parsed(sysfs, pci, "device")?)
    else {
        return Ok(None);
    };
    let mut vfs = Vec::new();
    for (index, vf) in sysfs.vfs_of(pci)? {
        // The PF's link to a VF stays where the VF was removed from the bus.
        if sysfs.pf_of(vf)?.is_none() {
            continue;
        }
        let (driver, link) = (sysfs.driver(vf)?, read_link(sysfs, vf)?);
        vfs.push(Vf { index, pci: vf, driver, link, admin_mac: None });
    }
    Ok(Some(Pf {
        pci,
        link: read_link(sysfs, pci)?,
        vendor,
        device,
        driver: sysfs.driver(pci)?,
        total_vfs,
        num_vfs: parsed(sysfs, pci, "sriov_numvfs")?.unwrap_or(0),
        vfs,
    }))
}

/// Returns an attribute of a function; none where it is absent or does not parse.
fn parsed<T: FromStr>(sysfs: &Sysfs, pci: PciAddress, name: &str) -> Result<Option<T>, Error> {
    Ok(sysfs.attribute(pci, name)?.and_then(|text| text.parse().ok()))
}

/// Returns the link of a function on the host.
fn read_link(sysfs: &Sysfs, pci: PciAddress) -> Result<Option<NetLink>, Error> {
    let Some(name) = sysfs.link_of(pci)? else { return Ok(None) };
    let attribute = |file: &str| sysfs.attribute(pci, &format!("net/{name}/{file}"));
    let Some(mtu) = attribute("mtu")?.and_then(|text| text.parse().ok()) else { return Ok(None) };
    let flags = attribute("flags")?.and_then(|text| hexadecimal(&text)).unwrap_or(0);
    Ok(Some(NetLink {
        mtu,
        state: if flags & IFF_UP == 0 { LinkState::Down } else { LinkState::Up },
        link_type: match attribute("type")?.as_deref() {
            Some(ARPHRD_ETHER) => Some(LinkType::Ethernet),
            Some(ARPHRD_INFINIBAND) => Some(LinkType::InfiniBand),
            _ => None,
        },
        mac: attribute("address")?.and_then(|text| text.parse().ok()),
        name,
    }))
}

/// `IFF_UP` of if.h.
const IFF_UP: u32 = 1;
/// Hardware types of `if_arp.h`, as sysfs writes them.
const ARPHRD_ETHER: &str = "1";
const ARPHRD_INFINIBAND: &str = "32";

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
