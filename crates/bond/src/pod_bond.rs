//! The bonds of a pod, as its records and the kernel have them, with the findings about each: for `podbond doctor` and
//! for the pod's status in a cluster.

use podbond_cni::{Args, NetConf};
use podbond_kernel::{Kernel, Link, View};
use podbond_names::LinkName;
use podbond_record::{Record, Records, State};

use crate::Error;
use crate::add::observe::surroundings;
use crate::check::compare;
use crate::config::Config;
use crate::finding::{Finding, Object, kind};
use crate::inspect::{OtherBond, Surroundings, findings};
use crate::record::{BondRecord, PLUGIN};

/// A bond that is in a pod, with what stands below and beside it.
#[derive(Debug)]
pub struct PodBond {
    config: Config,
    view: View,
    around: Surroundings,
}

impl PodBond {
    /// Reads what stands below a bond among the links of its pod, and beside it by the records of the node. `host`
    /// is what is known of the node's links already, `records` are those of the pod. None of a link that is no bond.
    pub fn read(
        kernel: &mut Kernel,
        bond: &Link,
        links: &[Link],
        host: &View,
        records: &[Record],
    ) -> Result<Option<Self>, Error> {
        let Some(options) = bond.bond.clone() else { return Ok(None) };
        let ports = bond.ports(links).map(|port| port.name.clone()).collect();
        let mut config = Config::of_existing(options, ports);
        let recorded = recorded_bonds(records).find(|recorded| recorded.name() == bond.name);
        if let Some(asked) = recorded.as_ref().and_then(RecordedBond::config) {
            config.untrusted = asked.untrusted;
        }
        let own = recorded.map(|recorded| recorded.record.attachment());
        let mut view = View { pod: links.to_vec(), ..host.clone() };
        let around = surroundings(kernel, &config, &Records::default(), own.as_ref(), &mut view)?;
        Ok(Some(Self { config, view, around }))
    }

    /// Returns how another bond sees it. `name` says whose it is, for people.
    pub fn as_other(&self, name: String) -> OtherBond {
        OtherBond::of(name, &self.config, &self.view)
    }

    /// Sees it beside these bonds instead of those that are recorded.
    #[must_use]
    pub fn beside(self, bonds: Vec<OtherBond>) -> Self {
        Self { around: Surroundings { bonds, ..self.around }, ..self }
    }

    /// Returns what it will not do although its mode is there for it, or will not survive. What the bond itself
    /// shows is in [`bond_findings`](crate::bond_findings).
    pub fn findings(&self) -> Vec<Finding> {
        findings(&self.config, &self.view, &self.around)
    }
}

/// A bond whose ADD has succeeded.
#[derive(Debug)]
pub struct RecordedBond<'r> {
    /// Its record.
    pub record: &'r Record,
    /// Its configuration, with its result as `prevResult`.
    conf: NetConf,
}

/// Returns the bonds among a pod's records whose ADD has succeeded and whose DEL has not begun.
pub fn recorded_bonds(records: &[Record]) -> impl Iterator<Item = RecordedBond<'_>> {
    records.iter().filter(|record| record.state == State::Active).filter_map(|record| {
        let add = record.add.as_ref().filter(|add| add.config.plugin == PLUGIN)?;
        let result = match &record.chain {
            Some(chain) => chain.result.clone(),
            None => add.result.clone(),
        };
        let mut conf = add.config.clone();
        conf.set_prev_result(Some(result?));
        Some(RecordedBond { record, conf })
    })
}

impl RecordedBond<'_> {
    /// Returns the bond's name: that of the attachment's interface, but for one below a VLAN interface.
    pub fn name(&self) -> LinkName {
        let recorded = BondRecord::read(self.record).and_then(|bond| bond.bond_name());
        let configured = || Some(self.config()?.bond_name(&self.record.ifname));
        recorded.or_else(configured).unwrap_or_else(|| self.record.ifname.clone())
    }

    /// Returns what was asked for; none where today's podbond refuses it.
    pub fn config(&self) -> Option<Config> {
        Config::parse(&self.conf, &Args::default()).ok()
    }

    /// Returns what somebody changed of the bond, its ports, addresses or routes since ADD made them.
    pub fn difference(&self, kernel: &mut Kernel) -> Result<Option<Finding>, Error> {
        let (record, ifname) = (self.record, &self.record.ifname);
        let differences = compare(kernel, &self.conf, &Args::default(), ifname, Some(record))?;
        let object = || Object::Bond(ifname.clone());
        let finding = || Finding::new(&kind::NOT_AS_ASKED_FOR, object(), differences.join("; "));
        Ok((!differences.is_empty()).then(finding))
    }
}
