//! Reads a configuration: each key, and what they mean together. The error has all that is wrong.

use std::collections::BTreeMap;

use podbond_cni::{Args, Dns, MacSource, NetConf};
use podbond_kernel::bond::table::{self, BondOption, Kind, Scope};
use podbond_kernel::{BondMode, BondOptions, PortOptions, WrongValue};
use podbond_names::{LinkName, Mac};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::draft::{Draft, Given, keep, present, written};
use super::{Config, LinksAre, UntrustedPorts, keys, rules, vlan};
use crate::error::{Error, MODES};
use crate::finding::Requirement;

/// The smallest MTU of an Ethernet device: the kernel's `ETH_MIN_MTU`, bytes.
const MIN_MTU: u32 = 68;

/// The largest MTU of a bond: the kernel's `ETH_MAX_MTU`, bytes.
const MAX_MTU: u32 = 65_535;

impl Config {
    /// Reads the plugin's keys and checks each, and what they mean together. The error has all that
    /// is wrong.
    pub fn parse(conf: &NetConf, args: &Args) -> Result<Self, Error> {
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
        draft.mac = keep(mac(conf, args), &mut wrong).flatten();
        let vlan = vlan::tag(raw, &mut wrong);
        links(present(raw, "links"), &mut draft, &mut wrong);
        let dns = keep(dns(conf), &mut wrong);
        let in_container = switch("linksInContainer", raw, &mut wrong);
        let allow_untrusted = switch("allowUntrusted", raw, &mut wrong);
        // Taken when the addresses are given.
        switch("ipv6Dad", raw, &mut wrong);
        let requirements = Requirement::ALL.into_iter();
        let requirements: Vec<Requirement> =
            requirements.filter(|must| switch(must.key(), raw, &mut wrong)).collect();
        let mut findings = keys::unknown(raw);
        rules::check(&draft, &mut wrong, &mut findings);
        if requirements.contains(&Requirement::Strict) {
            wrong.extend(findings.drain(..).map(|finding| Error::Strict { finding }));
        }
        match draft.mode {
            Some(mode) if wrong.is_empty() => Ok(Self {
                options: options(mode, &draft),
                mac: draft.mac.map(|(_, mac)| mac),
                vlan,
                mtu,
                dns: dns.unwrap_or_default(),
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
            _ => Err(Error::several(wrong)),
        }
    }
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
        let refused = |problem: WrongValue| Error::value(&key, given, problem);
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
    mode.ok_or_else(|| {
        Error::value("mode", given, format_args!("is no bonding mode: give one of {MODES}"))
    })
}

fn mac(conf: &NetConf, args: &Args) -> Result<Option<(MacSource, Mac)>, Error> {
    let own = match present(&conf.raw, "mac") {
        None => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(given) => {
            let problem = "is no text: put it in quotes, like \"02:00:00:56:d9:01\"";
            return Err(Error::value("mac", given, problem));
        }
    };
    Ok(conf.wanted_mac(args, own)?)
}

fn mtu(given: Option<&Value>) -> Result<Option<u32>, Error> {
    let Some(given) = given else { return Ok(None) };
    let bytes = written(given).number().and_then(|bytes| u32::try_from(bytes).ok());
    match bytes {
        // Go's zero value: bond-cni reads it as absent.
        Some(0) => Ok(None),
        Some(bytes) if (MIN_MTU..=MAX_MTU).contains(&bytes) => Ok(Some(bytes)),
        _ => {
            let problem = format_args!(
                "is no MTU: give bytes from {MIN_MTU} to {MAX_MTU}, or leave it out to take 1500, or \
                 the smallest port's"
            );
            Err(Error::value("mtu", given, problem))
        }
    }
}

fn dns(conf: &NetConf) -> Result<Dns, Error> {
    #[derive(Deserialize)]
    struct Keys {
        dns: Option<Dns>,
    }
    let keys: Keys = conf.keys()?;
    Ok(keys.dns.unwrap_or_default())
}

/// Returns whether a key is true; absent it is false.
fn switch(key: &str, raw: &Map<String, Value>, wrong: &mut Vec<Error>) -> bool {
    match present(raw, key) {
        None => false,
        Some(Value::Bool(on)) => *on,
        Some(given) => {
            wrong.push(Error::value(key, given, "is neither true nor false"));
            false
        }
    }
}

fn links(given: Option<&Value>, draft: &mut Draft, wrong: &mut Vec<Error>) {
    let entries = match given {
        None => &[],
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(other) => {
            let problem = r#"is no list: give one like [{"name": "net1"}, {"name": "net2"}]"#;
            wrong.push(Error::value("links", other, problem));
            return;
        }
    };
    for (position, entry) in entries.iter().enumerate() {
        let Some((object, name)) =
            entry.as_object().and_then(|object| Some((object, present(object, "name")?.as_str()?)))
        else {
            let problem = r#"is no object with a name: write it like {"name": "net1"}"#;
            wrong.push(Error::value(&format!("links[{position}]"), entry, problem));
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
