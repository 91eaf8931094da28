//! What options mean together: per mode, and between each other.

use podbond_kernel::bond::table::{self, BondOption, Elsewhere};
use podbond_kernel::{BondMode, FailOverMac, OptionValue};

use super::draft::{Draft, Given};
use crate::error::Error;
use crate::finding::{Finding, Object, kind, listed};

/// The delays that the driver keeps as multiples of miimon.
const DELAYS: [&BondOption; 3] = [&table::UPDELAY, &table::DOWNDELAY, &table::PEER_NOTIF_DELAY];

/// What has a meaning only while neighbours are asked.
const OF_ARP: [&BondOption; 5] = [
    &table::ARP_IP_TARGET,
    &table::NS_IP6_TARGET,
    &table::ARP_VALIDATE,
    &table::ARP_ALL_TARGETS,
    &table::ARP_MISSED_MAX,
];

/// Gathers every rule that is broken, and every option that has no effect.
pub(super) fn check(draft: &Draft, wrong: &mut Vec<Error>, found: &mut Vec<Finding>) {
    for given in draft.options.iter().chain(draft.of_ports.iter().flatten()) {
        other_mode(draft, given, wrong, found);
    }
    monitoring(draft, wrong);
    delays(draft, wrong);
    ports(draft, wrong);
    partner(draft, wrong);
    address(draft, wrong);
}

/// Returns whether an option is one of the mode's; so long as there is no mode, of any.
fn fits(draft: &Draft, option: &BondOption) -> bool {
    draft.mode.is_none_or(|mode| option.modes.contains(&mode))
}

fn other_mode(draft: &Draft, given: &Given, wrong: &mut Vec<Error>, found: &mut Vec<Finding>) {
    let Some(mode) = draft.mode.filter(|_| !fits(draft, given.option)) else { return };
    let (key, modes) = (given.key.clone(), given.option.modes);
    match given.option.elsewhere {
        Elsewhere::Refused => wrong.push(Error::OtherMode { key, mode, modes }),
        Elsewhere::Ignored => {
            let reason = format!("it has no effect in mode {mode}, only in {}", listed(modes));
            found.push(Finding::new(&kind::NO_EFFECT, Object::Key(key), reason));
        }
    }
}

fn monitoring(draft: &Draft, wrong: &mut Vec<Error>) {
    if !fits(draft, &table::ARP_INTERVAL) {
        return;
    }
    match draft.number(&table::ARP_INTERVAL) {
        Some(interval) if interval > 0 => {
            if draft.number(&table::MIIMON).is_some_and(|ms| ms > 0) {
                wrong.push(Error::TwoMonitors);
            }
            let has_target = [&table::ARP_IP_TARGET, &table::NS_IP6_TARGET]
                .into_iter()
                .any(|option| draft.given(option).is_some());
            if !has_target {
                wrong.push(Error::NoTarget);
            }
        }
        // Its value is wrong, which is reported already.
        None if draft.given(&table::ARP_INTERVAL).is_some() => {}
        _ => {
            let off = Some(OptionValue::Number(0));
            let idle = OF_ARP.iter().filter_map(|option| draft.given(option));
            let idle = idle.filter(|given| given.value != off && fits(draft, given.option));
            wrong.extend(
                idle.map(|given| Error::Needs { key: given.key.clone(), needed: "arpInterval" }),
            );
        }
    }
}

fn delays(draft: &Draft, wrong: &mut Vec<Error>) {
    let miimon = draft.miimon();
    for option in DELAYS {
        let Some(delay) = draft.number(option) else { continue };
        let key = option.key;
        if miimon == 0 {
            wrong.push(Error::Needs { key: key.to_owned(), needed: "miimon" });
        } else if delay % miimon != 0 {
            wrong.push(Error::NoMultiple { key, delay, miimon });
        }
    }
}

/// Refuses an own address with `fail_over_mac` active: the driver gives the bond the active port's
/// address, whatever it was given, and answers later changes with success without making them.
fn address(draft: &Draft, wrong: &mut Vec<Error>) {
    let of_the_active = draft.mode == Some(BondMode::ActiveBackup)
        && draft.number(&table::FAIL_OVER_MAC) == Some(FailOverMac::Active.number().into());
    if let Some((field, _)) = draft.mac.filter(|_| of_the_active) {
        wrong.push(Error::MacOfActivePort { field });
    }
}

fn ports(draft: &Draft, wrong: &mut Vec<Error>) {
    for (option, name) in &draft.roles {
        if !draft.ports.contains(name) {
            wrong.push(Error::NoPort { key: option.key, name: name.clone() });
        }
    }
    let of_ports = || draft.of_ports.iter().flatten();
    let mut queues = Vec::new();
    for given in of_ports().filter(|given| *given.option == table::QUEUE_ID) {
        match given.value {
            Some(OptionValue::Number(queue)) if queue != 0 && queues.contains(&queue) => {
                wrong.push(Error::QueueTwice { key: given.key.clone(), queue });
            }
            Some(OptionValue::Number(queue)) => queues.push(queue),
            _ => {}
        }
    }
    let count = draft.ports.len();
    if let Some(wanted) = draft.number(&table::MIN_LINKS)
        && usize::try_from(wanted).is_ok_and(|wanted| wanted > count)
    {
        wrong.push(Error::MinLinks { wanted, count });
    }
}

/// Refuses `lacpStrict` without effect: the driver compares the ports that it counts with
/// `minLinks`, whose default is 0.
fn partner(draft: &Draft, wrong: &mut Vec<Error>) {
    let strict = draft.number(&table::LACP_STRICT) == Some(1) && fits(draft, &table::LACP_STRICT);
    let none_is_enough = match draft.given(&table::MIN_LINKS) {
        Some(given) => given.value == Some(OptionValue::Number(0)),
        None => true,
    };
    if strict && none_is_enough {
        wrong.push(Error::Needs { key: "lacpStrict".to_owned(), needed: "minLinks" });
    }
}
