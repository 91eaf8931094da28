//! The choice of VFs in a preview, also of those that a policy is about to make: they stand in the
//! inventory and the view as placeholders. The plans of plugins need them there so that a pod that
//! cannot be attached is refused before its VFs are made.

use podbond_attach::DeviceRequest;
use podbond_bond::{Functions, VfOwner};
use podbond_cni::{Attachment, Failure};
use podbond_inventory::{Assignment, Error, Holders, Inventory, Pf};
use podbond_kernel::{Link, LinkState, Netns, Step, Sysfs, Vf, VfSettings, View};
use podbond_names::{LinkName, Mac, PciAddress};

/// The VFs of the node once the policies are applied, and who holds them.
#[derive(Debug)]
pub(super) struct PlannedVfs {
    inventory: Inventory,
    assignment: Assignment,
    holders: Holders,
}

impl PlannedVfs {
    /// Returns the VFs that there are after the policies' first steps, and changes the view as these
    /// do. A PF that comes up is taken to have carrier.
    pub(super) fn new(
        steps: &[Step],
        assignment: Assignment,
        mut inventory: Inventory,
        holders: Holders,
        sysfs: &Sysfs,
        view: &mut View,
    ) -> Result<Self, Error> {
        view.apply(steps);
        for step in steps {
            match step {
                Step::SetState { at, to: LinkState::Up } => {
                    if let Some(pf) = view.host.iter_mut().find(|link| link.name == at.name) {
                        pf.carrier = true;
                    }
                }
                Step::SetNumVfs { pf, to, .. } => {
                    if let Some(pf) = inventory.pfs.iter_mut().find(|known| known.pci == *pf) {
                        replace_vfs(pf, *to, sysfs, view)?;
                    }
                }
                _ => {}
            }
        }
        Ok(Self { inventory, assignment, holders })
    }

    /// Chooses the VF of an attachment, which `holder` has from then on; none where it needs none.
    pub(super) fn choose(
        &mut self,
        request: &DeviceRequest,
        holder: String,
    ) -> Result<Option<PciAddress>, Error> {
        let vf = match request {
            DeviceRequest::None => return Ok(None),
            DeviceRequest::This(vf) => match self.holders.of(*vf) {
                None => *vf,
                Some(occupant) => {
                    return Err(Error::Held { vf: *vf, occupant: Box::new(occupant.clone()) });
                }
            },
            DeviceRequest::OneOf(resource) => {
                let occupant = |vf: &podbond_inventory::Vf| Ok(self.holders.of(vf.pci).cloned());
                self.assignment.free_vf(resource, &self.inventory, occupant)?
            }
        };
        self.holders.plan(vf, holder);
        Ok(Some(vf))
    }
}

impl Functions for PlannedVfs {
    fn num_vfs(&self, _: &Sysfs, function: PciAddress) -> Result<u16, Failure> {
        Ok(self.inventory.pf(function).map_or(0, |pf| pf.num_vfs))
    }

    fn owner(
        &self,
        _: &Sysfs,
        function: PciAddress,
        _: Option<&Attachment>,
    ) -> Result<Option<VfOwner>, Failure> {
        if let Some(occupant) = self.holders.of(function) {
            return Ok(Some(VfOwner::Holder(occupant.to_string())));
        }
        let policy = self.assignment.policy_of(function, &self.inventory);
        Ok(policy.map(|policy| VfOwner::Policy(policy.to_string())))
    }
}

/// Puts placeholders in the place of a PF's VFs, in the inventory and in the view: not trusted, as a
/// card makes them, and each with a MAC address that no other has, since plans compare these, and that the PF has set.
///
/// There are none of a PF without a link, whose name their settings go by.
fn replace_vfs(pf: &mut Pf, number: u16, sysfs: &Sysfs, view: &mut View) -> Result<(), Error> {
    let old: Vec<PciAddress> = pf.vfs.drain(..).map(|vf| vf.pci).collect();
    view.host.retain(|link| link.parent.is_none_or(|pci| !old.contains(&pci)));
    pf.num_vfs = number;
    let (Some(link), Some(offset), Some(stride)) = (
        &pf.link,
        read_number(sysfs, pf.pci, "sriov_offset")?,
        read_number(sysfs, pf.pci, "sriov_stride")?,
    ) else {
        return Ok(());
    };
    let mtu = view.link(Netns::Host, &link.name).map_or(link.mtu, |link| link.mtu);
    for index in 0..number {
        let distance = stride.checked_mul(index).and_then(|far| far.checked_add(offset));
        let Some(pci) = distance.and_then(|distance| pf.pci.plus(distance)) else { break };
        let [.., high, low] = view.vfs.len().to_be_bytes();
        let name = format!("{}v{index}", link.name).parse::<LinkName>();
        let Ok(name) = name.or_else(|_| format!("vf{}", view.vfs.len()).parse()) else { break };
        let mac = Some(Mac::new([0x02, 0, 0, 0, high, low]));
        view.host.push(Link { mac, mtu, parent: Some(pci), ..Link::new(0, name) });
        view.vfs.push(Vf {
            pci,
            pf: pf.pci,
            pf_link: link.name.clone(),
            index,
            driver: None,
            settings: VfSettings {
                mac,
                trust: Some(false),
                spoofchk: Some(true),
                ..VfSettings::default()
            },
        });
        let (driver, link, admin_mac) = (None, None, None);
        pf.vfs.push(podbond_inventory::Vf { index, pci, driver, link, admin_mac });
    }
    Ok(())
}

fn read_number(sysfs: &Sysfs, pf: PciAddress, name: &str) -> Result<Option<u16>, Error> {
    Ok(sysfs.attribute(pf, name)?.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use podbond_api::{DeviceType, Management, PciId, ResourceName, VfRange};
    use podbond_inventory::{NetLink, PfAssignment, VfGroup};
    use podbond_kernel::LinkRef;

    use super::*;

    const PF: &str = "0000:01:00.0";

    fn vf(index: u16) -> podbond_inventory::Vf {
        let pci = format!("0000:01:10.{index}").parse().unwrap();
        podbond_inventory::Vf { index, pci, driver: None, link: None, admin_mac: None }
    }

    /// A PF with four VFs.
    fn pf() -> Pf {
        Pf {
            pci: PF.parse().unwrap(),
            link: None,
            vendor: PciId(0x8086),
            device: PciId(0x10c9),
            driver: None,
            total_vfs: 7,
            num_vfs: 4,
            vfs: (0..4).map(vf).collect(),
        }
    }

    /// The first `number` VFs belong to the resource.
    fn assignment(number: u16) -> Assignment {
        let group = VfGroup {
            policy: "ops/p".parse().unwrap(),
            resource: resource(),
            vfs: VfRange::first(number).unwrap(),
            device_type: DeviceType::Netdevice,
            mtu: None,
        };
        let assigned = PfAssignment {
            pf: PF.parse().unwrap(),
            num_vfs: number,
            mtu: None,
            management: Management::Managed,
            groups: vec![group],
        };
        Assignment { pfs: vec![assigned], overridden: Vec::new() }
    }

    fn resource() -> ResourceName {
        "r".parse().unwrap()
    }

    fn planned(pf: Pf, number: u16, steps: &[Step], sysfs: &Sysfs, view: &mut View) -> PlannedVfs {
        let inventory = Inventory { pfs: vec![pf] };
        let holders = Holders::default();
        PlannedVfs::new(steps, assignment(number), inventory, holders, sysfs, view).unwrap()
    }

    fn present() -> PlannedVfs {
        planned(pf(), 2, &[], &Sysfs::new("/nowhere"), &mut View::default())
    }

    fn any() -> DeviceRequest {
        DeviceRequest::OneOf(resource())
    }

    fn holder(pod: &str) -> String {
        format!("net1 of pod {pod}")
    }

    #[test]
    fn first_free_vf_of_the_resource_is_chosen() {
        let mut vfs = present();
        for index in 0..2 {
            let chosen = vfs.choose(&any(), holder("demo/a")).unwrap();
            assert_eq!(chosen, Some(vf(index).pci));
        }
        let error = vfs.choose(&any(), holder("demo/b")).unwrap_err().to_string();
        assert!(error.contains("0000:01:10.1: net1 of pod demo/a"), "{error}");
        assert_eq!(vfs.choose(&DeviceRequest::None, holder("demo/b")).unwrap(), None);
        let unknown = DeviceRequest::OneOf("other".parse().unwrap());
        let error = vfs.choose(&unknown, holder("demo/b")).unwrap_err();
        assert!(matches!(error, Error::UnknownResource { .. }), "{error}");
    }

    /// Promise: node-links-kept
    #[test]
    fn pf_with_planned_vfs_and_vfs_of_policies_have_owners() {
        let mut vfs = present();
        let (pf, sysfs) = (PF.parse().unwrap(), Sysfs::new("/nowhere"));
        assert_eq!(vfs.num_vfs(&sysfs, pf), Ok(4));
        assert_eq!(vfs.num_vfs(&sysfs, vf(0).pci), Ok(0));
        vfs.choose(&any(), holder("demo/a")).unwrap();
        let owners = [0, 1, 2].map(|index| vfs.owner(&sysfs, vf(index).pci, None).unwrap());
        let policy = VfOwner::Policy("ops/p".to_owned());
        assert_eq!(owners, [Some(VfOwner::Holder(holder("demo/a"))), Some(policy), None]);
    }

    #[test]
    fn vf_is_chosen_once_by_resource_or_address() {
        let mut vfs = present();
        let this = |index| DeviceRequest::This(vf(index).pci);
        vfs.choose(&this(0), holder("demo/a")).unwrap();
        let error = vfs.choose(&this(0), holder("demo/b")).unwrap_err().to_string();
        assert!(error.contains("held by net1 of pod demo/a"), "{error}");
        assert_eq!(vfs.choose(&any(), holder("demo/b")).unwrap(), Some(vf(1).pci));
        assert!(vfs.choose(&this(1), holder("demo/c")).is_err());
    }

    #[test]
    fn vfs_to_be_made_take_the_place_of_those_that_are_there() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("bus/pci/devices").join(PF);
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("sriov_offset"), "128\n").unwrap();
        fs::write(device.join("sriov_stride"), "2\n").unwrap();
        let name: LinkName = "pf0".parse().unwrap();
        let net_link = NetLink {
            name: name.clone(),
            mtu: 1500,
            state: LinkState::Down,
            link_type: None,
            mac: None,
        };
        let old = Link { parent: Some(vf(0).pci), ..Link::new(3, "pf0v0".parse().unwrap()) };
        let pf_link = Link { mtu: 1500, ..Link::new(2, name.clone()) };
        let mut view = View { host: vec![pf_link, old], ..View::default() };
        let pf = Pf { link: Some(net_link), ..pf() };
        let at = LinkRef::host(name);
        let steps = [
            Step::SetMtu { at: at.clone(), from: 1500, to: 9000 },
            Step::SetNumVfs { pf: pf.pci, from: 4, to: 2 },
            Step::SetState { at, to: LinkState::Up },
        ];
        let mut vfs = planned(pf, 2, &steps, &Sysfs::new(root.path()), &mut view);
        assert!(view.host[0].carrier && view.host[0].state == LinkState::Up);
        let made = &view.host[1..];
        let names: Vec<_> = made.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["pf0v0", "pf0v1"]);
        assert!(made.iter().all(|link| link.mtu == 9000 && link.state == LinkState::Down));
        let macs: BTreeSet<_> = made.iter().map(|link| link.mac).collect();
        assert_eq!(macs.len(), 2);
        assert!(view.vfs.iter().all(|vf| vf.settings.trust == Some(false)));
        for expected in ["0000:01:10.0", "0000:01:10.2"] {
            let chosen = vfs.choose(&any(), holder("demo/a")).unwrap().unwrap();
            assert_eq!(chosen.to_string(), expected);
            assert!(made.iter().any(|link| link.parent == Some(chosen)));
        }
        assert!(vfs.choose(&any(), holder("demo/b")).is_err());
    }

    #[test]
    fn vfs_of_a_pf_without_a_link_are_not_planned() {
        let steps = [Step::SetNumVfs { pf: pf().pci, from: 4, to: 2 }];
        let mut view = View::default();
        let mut vfs = planned(pf(), 2, &steps, &Sysfs::new("/nowhere"), &mut view);
        let error = vfs.choose(&any(), holder("demo/a")).unwrap_err();
        assert!(matches!(error, Error::NoVfs { .. }), "{error}");
    }
}
