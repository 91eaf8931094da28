//! What options mean together: per mode, and between each other.

use podbond_kernel::OptionValue;
use podbond_kernel::bond::table::{self, BondOption, Elsewhere};

use super::{Draft, Given};
use crate::Error;
use crate::findings::{Finding, Object, Reason};

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
}

/// Whether an option is one of the mode's; so long as there is no mode, of any.
fn fits(draft: &Draft, option: &BondOption) -> bool {
    draft.mode.is_none_or(|mode| option.modes.contains(&mode))
}

fn other_mode(draft: &Draft, given: &Given, wrong: &mut Vec<Error>, found: &mut Vec<Finding>) {
    let Some(mode) = draft.mode.filter(|_| !fits(draft, given.option)) else { return };
    let (key, modes) = (given.key.clone(), given.option.modes);
    match given.option.elsewhere {
        Elsewhere::Refused => wrong.push(Error::OtherMode { key, mode, modes }),
        Elsewhere::Ignored => {
            found.push(Finding::new(Object::Key(key), Reason::NoEffect { mode, modes }));
        }
    }
}

fn monitoring(draft: &Draft, wrong: &mut Vec<Error>) {
    if !fits(draft, &table::ARP_INTERVAL) {
        return;
    }
    let given = |option: &&BondOption| draft.given(option).is_some();
    match draft.number(&table::ARP_INTERVAL) {
        Some(interval) if interval > 0 => {
            if draft.number(&table::MIIMON).is_some_and(|ms| ms > 0) {
                wrong.push(Error::TwoMonitors);
            }
            if ![&table::ARP_IP_TARGET, &table::NS_IP6_TARGET].iter().any(given) {
                wrong.push(Error::NoTarget);
            }
        }
        // Its value is wrong, which is told already.
        None if draft.given(&table::ARP_INTERVAL).is_some() => {}
        _ => {
            let off = Some(OptionValue::Number(0));
            let idle = OF_ARP.iter().filter_map(|option| draft.given(option));
            let idle = idle.filter(|given| given.value != off && fits(draft, given.option));
            wrong.extend(idle.map(|given| Error::NeedsArpInterval { key: given.key.clone() }));
        }
    }
}

fn delays(draft: &Draft, wrong: &mut Vec<Error>) {
    let miimon = draft.miimon();
    for option in DELAYS {
        let Some(delay) = draft.number(option) else { continue };
        let key = option.key;
        if miimon == 0 {
            wrong.push(Error::NeedsMiimon { key });
        } else if delay % miimon != 0 {
            wrong.push(Error::NoMultiple { key, delay, miimon });
        }
    }
}

fn ports(draft: &Draft, wrong: &mut Vec<Error>) {
    for (option, name) in &draft.roles {
        if !draft.ports.contains(name) {
            wrong.push(Error::NoPort { key: option.key, name: name.clone() });
        }
    }
    let of_ports = || draft.of_ports.iter().flatten();
    let primary = draft.role(&table::PRIMARY).is_some() && fits(draft, &table::PRIMARY);
    for given in of_ports().filter(|given| primary && *given.option == table::PRIO) {
        wrong.push(Error::PrioBesidePrimary { key: given.key.clone() });
    }
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
