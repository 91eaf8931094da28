//! A configuration while it is read, and the readers of its JSON values.

use podbond_cni::{MacSource, field};
use podbond_kernel::bond::table::{self, BondOption};
use podbond_kernel::{BondMode, OptionValue, WrittenValue};
use podbond_names::{LinkName, Mac};
use serde_json::{Map, Value};

use crate::error::Error;

/// How often carrier is looked at when the configuration does not say, in ms. Without any
/// monitoring a bond never fails over.
pub(super) const DEFAULT_MIIMON: i64 = 100;

/// An option as the configuration gives it.
pub(super) struct Given {
    pub(super) option: &'static BondOption,
    /// Where it stands: `miimon`, `links[0].prio`.
    pub(super) key: String,
    /// What it says; none where that is wrong, or the name of a port.
    pub(super) value: Option<OptionValue>,
}

/// A configuration as far as it could be read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) mode: Option<BondMode>,
    pub(super) options: Vec<Given>,
    pub(super) ports: Vec<LinkName>,
    /// The options of each port, in the order of `ports`.
    pub(super) of_ports: Vec<Vec<Given>>,
    pub(super) roles: Vec<(&'static BondOption, LinkName)>,
    pub(super) mac: Option<(MacSource, Mac)>,
}

impl Draft {
    /// Returns an option as it is given.
    pub(super) fn given(&self, option: &BondOption) -> Option<&Given> {
        self.options.iter().find(|given| given.option == option)
    }

    /// Returns the number that an option is given.
    pub(super) fn number(&self, option: &BondOption) -> Option<i64> {
        match self.given(option)?.value {
            Some(OptionValue::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// Returns the port that is given a role.
    pub(super) fn role(&self, option: &BondOption) -> Option<LinkName> {
        self.roles.iter().find(|(role, _)| *role == option).map(|(_, name)| name.clone())
    }

    /// Returns `miimon`, or its default: the driver refuses it beside `arpInterval`.
    pub(super) fn miimon(&self) -> i64 {
        self.number(&table::MIIMON).unwrap_or_else(|| {
            let arp = self.number(&table::ARP_INTERVAL).is_some_and(|ms| ms > 0);
            if arp { 0 } else { DEFAULT_MIIMON }
        })
    }
}

/// Returns the value of a result; its error is gathered.
pub(super) fn keep<T>(result: Result<T, Error>, wrong: &mut Vec<Error>) -> Option<T> {
    result.map_err(|error| wrong.push(error)).ok()
}

/// Returns a key's value; null counts as absent.
pub(super) fn present<'r>(object: &'r Map<String, Value>, key: &str) -> Option<&'r Value> {
    field(object, key)
}

/// Returns the value in the form in which the kernel's table reads it. What has none of its forms
/// becomes one that no option takes.
pub(super) fn written(value: &Value) -> WrittenValue {
    serde_json::from_value(value.clone()).unwrap_or(WrittenValue::List(Vec::new()))
}
