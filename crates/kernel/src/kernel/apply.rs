//! Applies a step to the kernel: the dispatch, and the changes that need no file of their own.

use podbond_faults::{Change, around};
use rustix::io::Errno;

use super::Kernel;
use crate::netlink::{self, Attribute, NLM_F_CREATE, NLM_F_EXCL};
use crate::{Apply, Error, Link, LinkRef, Netns, NewVlan, Result, Step};

/// The extended ack of rtnetlink to an `IFLA_INFO_KIND` that neither it nor modprobe knows.
const UNKNOWN_KIND: &str = "Unknown device type";

impl Apply for Kernel {
    fn apply(&mut self, step: &Step) -> Result<()> {
        let refused = |source| Error::Refused { action: step.to_string(), source, extack: None };
        around(Change { kind: step.kind(), what: step }, refused, || self.change(step))
    }

    fn has_link(&mut self, at: &LinkRef) -> bool {
        self.link(at).is_ok_and(|link| link.is_some())
    }
}

impl Kernel {
    fn change(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::AddBond(bond) => self.add_bond(step, bond),
            Step::RemoveBond(bond) => self.remove_if(step, &bond.at, |link| link.bond.is_some()),
            Step::AddVlan(vlan) => self.add_vlan(step, vlan),
            Step::RemoveVlan(vlan) => self.remove_if(step, &vlan.at, |link| link.vlan.is_some()),
            Step::AddStacked(stacked) => {
                let handle = self.handle(stacked.at.netns)?;
                let message = netlink::add_stacked(stacked, handle.index(&stacked.lower)?);
                handle.change(step, &stacked.at.name, &message, NLM_F_CREATE | NLM_F_EXCL)
            }
            Step::RemoveStacked(stacked) => {
                self.remove_if(step, &stacked.at, |link| link.lower.is_some())
            }
            Step::AddAltname { at, altname } => {
                let message = |index| netlink::add_altname(index, altname);
                self.handle(at.netns)?.change_link(step, &at.name, message)
            }
            Step::RemoveAltname { at, altname } => {
                let message = |index| netlink::drop_altname(index, altname);
                self.handle(at.netns)?.change_link(step, &at.name, message)
            }
            Step::SetAttributes { at, to, .. } => {
                let message = |index| netlink::set_attributes(index, to);
                self.handle(at.netns)?.change_link(step, &at.name, message)
            }
            Step::Enslave { port, bond } => self.enslave(step, port, bond),
            Step::Release { port, bond } => self.release(step, port, bond),
            Step::SetPort { port, to, .. } => self.set_port(step, port, to),
            Step::SetPortRole { bond, role, to, .. } => {
                self.set_port_role(step, bond, *role, to.as_ref())
            }
            Step::Move { from, to } => self.move_link(step, from, to),
            Step::SetMtu { at, to, .. } => {
                self.handle(at.netns)?.set(step, &at.name, vec![Attribute::Mtu(*to)])
            }
            Step::SetMac { at, to, .. } => {
                let address = Attribute::Address(to.bytes().to_vec());
                self.handle(at.netns)?.set_once_opened(step, &at.name, vec![address])
            }
            Step::SetState { at, to } => {
                let message = |index| netlink::set_state(index, *to);
                self.handle(at.netns)?.change_link(step, &at.name, message)
            }
            Step::SetSysctls { at, sysctls, on } => {
                let settings: Vec<_> =
                    sysctls.iter().map(|sysctl| (at.name.as_str(), *sysctl, *on)).collect();
                self.handle(at.netns)?.try_sysctls(&settings);
                Ok(())
            }
            Step::SetVf { pf, vf, from, to } => self.set_vf(step, pf, *vf, from, to),
            Step::SetNumVfs { pf, from, to } => {
                self.handle(Netns::Host)?.forget_all();
                self.sysfs().set_num_vfs(*pf, *from, *to)
            }
            Step::BindDriver { pci, to, .. } => {
                self.handle(Netns::Host)?.forget_all();
                self.sysfs().bind_driver(*pci, to.as_deref())
            }
            Step::AddAddress { at, address, dad } => self.add_address(step, at, *address, *dad),
            Step::RemoveAddress { at, address, .. } => {
                let message = |index| netlink::remove_address(index, *address);
                self.handle(at.netns)?.change_link(step, &at.name, message)
            }
            Step::AddRoute { at, route } => self.add_route(step, at, route),
            Step::RemoveRoute { at, route } => {
                let message = |index| netlink::remove_route(index, route);
                self.handle(at.netns)?.change_link(step, &at.name, message)
            }
        }
    }

    fn add_vlan(&mut self, step: &Step, vlan: &NewVlan) -> Result<()> {
        let handle = self.handle(vlan.at.netns)?;
        let message = netlink::add_vlan(vlan, handle.index(&vlan.lower)?);
        let added = handle.change(step, &vlan.at.name, &message, NLM_F_CREATE | NLM_F_EXCL);
        added
            .map_err(|error| no_driver(step, "8021q", "CONFIG_VLAN_8021Q", &error).unwrap_or(error))
    }

    /// Removes a link if it is of the expected kind: another one that has the name is not ours to
    /// remove.
    fn remove_if(
        &mut self,
        step: &Step,
        at: &LinkRef,
        is_expected: fn(&Link) -> bool,
    ) -> Result<()> {
        let handle = self.handle(at.netns)?;
        let link = handle.must_have(&at.name)?;
        if !is_expected(&link) {
            return Err(Error::NoSuchLink { name: at.name.clone(), netns: at.netns });
        }
        handle.forget(&at.name);
        handle.change(step, &at.name, &netlink::remove_link(link.index), 0)
    }
}

/// Returns the error where the kernel refused to create a link because it has no driver for its kind:
/// `module`, of the kernel's `option`.
pub(super) fn no_driver(
    step: &Step,
    module: &'static str,
    option: &'static str,
    error: &Error,
) -> Option<Error> {
    let is_unknown = error.errno() == Some(Errno::OPNOTSUPP);
    (is_unknown && error.extack() == Some(UNKNOWN_KIND)).then(|| Error::NoDriver {
        action: step.to_string(),
        module,
        option,
    })
}
