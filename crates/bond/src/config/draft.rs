//! A configuration while it is read.

use podbond_cni::MacSource;
use podbond_kernel::bond::table::{self, BondOption};
use podbond_kernel::{BondMode, OptionValue};
use podbond_names::{LinkName, Mac};

use super::DEFAULT_MIIMON;

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
    pub(super) fn given(&self, option: &BondOption) -> Option<&Given> {
        self.options.iter().find(|given| given.option == option)
    }

    pub(super) fn number(&self, option: &BondOption) -> Option<i64> {
        match self.given(option)?.value {
            Some(OptionValue::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(super) fn role(&self, option: &BondOption) -> Option<LinkName> {
        self.roles.iter().find(|(role, _)| *role == option).map(|(_, name)| name.clone())
    }

    /// `miimon`, or what stands for it: the driver refuses it beside `arpInterval`.
    pub(super) fn miimon(&self) -> i64 {
        self.number(&table::MIIMON).unwrap_or_else(|| {
            let arp = self.number(&table::ARP_INTERVAL).is_some_and(|ms| ms > 0);
            if arp { 0 } else { DEFAULT_MIIMON }
        })
    }
}
