mod keys;
mod rules;

use std::collections::BTreeMap;

use podbond_cni::NetConf;
use podbond_kernel::bond::table::{self, BondOption, Kind, Scope};
use podbond_kernel::{
    BondMode, BondOptions, FailOverMac, Netns, OptionValue, PortOptions, WrittenValue, WrongValue,
};
use podbond_names::LinkName;
use serde_json::{Map, Value};

pub use keys::{KEYS, Key};

use crate::Error;
use crate::findings::{Finding, Refused, Requirement};

/// How often carrier is looked at when the configuration does not say, in ms. Without any
/// monitoring a bond never fails over.
pub(crate) const DEFAULT_MIIMON: i64 = 100;

/// The smallest MTU of an Ethernet device: the kernel's `ETH_MIN_MTU`, bytes.
const MIN_MTU: u32 = 68;

/// The largest MTU of a bond: the kernel's `ETH_MAX_MTU`, bytes.
const MAX_MTU: u32 = 65_535;

/// Where the ports are before ADD: `linksInContainer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinksAre {
    /// `true`: earlier attachments have put them into the pod.
    InPod,
    /// `false`, the default: they are the node's, and are moved into the pod.
    OnHost,
}

impl LinksAre {
    /// The namespace in which ADD finds the ports.
    pub fn netns(self) -> Netns {
        match self {
            Self::InPod => Netns::Pod,
            Self::OnHost => Netns::Host,
        }
    }
}

/// What happens when VFs that are not trusted would have to change their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UntrustedPorts {
    /// ADD is refused: such a bond would not carry traffic.
    Refused,
    /// `allowUntrusted`: a warning is given.
    Allowed,
}

/// The configuration of a bond, checked as far as it can be without a look at the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The options of the bond, those absent left to the driver.
    pub options: BondOptions,
    /// `mtu` in bytes; none takes the smallest of the ports'.
    pub mtu: Option<u32>,
    /// `links`: two or more, no name twice.
    pub ports: Vec<LinkName>,
    /// The options of those ports that are given some.
    pub port_options: BTreeMap<LinkName, PortOptions>,
    /// `primary`: one of the ports.
    pub primary: Option<LinkName>,
    /// `activeSlave`: one of the ports.
    pub active: Option<LinkName>,
    /// `linksInContainer`.
    pub links_are: LinksAre,
    /// `allowUntrusted`.
    pub untrusted: UntrustedPorts,
    /// The keys that turn findings into refusals, as far as they are true.
    pub requirements: Vec<Requirement>,
    /// What is accepted and has no effect.
    pub findings: Vec<Finding>,
}

/// What DEL needs of a configuration. It is read from any, also from one that ADD refuses: a runtime
/// answers a failed ADD with a DEL, which must not fail for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Links {
    /// Those names of `links` that a link can have.
    pub(crate) names: Vec<LinkName>,
    /// `linksInContainer`.
    pub(crate) are: LinksAre,
}

impl Links {
    pub(crate) fn of(conf: &NetConf) -> Self {
        let links = conf.raw.get("links").and_then(Value::as_array);
        let name = |link: &Value| link.get("name")?.as_str()?.parse().ok();
        let are = match conf.raw.get("linksInContainer") {
            Some(Value::Bool(true)) => LinksAre::InPod,
            _ => LinksAre::OnHost,
        };
        Self { names: links.into_iter().flatten().filter_map(name).collect(), are }
    }
}

/// An option as the configuration gives it.
struct Given {
    option: &'static BondOption,
    /// Where it stands: `miimon`, `links[0].prio`.
    key: String,
    /// What it says; none where that is wrong, or the name of a port.
    value: Option<OptionValue>,
}

/// A configuration as far as it could be read.
#[derive(Default)]
struct Draft {
    mode: Option<BondMode>,
    options: Vec<Given>,
    ports: Vec<LinkName>,
    /// The options of each port, in the order of `ports`.
    of_ports: Vec<Vec<Given>>,
    roles: Vec<(&'static BondOption, LinkName)>,
}

impl Draft {
    fn given(&self, option: &BondOption) -> Option<&Given> {
        self.options.iter().find(|given| given.option == option)
    }

    fn number(&self, option: &BondOption) -> Option<i64> {
        match self.given(option)?.value {
            Some(OptionValue::Number(number)) => Some(number),
            _ => None,
        }
    }

    fn role(&self, option: &BondOption) -> Option<LinkName> {
        self.roles.iter().find(|(role, _)| *role == option).map(|(_, name)| name.clone())
    }

    /// `miimon`, or what stands for it: the driver refuses it beside `arpInterval`.
    fn miimon(&self) -> i64 {
        self.number(&table::MIIMON).unwrap_or_else(|| {
            let arp = self.number(&table::ARP_INTERVAL).is_some_and(|ms| ms > 0);
            if arp { 0 } else { DEFAULT_MIIMON }
        })
    }
}

impl Config {
    /// Reads the plugin's keys and checks each, and what they mean together. The error tells all
    /// that is wrong.
    pub fn parse(conf: &NetConf) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        if conf.ipam.as_deref() == Some("bond") {
            wrong.push(Error::BondAsIpam);
        }
        let raw = &conf.raw;
        let mode = keep(mode(present(raw, "mode")), &mut wrong);
        let mut draft = Draft { mode, ..Draft::default() };
        for option in table::all().filter(|option| option.scope == Scope::Bond) {
            let given = read(option, "", raw, &mut draft.roles, &mut wrong);
            draft.options.extend(given);
        }
        let mtu = keep(mtu(present(raw, "mtu")), &mut wrong).flatten();
        links(present(raw, "links"), &mut draft, &mut wrong);
        let switch = |key, wrong: &mut _| keep(switch(key, present(raw, key)), wrong) == Some(true);
        let in_container = switch("linksInContainer", &mut wrong);
        let allow_untrusted = switch("allowUntrusted", &mut wrong);
        let strict = switch("strict", &mut wrong);
        let requirements = Requirement::ALL.into_iter();
        let requirements = requirements.filter(|must| switch(must.key(), &mut wrong)).collect();
        let mut findings = keys::unknown(raw);
        rules::check(&draft, &mut wrong, &mut findings);
        if strict {
            wrong.extend(findings.drain(..).map(|finding| Error::Strict { finding }));
        }
        match draft.mode {
            Some(mode) if wrong.is_empty() => Ok(Self {
                options: options(mode, &draft),
                mtu,
                port_options: port_options(&draft),
                primary: draft.role(&table::PRIMARY),
                active: draft.role(&table::ACTIVE_SLAVE),
                ports: draft.ports,
                links_are: if in_container { LinksAre::InPod } else { LinksAre::OnHost },
                untrusted: if allow_untrusted {
                    UntrustedPorts::Allowed
                } else {
                    UntrustedPorts::Refused
                },
                requirements,
                findings,
            }),
            _ => Err(Error::wrong(wrong)),
        }
    }

    /// The configuration of a bond that is there: its options as the kernel shows them, its ports by
    /// name. It asks for nothing beyond that.
    pub fn of_existing(options: BondOptions, ports: Vec<LinkName>) -> Self {
        Self {
            options,
            mtu: None,
            ports,
            port_options: BTreeMap::new(),
            primary: None,
            active: None,
            links_are: LinksAre::InPod,
            untrusted: UntrustedPorts::Refused,
            requirements: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Whose address the bond and its ports carry; the driver's default is `none`.
    pub fn fail_over_mac(&self) -> FailOverMac {
        self.options.fail_over_mac().unwrap_or(FailOverMac::None)
    }

    /// Whether the mode wants ports of one speed.
    pub(crate) fn needs_equal_speeds(&self) -> bool {
        matches!(self.options.mode, BondMode::Lacp | BondMode::BalanceRr)
    }

    /// Why a bond of which this was found is not made, if it is not.
    pub(crate) fn refusal(&self, finding: &Finding) -> Option<Refused> {
        let untrusted = self.untrusted == UntrustedPorts::Refused && finding.is_of_trust();
        let keys = self.requirements.iter().copied();
        let keys: Vec<Requirement> = keys.filter(|must| must.refuses(finding)).collect();
        let refused = untrusted || !keys.is_empty();
        refused.then(|| Refused { finding: finding.clone(), keys })
    }
}

/// The value of a result; its error is gathered.
fn keep<T>(result: Result<T, Error>, wrong: &mut Vec<Error>) -> Option<T> {
    result.map_err(|error| wrong.push(error)).ok()
}

/// A key's value; null is as good as none.
fn present<'r>(object: &'r Map<String, Value>, key: &str) -> Option<&'r Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// The value in the form in which the kernel's table reads it. What has none of its forms becomes
/// one that no option takes.
fn written(value: &Value) -> WrittenValue {
    serde_json::from_value(value.clone()).unwrap_or(WrittenValue::List(Vec::new()))
}

/// Reads an option under whichever of its keys an object has, `place` being the path to the object.
fn read(
    option: &'static BondOption,
    place: &str,
    object: &Map<String, Value>,
    roles: &mut Vec<(&'static BondOption, LinkName)>,
    wrong: &mut Vec<Error>,
) -> Option<Given> {
    let mut found: Option<Given> = None;
    for name in [option.key].iter().chain(option.aliases) {
        let Some(given) = present(object, name) else { continue };
        let key = format!("{place}{name}");
        let refused = |reason| Error::Value { key: key.clone(), given: given.to_string(), reason };
        let value = if option.kind == Kind::Port {
            let port = given.as_str().and_then(|name| name.parse().ok());
            match port {
                Some(port) => roles.push((option, port)),
                None => wrong.push(refused(WrongValue::Port)),
            }
            None
        } else {
            keep(option.read(&written(given)).map_err(refused), wrong)
        };
        match &found {
            Some(first) if first.value != value => {
                wrong.push(Error::TwoSpellings { first: first.key.clone(), second: key });
            }
            Some(_) => {}
            None => found = Some(Given { option, key, value }),
        }
    }
    found
}

fn mode(given: Option<&Value>) -> Result<BondMode, Error> {
    let given = given.ok_or(Error::ModeMissing)?;
    let value = written(given);
    let by_number = value.number().and_then(|number| u8::try_from(number).ok());
    let by_number = by_number.and_then(BondMode::from_number);
    let mode = by_number.or_else(|| given.as_str().and_then(BondMode::from_name));
    mode.ok_or_else(|| Error::UnknownMode { given: given.to_string() })
}

fn mtu(given: Option<&Value>) -> Result<Option<u32>, Error> {
    let Some(given) = given else { return Ok(None) };
    let bytes = written(given).number().and_then(|bytes| u32::try_from(bytes).ok());
    match bytes {
        // Go's zero value: the incumbent reads it as absent.
        Some(0) => Ok(None),
        Some(bytes) if (MIN_MTU..=MAX_MTU).contains(&bytes) => Ok(Some(bytes)),
        _ => Err(Error::Mtu { given: given.to_string(), min: MIN_MTU, max: MAX_MTU }),
    }
}

fn switch(key: &'static str, given: Option<&Value>) -> Result<bool, Error> {
    match given {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(given) => Err(Error::Switch { key, given: given.to_string() }),
    }
}

fn links(given: Option<&Value>, draft: &mut Draft, wrong: &mut Vec<Error>) {
    let entries = match given {
        None => &[],
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(other) => {
            wrong.push(Error::Links { given: other.to_string() });
            return;
        }
    };
    for (position, entry) in entries.iter().enumerate() {
        let Some((object, name)) =
            entry.as_object().and_then(|object| Some((object, object.get("name")?.as_str()?)))
        else {
            wrong.push(Error::LinkEntry { position, given: entry.to_string() });
            continue;
        };
        let name = name.parse().map_err(|reason| Error::LinkName { position, reason });
        let Some(name) = keep(name, wrong) else { continue };
        if draft.ports.contains(&name) {
            wrong.push(Error::LinkTwice { name });
            continue;
        }
        let place = format!("links[{position}].");
        let options = table::all().filter(|option| option.scope == Scope::Port);
        let options = options.filter_map(|o| read(o, &place, object, &mut draft.roles, wrong));
        draft.of_ports.push(options.collect());
        draft.ports.push(name);
    }
    if entries.len() < 2 {
        wrong.push(Error::TooFewLinks { count: entries.len() });
    }
}

fn options(mode: BondMode, draft: &Draft) -> BondOptions {
    let mut options = BondOptions::new(mode);
    for given in &draft.options {
        if let Some(value) = &given.value {
            options.set(given.option, value.clone());
        }
    }
    options.with(&table::MIIMON, draft.miimon())
}

fn port_options(draft: &Draft) -> BTreeMap<LinkName, PortOptions> {
    let mut all = BTreeMap::new();
    for (name, given) in draft.ports.iter().zip(&draft.of_ports) {
        let mut options = PortOptions::default();
        for given in given {
            if let Some(value) = &given.value {
                options.set(given.option, value.clone());
            }
        }
        if !options.is_empty() {
            all.insert(name.clone(), options);
        }
    }
    all
}

#[cfg(test)]
mod tests;
