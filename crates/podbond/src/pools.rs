use std::collections::{BTreeMap, VecDeque};

use podbond_api::{Management, ResourceName};
use podbond_inventory::{Assignment, Error, Holders, Inventory, Occupant, Pf, VfGroup};
use podbond_kernel::{Link, LinkState, Sysfs, Vf, VfSettings, View};
use podbond_names::{LinkName, Mac, PciAddress};

/// The VFs of each resource as a preview gives them out: those that are there, and those that the
/// policies about to be applied will make.
pub(crate) struct Pools {
    pools: BTreeMap<ResourceName, Pool>,
    holders: Holders,
}

#[derive(Default)]
struct Pool {
    free: VecDeque<Free>,
    held: Vec<(PciAddress, Occupant)>,
}

/// A VF that a pod may be given.
enum Free {
    /// It is there.
    Present(PciAddress),
    /// It will be made: this is how a card makes it.
    ToBeMade(Box<(Vf, Link)>),
}

impl Pools {
    /// The pools that an assignment makes of the cards.
    pub(crate) fn new(
        assignment: &Assignment,
        inventory: &Inventory,
        holders: Holders,
        sysfs: &Sysfs,
    ) -> Result<Self, Error> {
        let mut pools = Self { pools: BTreeMap::new(), holders };
        for (number, assigned) in (0..).zip(&assignment.pfs) {
            let Some(pf) = inventory.pf(assigned.pf) else { continue };
            // Of VFs that others make there may be more than the policies ask for.
            let stays =
                assigned.management == Management::External || pf.num_vfs == assigned.num_vfs;
            for group in &assigned.groups {
                let pool = pools.pools.entry(group.resource.clone()).or_default();
                if stays {
                    pool.add_present(pf, group, &pools.holders);
                } else {
                    pool.free.extend(to_be_made(pf, number, group, sysfs)?);
                }
            }
        }
        Ok(pools)
    }

    /// Takes the VF of this address, of whatever pool, for a holder.
    pub(crate) fn claim(&mut self, vf: PciAddress, holder: String) -> Result<PciAddress, Error> {
        if let Some(occupant) = self.holders.of(vf) {
            return Err(Error::Held { vf, occupant: Box::new(occupant.clone()) });
        }
        for pool in self.pools.values_mut() {
            let before = pool.free.len();
            pool.free.retain(|free| free.pci() != vf);
            if pool.free.len() < before {
                pool.held.push((vf, Occupant::Planned(holder.clone())));
            }
        }
        self.holders.plan(vf, holder);
        Ok(vf)
    }

    /// Takes the next free VF of a resource for a holder. One that is not there yet comes into the
    /// view.
    pub(crate) fn take(
        &mut self,
        resource: &ResourceName,
        holder: String,
        view: &mut View,
    ) -> Result<PciAddress, Error> {
        let Some(pool) = self.pools.get_mut(resource) else {
            let known = self.pools.keys().map(ToString::to_string).collect();
            return Err(Error::UnknownResource { resource: resource.clone(), present: known });
        };
        let Some(free) = pool.free.pop_front() else {
            return Err(Error::NoFreeVf { resource: resource.clone(), held: pool.held.clone() });
        };
        let pci = free.pci();
        if let Free::ToBeMade(made) = free {
            let (vf, link) = *made;
            view.vfs.push(vf);
            view.host.push(link);
        }
        pool.held.push((pci, Occupant::Planned(holder.clone())));
        self.holders.plan(pci, holder);
        Ok(pci)
    }
}

impl Free {
    fn pci(&self) -> PciAddress {
        match self {
            Self::Present(pci) => *pci,
            Self::ToBeMade(made) => made.0.pci,
        }
    }
}

impl Pool {
    fn add_present(&mut self, pf: &Pf, group: &VfGroup, holders: &Holders) {
        for vf in group.vfs.indices().filter_map(|index| pf.vf(index)) {
            match holders.of(vf.pci) {
                Some(occupant) => self.held.push((vf.pci, occupant.clone())),
                None => self.free.push_back(Free::Present(vf.pci)),
            }
        }
    }
}

/// The VFs of a group as their card will make them: not trusted, each with its own address. A PF
/// without a link has no name to set its VFs by, and one that does not tell where its VFs will be
/// is of a kernel older than 4.14: their VFs are not foreseen.
fn to_be_made(pf: &Pf, pf_number: u8, group: &VfGroup, sysfs: &Sysfs) -> Result<Vec<Free>, Error> {
    let number = |name| -> Result<Option<u16>, Error> {
        Ok(sysfs.attribute(pf.pci, name)?.and_then(|text| text.parse().ok()))
    };
    let (Some(link), Some(offset), Some(stride)) =
        (&pf.link, number("sriov_offset")?, number("sriov_stride")?)
    else {
        return Ok(Vec::new());
    };
    let mut made = Vec::new();
    for index in group.vfs.indices() {
        let distance = stride.checked_mul(index).and_then(|far| far.checked_add(offset));
        let Some(pci) = distance.and_then(|distance| pf.pci.plus(distance)) else { break };
        let vf = Vf {
            pci,
            pf: pf.pci,
            pf_link: link.name.clone(),
            index,
            driver: None,
            settings: VfSettings {
                trust: Some(false),
                spoofchk: Some(true),
                ..VfSettings::default()
            },
        };
        // udev's name for it, where that is not too long.
        let name = format!("{}v{index}", link.name).parse::<LinkName>();
        let Ok(name) = name.or_else(|_| format!("vf{index}").parse()) else { continue };
        // Some address of its own, as every VF has; which one is the card's secret until then.
        let [high, low] = index.to_be_bytes();
        let mac = Mac::new([0x02, 0, 0, pf_number, high, low]);
        made.push(Free::ToBeMade(Box::new((vf, vf_link(pci, name, mac, link.mtu)))));
    }
    Ok(made)
}

fn vf_link(pci: PciAddress, name: LinkName, mac: Mac, mtu: u32) -> Link {
    Link {
        index: 0,
        name,
        altnames: Vec::new(),
        kind: None,
        mac: Some(mac),
        permanent_mac: None,
        mtu,
        max_mtu: 0,
        state: LinkState::Down,
        carrier: false,
        master: None,
        parent: Some(pci),
        vlan: None,
        bond: None,
        aggregator: None,
        port: None,
    }
}

#[cfg(test)]
mod tests {
    use podbond_api::{DeviceType, PciId, VfRange};
    use podbond_inventory::PfAssignment;

    use super::*;

    const PF: &str = "0000:01:00.0";

    fn vf(index: u16) -> podbond_inventory::Vf {
        let pci = format!("0000:01:10.{index}").parse().unwrap();
        podbond_inventory::Vf { index, pci, driver: None, link: None, admin_mac: None }
    }

    /// A PF with four VFs, of which a policy for VFs that others make wants the first two.
    fn pools() -> Pools {
        let pf = Pf {
            pci: PF.parse().unwrap(),
            link: None,
            vendor: PciId(0x8086),
            device: PciId(0x10c9),
            driver: None,
            total_vfs: 7,
            num_vfs: 4,
            vfs: (0..4).map(vf).collect(),
        };
        let group = VfGroup {
            policy: "ops/p".parse().unwrap(),
            resource: resource(),
            vfs: VfRange::first(2).unwrap(),
            device_type: DeviceType::Netdevice,
            mtu: None,
        };
        let assigned = PfAssignment {
            pf: pf.pci,
            num_vfs: 2,
            mtu: None,
            management: Management::External,
            groups: vec![group],
        };
        let assignment = Assignment { pfs: vec![assigned], overridden: Vec::new() };
        let (inventory, sysfs) = (Inventory { pfs: vec![pf] }, Sysfs::new("/nowhere"));
        Pools::new(&assignment, &inventory, Holders::default(), &sysfs).unwrap()
    }

    fn resource() -> ResourceName {
        "r".parse().unwrap()
    }

    fn holder(pod: &str) -> String {
        format!("net1 of pod {pod}")
    }

    #[test]
    fn of_more_vfs_than_a_policy_wants_the_first_ones_are_given_as_they_are() {
        let (mut pools, mut view) = (pools(), View::default());
        for index in 0..2 {
            let taken = pools.take(&resource(), holder("demo/a"), &mut view).unwrap();
            assert_eq!(taken, vf(index).pci);
        }
        assert!(view.vfs.is_empty(), "they are there already");
        let error = pools.take(&resource(), holder("demo/b"), &mut view).unwrap_err().to_string();
        assert!(error.contains("0000:01:10.1: net1 of pod demo/a"), "{error}");
    }

    #[test]
    fn a_vf_is_given_once_by_whichever_way() {
        let (mut pools, mut view) = (pools(), View::default());
        pools.claim(vf(0).pci, holder("demo/a")).unwrap();
        let error = pools.claim(vf(0).pci, holder("demo/b")).unwrap_err().to_string();
        assert!(error.contains("held by net1 of pod demo/a"), "{error}");
        let taken = pools.take(&resource(), holder("demo/b"), &mut view).unwrap();
        assert_eq!(taken, vf(1).pci);
        assert!(pools.claim(taken, holder("demo/c")).is_err());
    }
}
