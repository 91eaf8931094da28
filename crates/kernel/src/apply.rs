use podbond_faults::{Change, around};
use podbond_names::{LinkName, Mac};
use rustix::io::Errno;

use crate::bond::Unlike;
use crate::bond::table;
use crate::netlink::{self, Attribute, NLM_F_CREATE, NLM_F_EXCL};
use crate::{
    Apply, At, BondOptions, Error, Kernel, Link, Netns, Result, Step, VfSettings, VlanTag,
};

/// How rtnetlink answers to an `IFLA_INFO_KIND` that neither it nor modprobe knows.
const UNKNOWN_KIND: &str = "Unknown device type";

impl Apply for Kernel {
    fn apply(&mut self, step: &Step) -> Result<()> {
        let refused = |source| Error::Refused { action: step.to_string(), source, extack: None };
        around(Change { kind: step.kind(), what: step }, refused, || self.change(step))
    }

    fn has_link(&mut self, at: &At) -> bool {
        self.link(at).is_ok_and(|link| link.is_some())
    }
}

impl Kernel {
    fn change(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::AddBond { at, options, mtu, mac } => self.add_bond(step, at, options, *mtu, *mac),
            Step::RemoveBond { at, .. } => self.remove_if(step, at, |link| link.bond.is_some()),
            Step::AddVlan { at, lower, tag, mtu } => self.add_vlan(step, at, lower, *tag, *mtu),
            Step::RemoveVlan { at, .. } => self.remove_if(step, at, |link| link.vlan.is_some()),
            Step::Enslave { port, bond } => self.enslave(step, port, bond),
            Step::Release { port, bond } => self.release(step, port, bond),
            Step::SetPort { port, to, .. } => self.set_port(step, port, to),
            Step::SetPortRole { bond, role, to, .. } => {
                self.set_port_role(step, bond, *role, to.as_ref())
            }
            Step::Move { from, to } => self.relocate(step, from, to),
            Step::SetMtu { at, to, .. } => {
                self.side(at.netns)?.set(step, &at.name, vec![Attribute::Mtu(*to)])
            }
            Step::SetMac { at, to, .. } => {
                let address = Attribute::Address(to.bytes().to_vec());
                self.side(at.netns)?.set(step, &at.name, vec![address])
            }
            Step::SetState { at, to } => {
                let side = self.side(at.netns)?;
                let message = netlink::set_state(side.index(&at.name)?, *to);
                side.change(step, &at.name, &message, 0)
            }
            Step::SetVf { pf, vf, from, to } => self.set_vf(step, pf, *vf, from, to),
            Step::SetNumVfs { pf, from, to } => {
                self.side(Netns::Host)?.forget_all();
                self.sysfs().set_num_vfs(*pf, *from, *to)
            }
            Step::BindDriver { pci, to, .. } => {
                self.side(Netns::Host)?.forget_all();
                self.sysfs().bind_driver(*pci, to.as_deref())
            }
            Step::AddAddress { at, address, dad } => self.add_address(step, at, *address, *dad),
            Step::RemoveAddress { at, address, .. } => {
                let side = self.side(at.netns)?;
                let message = netlink::remove_address(side.index(&at.name)?, *address);
                side.change(step, &at.name, &message, 0)
            }
            Step::AddRoute { at, route } => self.add_route(step, at, route),
            Step::RemoveRoute { at, route } => {
                let side = self.side(at.netns)?;
                let message = netlink::remove_route(side.index(&at.name)?, route);
                side.change(step, &at.name, &message, 0)
            }
        }
    }

    fn add_bond(
        &mut self,
        step: &Step,
        at: &At,
        options: &BondOptions,
        mtu: u32,
        mac: Option<Mac>,
    ) -> Result<()> {
        let side = self.side(at.netns)?;
        let message = netlink::add_bond(&at.name, options, mtu, mac);
        side.change(step, &at.name, &message, NLM_F_CREATE | NLM_F_EXCL).map_err(|error| {
            match error.errno() {
                Some(Errno::OPNOTSUPP) if error.extack() == Some(UNKNOWN_KIND) => {
                    Error::NoBonding { action: step.to_string() }
                }
                Some(Errno::INVAL) => later_value(&at.name, options, release()).unwrap_or(error),
                _ => error,
            }
        })?;
        // A kernel that does not know an option acknowledges it and ignores it.
        let bond = side.must_have(&at.name)?;
        let Some(error) = not_taken(&bond, options, mtu, mac) else { return Ok(()) };
        // Wholly or not at all. What is reported is what was not taken.
        let _ = side.change(step, &at.name, &netlink::remove_link(bond.index), 0);
        side.forget(&at.name);
        Err(error)
    }

    fn add_vlan(
        &mut self,
        step: &Step,
        at: &At,
        lower: &LinkName,
        tag: VlanTag,
        mtu: u32,
    ) -> Result<()> {
        let side = self.side(at.netns)?;
        let message = netlink::add_vlan(&at.name, side.index(lower)?, tag, mtu);
        side.change(step, &at.name, &message, NLM_F_CREATE | NLM_F_EXCL).map_err(|error| {
            if error.errno() == Some(Errno::OPNOTSUPP) && error.extack() == Some(UNKNOWN_KIND) {
                Error::NoVlans { action: step.to_string() }
            } else {
                error
            }
        })
    }

    /// Removes a link, unless the name belongs to something else by now: that is not ours to remove.
    fn remove_if(&mut self, step: &Step, at: &At, is_it: fn(&Link) -> bool) -> Result<()> {
        let side = self.side(at.netns)?;
        let link = side.must_have(&at.name)?;
        if !is_it(&link) {
            return Err(Error::NoSuchLink { name: at.name.clone(), netns: at.netns });
        }
        side.forget(&at.name);
        side.change(step, &at.name, &netlink::remove_link(link.index), 0)
    }

    fn enslave(&mut self, step: &Step, port: &At, bond: &LinkName) -> Result<()> {
        let side = self.side(port.netns)?;
        let bond = side.index(bond)?;
        // Asked for now: the kernel would move a port from one bond to another without a word, and
        // nothing could tell how to undo it.
        match side.must_have(&port.name)?.master {
            None => side.set(step, &port.name, vec![Attribute::Controller(bond)]),
            Some(master) if master == bond => Ok(()),
            Some(master) => {
                let name = side.link_by_index(master)?.map(|link| link.name.to_string());
                let master = name.unwrap_or_else(|| format!("link {master}"));
                Err(Error::HasMaster { port: port.clone(), master })
            }
        }
    }

    fn release(&mut self, step: &Step, port: &At, bond: &LinkName) -> Result<()> {
        let side = self.side(port.netns)?;
        let bond = side.must_have(bond)?;
        // It may be out already, or in another bond by now.
        if side.must_have(&port.name)?.master != Some(bond.index) {
            return Ok(());
        }
        side.set(step, &port.name, vec![Attribute::Controller(0)])
    }

    fn set_vf(
        &mut self,
        step: &Step,
        pf: &LinkName,
        vf: u16,
        from: &VfSettings,
        to: &VfSettings,
    ) -> Result<()> {
        let wanted = if to.is_whole() { to.clone() } else { to.completed(&self.shown(pf, vf)?) };
        let result = self.send_vf(step, pf, vf, &wanted).and_then(|()| {
            let ignored = ignored(&wanted, &self.shown(pf, vf)?);
            ignored.map_or(Ok(()), |(wanted, shown)| {
                Err(Error::NotTaken { object: format!("VF {vf} of {pf}"), wanted, shown })
            })
        });
        result.inspect_err(|_| {
            // The driver takes settings one by one: those before the refused one are set back.
            // What is reported is why the change failed.
            let _ = self.shown(pf, vf).and_then(|shown| {
                let back = from.unlike(&shown).completed(&shown);
                if back.is_empty() { Ok(()) } else { self.send_vf(step, pf, vf, &back) }
            });
        })
    }

    fn send_vf(&mut self, step: &Step, pf: &LinkName, vf: u16, to: &VfSettings) -> Result<()> {
        let side = self.side(Netns::Host)?;
        let message = netlink::set_vf(side.index(pf)?, vf, to);
        side.change(step, pf, &message, 0)
    }

    fn shown(&mut self, pf: &LinkName, vf: u16) -> Result<VfSettings> {
        let (_, vfs) = self.side(Netns::Host)?.vfs(pf, |index| index == vf)?;
        Ok(vfs.into_iter().next().map(|(_, settings)| settings).unwrap_or_default())
    }
}

/// The first property of a new bond that is not as it was asked for; unknown options before all.
fn not_taken(bond: &Link, wanted: &BondOptions, mtu: u32, mac: Option<Mac>) -> Option<Error> {
    let object = format!("bond {}", bond.name);
    let differ = |property: &str, wanted: String, shown: Option<String>| {
        let shown = shown.unwrap_or_else(|| "nothing".to_owned());
        let object = format!("{property} of {object}");
        (wanted != shown).then_some(Error::NotTaken { object, wanted, shown })
    };
    let shown = bond.bond.as_ref();
    let unlike = shown.map(|shown| wanted.unlike(shown)).unwrap_or_default();
    differ("mode", wanted.mode.to_string(), shown.map(|shown| shown.mode.to_string()))
        .or_else(|| option_not_taken(&object, unlike))
        .or_else(|| differ("mtu", mtu.to_string(), Some(bond.mtu.to_string())))
        .or_else(|| {
            let shown = bond.mac.map(|mac| mac.to_string());
            mac.and_then(|mac| differ("mac", mac.to_string(), shown))
        })
}

/// The running kernel's release, as `uname -r` tells it.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Why a kernel of this release refused these options, if it is too old for a value of them.
fn later_value(bond: &LinkName, options: &BondOptions, kernel: String) -> Option<Error> {
    let (option, number, since) = table::LATER_VALUES.iter().find(|(option, number, since)| {
        options.number(option) == Some(*number) && version(&kernel) < version(since)
    })?;
    let object = format!("bond {bond}");
    Some(Error::LaterValue { object, option, number: *number, since, kernel })
}

/// Major and minor of a release like `6.12.48+deb13-amd64`.
fn version(release: &str) -> [u32; 2] {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    [(); 2].map(|()| numbers.next().and_then(Result::ok).unwrap_or(0))
}

/// A kernel that does not know an option acknowledges and ignores it, and shows nothing of it.
pub(crate) fn option_not_taken(object: &str, unlike: Vec<Unlike>) -> Option<Error> {
    let unknown = unlike.iter().filter(|unlike| unlike.shown.is_none());
    let options: Vec<_> = unknown.map(|unlike| unlike.option).collect();
    if !options.is_empty() {
        let object = object.to_owned();
        return Some(Error::UnknownOptions { object, options, kernel: release() });
    }
    unlike.into_iter().next().map(|Unlike { option, wanted, shown }| Error::NotTaken {
        object: format!("{} of {object}", option.key),
        wanted,
        shown: shown.unwrap_or_default(),
    })
}

/// What was wanted of a VF and what is shown instead, in words; none when all was taken.
fn ignored(wanted: &VfSettings, shown: &VfSettings) -> Option<(String, String)> {
    let mut unlike = wanted.unlike(shown);
    // Zero asks the driver to forget the address that it was given; some then show the one that
    // the VF has chosen for itself.
    if unlike.mac == Some(Mac::ZERO) {
        unlike.mac = None;
    }
    (!unlike.is_empty()).then(|| (unlike.to_string(), shown.unlike(&unlike).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BondMode;

    fn settings(mac: Mac, trust: bool) -> VfSettings {
        VfSettings { mac: Some(mac), trust: Some(trust), ..VfSettings::default() }
    }

    #[test]
    fn a_value_that_the_kernel_is_too_old_for_is_told_only_by_such_a_kernel() {
        let options = BondOptions::new(BondMode::Lacp).with(&table::AD_SELECT, 3);
        let told = |kernel: &str| {
            let error = later_value(&"net3".parse().unwrap(), &options, kernel.to_owned());
            error.map(|error| error.to_string())
        };
        assert_eq!(
            told("6.12.48+deb13-amd64").unwrap(),
            "bond net3: this kernel (6.12.48+deb13-amd64) refuses adSelect actor_port_prio, which \
             came with kernel 6.18: give another value, or boot a newer kernel"
        );
        assert_eq!(told("7.0"), None);
    }

    #[test]
    fn an_option_that_is_not_shown_is_not_known() {
        let wanted = BondOptions::new(BondMode::Lacp)
            .with(&table::MIIMON, 50)
            .with(&table::LACP_STRICT, true);
        let shown = BondOptions::new(BondMode::Lacp).with(&table::MIIMON, 100);
        let error = option_not_taken("bond net3", wanted.unlike(&shown)).unwrap().to_string();
        assert!(
            error.contains("does not know lacpStrict (kernel 7.2 and newer): leave it"),
            "{error}"
        );
        let shown = shown.with(&table::LACP_STRICT, true);
        let error = option_not_taken("bond net3", wanted.unlike(&shown)).unwrap().to_string();
        assert_eq!(error, "miimon of bond net3: the kernel accepted 50 but shows 100");
    }

    #[test]
    fn a_setting_that_was_ignored_is_named_beside_what_is_shown() {
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        let words = ignored(&settings(mac, true), &settings(mac, false));
        assert_eq!(words, Some(("trust on".to_owned(), "trust off".to_owned())));
        assert_eq!(ignored(&settings(mac, true), &settings(mac, true)), None);
    }

    #[test]
    fn a_forgotten_address_may_be_replaced_by_the_driver() {
        let shown = settings(Mac::new([2, 0, 0, 0, 0, 1]), true);
        assert_eq!(ignored(&settings(Mac::ZERO, true), &shown), None);
    }
}
