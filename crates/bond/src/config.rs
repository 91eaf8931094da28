use podbond_cni::NetConf;
use podbond_kernel::{BondMode, BondOptions, FailOverMac, Netns, XmitHashPolicy};
use podbond_names::LinkName;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// How often carrier is looked at when the configuration does not say, in ms. Without any
/// monitoring a bond never fails over.
const DEFAULT_MIIMON: u32 = 100;

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
    /// `linksInContainer`.
    pub links_are: LinksAre,
    /// `allowUntrusted`.
    pub untrusted: UntrustedPorts,
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

/// The keys as they may stand in JSON: the incumbent wants some numbers as strings and some
/// enumerations as numbers; both are read in either spelling.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    mode: Option<Scalar>,
    miimon: Option<Scalar>,
    mtu: Option<Scalar>,
    fail_over_mac: Option<Scalar>,
    xmit_hash_policy: Option<Scalar>,
    all_slaves_active: Option<Scalar>,
    tlb_dynamic_lb: Option<Scalar>,
    #[serde(default)]
    links: Vec<LinkEntry>,
    #[serde(default)]
    links_in_container: bool,
    #[serde(default)]
    allow_untrusted: bool,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with a name, like {\"name\": \"net1\"}")]
struct LinkEntry {
    name: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Number(i64),
    Text(String),
    /// None of these: it fits no key, and is shown in the error.
    Other(Value),
}

impl Scalar {
    fn number(&self) -> Option<i64> {
        match self {
            Self::Bool(_) | Self::Other(_) => None,
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }

    /// The value as the user wrote it, for messages.
    fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Other(value) => value.to_string(),
        }
    }
}

impl Config {
    /// Reads the plugin's keys and checks each.
    pub fn parse(conf: &NetConf) -> Result<Self, Error> {
        let keys: Keys = conf.keys()?;
        if conf.ipam.as_deref() == Some("bond") {
            return Err(Error::BondAsIpam);
        }
        let mode = mode(keys.mode.as_ref())?;
        let options = BondOptions {
            miimon: Some(miimon(keys.miimon.as_ref())?),
            fail_over_mac: keys.fail_over_mac.as_ref().map(fail_over_mac).transpose()?,
            xmit_hash_policy: keys.xmit_hash_policy.as_ref().map(xmit_hash_policy).transpose()?,
            all_slaves_active: toggle("allSlavesActive", keys.all_slaves_active.as_ref())?,
            tlb_dynamic_lb: toggle("tlbDynamicLb", keys.tlb_dynamic_lb.as_ref())?,
            ..BondOptions::new(mode)
        };
        if options.tlb_dynamic_lb.is_some()
            && !matches!(mode, BondMode::BalanceTlb | BondMode::BalanceAlb)
        {
            return Err(Error::TlbDynamicLbNeedsTlb { mode });
        }
        Ok(Self {
            options,
            mtu: mtu(keys.mtu.as_ref())?,
            ports: ports(&keys.links)?,
            links_are: if keys.links_in_container { LinksAre::InPod } else { LinksAre::OnHost },
            untrusted: if keys.allow_untrusted {
                UntrustedPorts::Allowed
            } else {
                UntrustedPorts::Refused
            },
        })
    }

    /// Whose address the bond and its ports carry; the driver's default is `none`.
    pub fn fail_over_mac(&self) -> FailOverMac {
        self.options.fail_over_mac.unwrap_or(FailOverMac::None)
    }
}

fn mode(given: Option<&Scalar>) -> Result<BondMode, Error> {
    let given = given.ok_or(Error::ModeMissing)?;
    named(given, BondMode::from_name, BondMode::from_number)
        .ok_or_else(|| Error::UnknownMode { given: given.shown() })
}

fn fail_over_mac(given: &Scalar) -> Result<FailOverMac, Error> {
    named(given, FailOverMac::from_name, FailOverMac::from_number)
        .ok_or_else(|| Error::UnknownFailOverMac { given: given.shown() })
}

fn xmit_hash_policy(given: &Scalar) -> Result<XmitHashPolicy, Error> {
    named(given, XmitHashPolicy::from_name, XmitHashPolicy::from_number)
        .ok_or_else(|| Error::UnknownXmitHashPolicy { given: given.shown() })
}

/// An enumeration by the kernel's name, or by its number as a number or as text.
fn named<T>(
    given: &Scalar,
    by_name: impl Fn(&str) -> Option<T>,
    by_number: impl Fn(u8) -> Option<T>,
) -> Option<T> {
    let name = match given {
        Scalar::Text(text) => by_name(text),
        _ => None,
    };
    name.or_else(|| given.number().and_then(|number| u8::try_from(number).ok()).and_then(by_number))
}

fn miimon(given: Option<&Scalar>) -> Result<u32, Error> {
    let Some(given) = given else { return Ok(DEFAULT_MIIMON) };
    // The driver keeps it as a signed int.
    given
        .number()
        .and_then(|ms| i32::try_from(ms).ok())
        .and_then(|ms| u32::try_from(ms).ok())
        .ok_or_else(|| Error::Miimon { given: given.shown() })
}

fn mtu(given: Option<&Scalar>) -> Result<Option<u32>, Error> {
    let Some(given) = given else { return Ok(None) };
    let bytes = given.number().and_then(|bytes| u32::try_from(bytes).ok());
    match bytes {
        // Go's zero value: the incumbent reads it as absent.
        Some(0) => Ok(None),
        Some(bytes) if (MIN_MTU..=MAX_MTU).contains(&bytes) => Ok(Some(bytes)),
        _ => Err(Error::Mtu { given: given.shown(), min: MIN_MTU, max: MAX_MTU }),
    }
}

fn toggle(field: &'static str, given: Option<&Scalar>) -> Result<Option<bool>, Error> {
    match given {
        None => Ok(None),
        Some(Scalar::Bool(on)) => Ok(Some(*on)),
        Some(given) => match given.number() {
            Some(0) => Ok(Some(false)),
            Some(1) => Ok(Some(true)),
            _ => Err(Error::Toggle { field, given: given.shown() }),
        },
    }
}

fn ports(links: &[LinkEntry]) -> Result<Vec<LinkName>, Error> {
    let mut names: Vec<LinkName> = Vec::with_capacity(links.len());
    for (position, link) in links.iter().enumerate() {
        let name = link.name.parse().map_err(|reason| Error::LinkName { position, reason })?;
        if names.contains(&name) {
            return Err(Error::LinkTwice { name });
        }
        names.push(name);
    }
    if names.len() < 2 { Err(Error::TooFewLinks { count: names.len() }) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The documented configuration with keys replaced, or taken away by null.
    fn parse(changes: Value) -> Result<Config, Error> {
        let mut conf = json!({
            "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "mode": "active-backup",
            "failOverMac": 1, "linksInContainer": true, "miimon": "100", "mtu": 1500,
            "links": [{"name": "net1"}, {"name": "net2"}],
            "ipam": {"type": "host-local", "subnet": "10.56.217.0/24",
                     "routes": [{"dst": "0.0.0.0/0"}], "gateway": "10.56.217.1"}
        });
        let Value::Object(changes) = changes else { unreachable!("changes are an object") };
        for (key, value) in changes {
            if value.is_null() {
                conf.as_object_mut().unwrap().remove(&key);
            } else {
                conf[key] = value;
            }
        }
        Config::parse(&NetConf::parse(conf.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn the_documented_configuration_is_read_as_it_is_meant() {
        let config = parse(json!({})).unwrap();
        assert_eq!(config.options.mode, BondMode::ActiveBackup);
        assert_eq!(config.options.miimon, Some(100));
        assert_eq!(config.fail_over_mac(), FailOverMac::Active);
        assert_eq!(config.mtu, Some(1500));
        assert_eq!(config.links_are, LinksAre::InPod);
        assert_eq!(config.ports.iter().map(LinkName::as_str).collect::<Vec<_>>(), ["net1", "net2"]);
    }

    #[test]
    fn modes_are_read_by_name_and_by_number_in_both_spellings() {
        for mode in BondMode::ALL {
            for given in
                [json!(mode.name()), json!(mode.number()), json!(mode.number().to_string())]
            {
                let config = parse(json!({ "mode": given })).unwrap();
                assert_eq!(config.options.mode, *mode);
            }
        }
    }

    #[test]
    fn absent_keys_take_their_defaults() {
        let config = parse(
            json!({"miimon": null, "mtu": null, "failOverMac": null, "linksInContainer": null}),
        )
        .unwrap();
        assert_eq!(config.options.miimon, Some(DEFAULT_MIIMON));
        assert_eq!(config.mtu, None);
        assert_eq!(config.options.fail_over_mac, None);
        assert_eq!(config.links_are, LinksAre::OnHost);
    }

    #[test]
    fn the_incumbents_spellings_are_read() {
        let config = parse(json!({
            "mode": "balance-tlb", "miimon": 50, "mtu": 0, "failOverMac": "follow",
            "allSlavesActive": 1, "tlbDynamicLb": 0, "xmitHashPolicy": "layer3+4"
        }))
        .unwrap();
        assert_eq!(config.options.miimon, Some(50));
        assert_eq!(config.mtu, None);
        assert_eq!(config.options.fail_over_mac, Some(FailOverMac::Follow));
        assert_eq!(config.options.all_slaves_active, Some(true));
        assert_eq!(config.options.tlb_dynamic_lb, Some(false));
        assert_eq!(config.options.xmit_hash_policy, Some(XmitHashPolicy::Layer34));
    }

    #[test]
    fn each_wrong_value_is_refused_with_its_field_and_the_value() {
        let cases = [
            (json!({"mode": null}), "mode is missing"),
            (json!({"mode": "active_backup"}), "mode: \"active_backup\""),
            (json!({"mode": 7}), "mode: 7"),
            (json!({"mode": true}), "mode: true"),
            (json!({"miimon": -1}), "miimon: -1"),
            (json!({"miimon": "-100"}), "miimon: \"-100\""),
            (json!({"miimon": "fast"}), "miimon: \"fast\""),
            (json!({"miimon": 3_000_000_000_u32}), "miimon: 3000000000"),
            (json!({"miimon": 99.5}), "miimon: 99.5 is no time"),
            (json!({"mode": ["balance-rr"]}), "mode: [\"balance-rr\"] is no bonding mode"),
            (json!({"mtu": 67}), "mtu: 67"),
            (json!({"mtu": 70000}), "mtu: 70000"),
            (json!({"mtu": "big"}), "mtu: \"big\""),
            (json!({"failOverMac": 3}), "failOverMac: 3"),
            (json!({"xmitHashPolicy": "layer4"}), "xmitHashPolicy: \"layer4\""),
            (json!({"allSlavesActive": 2}), "allSlavesActive: 2"),
            (json!({"tlbDynamicLb": 1}), "tlbDynamicLb"),
            (json!({"links": [{"name": "net1"}]}), "links: 1 given"),
            (json!({"links": []}), "links: 0 given"),
            (json!({"links": [{"name": "net1"}, {"name": "net1"}]}), "net1 is given twice"),
            (json!({"links": [{"name": "net1"}, {"name": "a/b"}]}), "links[1].name"),
            (json!({"links": [{"name": "net1"}, {"nam": "net2"}]}), "links[1]"),
            (
                json!({"links": ["net1", "net2"]}),
                "links[0]: invalid type: string \"net1\", expected an object with a name",
            ),
            (json!({"ipam": {"type": "bond"}}), "ipam.type"),
        ];
        for (changes, expected) in cases {
            let message = parse(changes.clone()).unwrap_err().to_string();
            assert!(message.contains(expected), "{changes}: {message}");
        }
    }

    #[test]
    fn the_links_are_read_from_a_configuration_that_is_refused() {
        let conf = |links: Value| {
            let conf = json!({"type": "bond", "name": "n", "mode": "none", "miimon": [],
                              "linksInContainer": true, "links": links});
            Links::of(&NetConf::parse(conf.to_string().as_bytes()).unwrap())
        };
        let names = vec!["net1".parse().unwrap()];
        let links = conf(json!([{"name": "net1"}, {"name": "a/b"}, "net2"]));
        assert_eq!(links, Links { names, are: LinksAre::InPod });
        assert_eq!(conf(json!("net1")).names, []);
    }
}
