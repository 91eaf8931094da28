//! Creation of bonds, ports taken in and out, options and roles of ports: each read back, since a
//! kernel acknowledges options that it does not know.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_names::LinkName;
use rustix::io::Errno;

use super::Kernel;
use super::apply::no_driver;
use crate::bond::{OptionMismatch, table};
use crate::module::{load_bonding, release, version};
use crate::netlink::{self, Attribute, NLM_F_CREATE, NLM_F_EXCL};
use crate::{BondOptions, Error, Link, LinkRef, NewBond, PortOptions, PortRole, Result, Step};

/// How long a port that is to be active is waited for: a VF has carrier only some time after it was
/// opened.
const ACTIVE_PORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is tried.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

impl Kernel {
    pub(super) fn add_bond(&mut self, step: &Step, bond: &NewBond) -> Result<()> {
        load_bonding("/".as_ref());
        let (handle, name) = (self.handle(bond.at.netns)?, &bond.at.name);
        let added = handle.change(step, name, &netlink::add_bond(bond), NLM_F_CREATE | NLM_F_EXCL);
        added.map_err(|error| {
            let reason = match error.errno() {
                Some(Errno::INVAL) => later_value(name, &bond.options, release()),
                _ => no_driver(step, "bonding", "CONFIG_BONDING", &error),
            };
            reason.unwrap_or(error)
        })?;
        let shown = handle.must_have(name)?;
        verify_bond(&shown, bond).inspect_err(|_| {
            // Wholly or not at all. The error that is reported is the one of the comparison.
            let _ = handle.change(step, name, &netlink::remove_link(shown.index), 0);
            handle.forget(name);
        })
    }

    pub(super) fn enslave(&mut self, step: &Step, port: &LinkRef, bond: &LinkName) -> Result<()> {
        let handle = self.handle(port.netns)?;
        let bond = handle.index(bond)?;
        // Asked for now: the kernel would move a port from one bond to another without a word, and
        // nothing could tell how to undo it.
        match handle.must_have(&port.name)?.master {
            None => handle.set_once_opened(step, &port.name, vec![Attribute::Controller(bond)]),
            Some(master) if master == bond => Ok(()),
            Some(master) => {
                let name = handle.link_by_index(master)?.map(|link| link.name.to_string());
                let master = name.unwrap_or_else(|| format!("link {master}"));
                Err(Error::HasMaster { port: port.clone(), master })
            }
        }
    }

    pub(super) fn release(&mut self, step: &Step, port: &LinkRef, bond: &LinkName) -> Result<()> {
        let handle = self.handle(port.netns)?;
        let bond = handle.must_have(bond)?;
        // It may be out already, or in another bond.
        if handle.must_have(&port.name)?.master != Some(bond.index) {
            return Ok(());
        }
        handle.set(step, &port.name, vec![Attribute::Controller(0)])
    }

    pub(super) fn set_port(&mut self, step: &Step, port: &LinkRef, to: &PortOptions) -> Result<()> {
        let handle = self.handle(port.netns)?;
        let message = netlink::set_port(handle.index(&port.name)?, to);
        handle.change(step, &port.name, &message, 0).map_err(|error| match to.queue() {
            Some(queue) if error.errno() == Some(Errno::PERM) => {
                Error::NoQueue { port: port.name.clone(), queue }
            }
            _ => error,
        })?;
        let shown = handle.must_have(&port.name)?.port.map(|port| port.options).unwrap_or_default();
        verify_options(&format!("port {}", port.name), to.mismatches(&shown))
    }

    pub(super) fn set_port_role(
        &mut self,
        step: &Step,
        bond: &LinkRef,
        role: PortRole,
        to: Option<&LinkName>,
    ) -> Result<()> {
        let handle = self.handle(bond.netns)?;
        let index = handle.index(&bond.name)?;
        let port = to.map(|name| handle.index(name)).transpose()?;
        let message = netlink::set_port_role(index, role.option(), port);
        let end = Instant::now() + ACTIVE_PORT_TIMEOUT;
        loop {
            match handle.change(step, &bond.name, &message, 0) {
                // The driver refuses an active port whose link is down.
                Err(error)
                    if role == PortRole::Active
                        && error.errno() == Some(Errno::INVAL)
                        && Instant::now() < end =>
                {
                    sleep(POLL_INTERVAL);
                }
                result => break result?,
            }
        }
        let Some(wanted) = to else { return Ok(()) };
        let options = handle.must_have(&bond.name)?.bond;
        let shown = options.and_then(|options| match role {
            PortRole::Primary => options.primary_port,
            PortRole::Active => options.active_port,
        });
        if shown == port {
            return Ok(());
        }
        let shown = shown.map(|index| handle.link_by_index(index)).transpose()?.flatten();
        Err(Error::NotTaken {
            object: format!("{} of bond {}", role.option().key, bond.name),
            wanted: wanted.to_string(),
            shown: shown.map_or_else(|| "none".to_owned(), |link| link.name.to_string()),
        })
    }
}

/// Compares a new bond with what was asked for; unknown options are reported before all else.
fn verify_bond(shown: &Link, wanted: &NewBond) -> Result<()> {
    let object = format!("bond {}", shown.name);
    let Some(options) = &shown.bond else {
        return Err(not_taken("mode", &object, &wanted.options.mode, &"nothing"));
    };
    if options.mode != wanted.options.mode {
        return Err(not_taken("mode", &object, &wanted.options.mode, &options.mode));
    }
    verify_options(&object, wanted.options.mismatches(options))?;
    if shown.mtu != wanted.mtu {
        return Err(not_taken("mtu", &object, &wanted.mtu, &shown.mtu));
    }
    match wanted.mac.filter(|mac| shown.mac != Some(*mac)) {
        Some(mac) => {
            let shown = shown.mac.map_or_else(|| "nothing".to_owned(), |mac| mac.to_string());
            Err(not_taken("mac", &object, &mac, &shown))
        }
        None => Ok(()),
    }
}

fn not_taken(property: &str, object: &str, wanted: &dyn Display, shown: &dyn Display) -> Error {
    let object = format!("{property} of {object}");
    Error::NotTaken { object, wanted: wanted.to_string(), shown: shown.to_string() }
}

/// Fails when an option was not taken. A kernel that does not know an option acknowledges and
/// ignores it, and shows nothing of it: those are reported first, all together.
fn verify_options(object: &str, mismatches: Vec<OptionMismatch>) -> Result<()> {
    let unknown = mismatches.iter().filter(|mismatch| mismatch.shown.is_none());
    let options: Vec<_> = unknown.map(|mismatch| mismatch.option).collect();
    if !options.is_empty() {
        return Err(Error::UnknownOptions {
            object: object.to_owned(),
            options,
            kernel: release(),
        });
    }
    mismatches.into_iter().next().map_or(Ok(()), |OptionMismatch { option, wanted, shown }| {
        Err(not_taken(option.key, object, &wanted, &shown.unwrap_or_default()))
    })
}

/// Returns why a kernel of this release refused these options, if it is too old for a value of
/// them.
fn later_value(bond: &LinkName, options: &BondOptions, kernel: String) -> Option<Error> {
    let (option, number, since) = table::LATER_VALUES.iter().find(|(option, number, since)| {
        options.number(option) == Some(*number) && version(&kernel) < version(since)
    })?;
    let object = format!("bond {bond}");
    Some(Error::LaterValue { object, option, number: *number, since, kernel })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BondMode;

    #[test]
    fn value_of_a_later_kernel_is_named_on_an_older_one() {
        let options = BondOptions::new(BondMode::Lacp).with(&table::AD_SELECT, 3);
        let error = |kernel: &str| {
            let error = later_value(&"net3".parse().unwrap(), &options, kernel.to_owned());
            error.map(|error| error.to_string())
        };
        assert_eq!(
            error("6.12.48+deb13-amd64").unwrap(),
            "bond net3: this kernel (6.12.48+deb13-amd64) refuses adSelect actor_port_prio, which \
             came with kernel 6.18: give another value, or boot a newer kernel"
        );
        assert_eq!(error("7.0"), None);
    }

    #[test]
    fn unknown_option_is_reported_before_a_wrong_one() {
        let wanted = BondOptions::new(BondMode::Lacp)
            .with(&table::MIIMON, 50)
            .with(&table::LACP_STRICT, true);
        let shown = BondOptions::new(BondMode::Lacp).with(&table::MIIMON, 100);
        let error = verify_options("bond net3", wanted.mismatches(&shown)).unwrap_err().to_string();
        assert!(
            error.contains("does not know lacpStrict (kernel 7.2 and newer): leave it"),
            "{error}"
        );
        let shown = shown.with(&table::LACP_STRICT, true);
        let error = verify_options("bond net3", wanted.mismatches(&shown)).unwrap_err().to_string();
        assert_eq!(error, "miimon of bond net3: the kernel accepted 50 but shows 100");
    }
}
