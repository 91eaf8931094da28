//! The configuration of the `sriov` plugin: its keys, and what of them is refused.

pub(crate) mod keys;

use std::ops::RangeInclusive;

use podbond_cni::{Args, NetConf};
use podbond_kernel::{LinkState, VfLinkState, VfSettings, VlanProtocol};
use podbond_names::{Mac, PciAddress};

use crate::Error;
use crate::config::keys::Keys;

/// VLAN IDs of IEEE 802.1Q; 0 takes the tag away.
const VLAN: RangeInclusive<u32> = 0..=4094;

/// Priorities of IEEE 802.1Q.
const VLAN_QOS: RangeInclusive<u32> = 0..=7;

/// What the kernel can carry in `IFLA_VF_RATE`, Mbit/s.
const RATE: RangeInclusive<u32> = 0..=u32::MAX;

/// The configuration of one VF, checked as far as it can be without a look at the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `deviceID`: the VF.
    pub device: PciAddress,
    /// The address that the VF shall have, from `runtimeConfig.mac`, `CNI_ARGS` or `mac`.
    pub mac: Option<Mac>,
    /// What the PF shall keep of the VF, `mac` included. What is absent is left as it is. A VLAN
    /// comes with priority and protocol, and a rate with the other rate, 0 where they are not given.
    pub settings: VfSettings,
    /// `adminState`, which sriov-cni does not know: how ADD leaves the link. Down is for a link
    /// that a bond takes next: it could not take one that is up, and opens it itself.
    pub state: LinkState,
}

impl Config {
    /// Reads the plugin's keys and checks each. Other keys are ignored, `logLevel` and `logFile`
    /// too.
    pub fn parse(conf: &NetConf, args: &Args) -> Result<Self, Error> {
        let keys = Keys(&conf.raw);
        let device = keys.text("deviceID")?.ok_or(Error::DeviceMissing)?;
        let device = device.parse().map_err(Error::Device)?;
        let mac = conf.wanted_mac(args, keys.text("mac")?)?.map(|(_, mac)| mac);
        let settings = VfSettings {
            mac,
            spoofchk: keys.choice("spoofchk", &[("on", true), ("off", false)])?,
            trust: keys.choice("trust", &[("on", true), ("off", false)])?,
            link_state: keys.choice(
                "link_state",
                &[
                    ("auto", VfLinkState::Auto),
                    ("enable", VfLinkState::Enable),
                    ("disable", VfLinkState::Disable),
                ],
            )?,
            ..vlan(keys)?.with(&rates(keys)?)
        };
        let states = [("up", LinkState::Up), ("down", LinkState::Down)];
        let state = keys.choice("adminState", &states)?.unwrap_or(LinkState::Up);
        Ok(Self { device, mac, settings, state })
    }

    /// Returns the VF that a configuration names, whatever else it holds.
    pub(crate) fn device_of(conf: &NetConf) -> Option<PciAddress> {
        Keys(&conf.raw).text("deviceID").ok()??.parse().ok()
    }
}

fn vlan(keys: Keys<'_>) -> Result<VfSettings, Error> {
    let vlan = keys.number("vlan", VLAN)?;
    let qos = keys.number("vlanQoS", VLAN_QOS)?;
    let proto = keys.choice(
        "vlanProto",
        &[("802.1q", VlanProtocol::Dot1Q), ("802.1ad", VlanProtocol::Dot1Ad)],
    )?;
    let Some(vlan) = vlan else {
        return match (qos, proto) {
            (None, None) => Ok(VfSettings::default()),
            (Some(_), _) => Err(Error::NeedsVlan { field: "vlanQoS" }),
            (None, Some(_)) => Err(Error::NeedsVlan { field: "vlanProto" }),
        };
    };
    if vlan == 0 && qos.is_some_and(|qos| qos != 0) {
        return Err(Error::NeedsTag { field: "vlanQoS" });
    }
    if vlan == 0 && proto == Some(VlanProtocol::Dot1Ad) {
        return Err(Error::NeedsTag { field: "vlanProto" });
    }
    Ok(VfSettings {
        vlan: u16::try_from(vlan).ok(),
        qos: u8::try_from(qos.unwrap_or(0)).ok(),
        vlan_proto: Some(proto.unwrap_or(VlanProtocol::Dot1Q)),
        ..VfSettings::default()
    })
}

fn rates(keys: Keys<'_>) -> Result<VfSettings, Error> {
    let (min, max) = (keys.number("min_tx_rate", RATE)?, keys.number("max_tx_rate", RATE)?);
    if min.is_none() && max.is_none() {
        return Ok(VfSettings::default());
    }
    let (min, max) = (min.unwrap_or(0), max.unwrap_or(0));
    // A maximum of 0 is no limit.
    if max != 0 && min > max {
        return Err(Error::Rates { min, max });
    }
    Ok(VfSettings { min_tx_rate: Some(min), max_tx_rate: Some(max), ..VfSettings::default() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn parse_with(keys: &Value, args: &[(&str, &str)]) -> Result<Config, Error> {
        let mut conf = json!({
            "cniVersion": "1.0.0", "name": "sriovnet1", "type": "sriov", "deviceID": "0000:03:10.1",
        });
        for (key, value) in keys.as_object().unwrap() {
            conf[key] = value.clone();
        }
        let pairs = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
        Config::parse(&conf, &Args(pairs.collect::<BTreeMap<_, _>>()))
    }

    fn settings(keys: &Value) -> String {
        parse_with(keys, &[]).unwrap().settings.to_string()
    }

    #[test]
    fn each_key_becomes_its_setting() {
        let cases = [
            (json!({}), ""),
            (json!({"vlan": 100}), "vlan 100 qos 0 proto 802.1q"),
            // As a SriovNetwork is rendered.
            (json!({"vlan": 0, "vlanQoS": 0}), "vlan 0 qos 0 proto 802.1q"),
            (
                json!({"vlan": 4094, "vlanQoS": 7, "vlanProto": "802.1AD"}),
                "vlan 4094 qos 7 proto 802.1ad",
            ),
            (json!({"spoofchk": "off", "trust": "on"}), "spoofchk off trust on"),
            (json!({"link_state": "auto"}), "link_state auto"),
            (json!({"max_tx_rate": 100}), "min_tx_rate 0 max_tx_rate 100"),
            (json!({"min_tx_rate": 50}), "min_tx_rate 50 max_tx_rate 0"),
            (json!({"mac": "02:00:00:00:00:01"}), "mac 02:00:00:00:00:01"),
            (json!({"spoofchk": "", "trust": null, "mac": ""}), ""),
            // sriov-cni's JSON reader does not look at case.
            (json!({"spoofChk": "on", "VLAN": 5}), "vlan 5 qos 0 proto 802.1q spoofchk on"),
            (json!({"logLevel": "debug", "logFile": "/var/log/sriov", "foo": [1]}), ""),
        ];
        for (keys, expected) in cases {
            assert_eq!(settings(&keys), expected, "{keys}");
        }
    }

    #[test]
    fn mac_of_runtime_takes_precedence_over_args_and_config() {
        let runtime =
            json!({"runtimeConfig": {"mac": "02:00:00:00:00:01"}, "mac": "02:00:00:00:00:03"});
        let config = json!({"mac": "02:00:00:00:00:03"});
        let args = [("MAC", "02:00:00:00:00:02")];
        let mac = |keys, args| parse_with(keys, args).unwrap().mac.unwrap().to_string();
        assert_eq!(mac(&runtime, &args[..]), "02:00:00:00:00:01");
        assert_eq!(mac(&config, &args[..]), "02:00:00:00:00:02");
        assert_eq!(mac(&config, &[][..]), "02:00:00:00:00:03");
    }

    #[test]
    fn wrong_value_is_refused_with_its_field_and_remedy() {
        let cases = [
            (json!({"deviceID": null}), "deviceID is missing: give the VF's PCI address"),
            (json!({"deviceID": 7}), "deviceID: 7 is no text: put it in quotes"),
            (json!({"deviceID": "ens1f0"}), "deviceID: PCI address \"ens1f0\" is malformed"),
            (
                json!({"vlan": 4095}),
                "vlan: 4095 is out of range: give a whole number from 0 to 4094",
            ),
            (json!({"vlan": -1}), "vlan: -1 is out of range"),
            (json!({"vlan": "ten"}), "vlan: \"ten\" is out of range"),
            (json!({"vlan": 1, "vlanQoS": 8}), "vlanQoS: 8 is out of range"),
            (json!({"vlanQoS": 1}), "vlanQoS needs a vlan: give vlan too"),
            (json!({"vlanProto": "802.1q"}), "vlanProto needs a vlan"),
            (json!({"vlan": 0, "vlanQoS": 1}), "vlanQoS needs a tag: vlan is 0"),
            (json!({"vlan": 0, "vlanProto": "802.1ad"}), "vlanProto needs a tag"),
            (
                json!({"vlan": 1, "vlanProto": "qinq"}),
                "vlanProto: \"qinq\" is unknown: give 802.1q or 802.1ad",
            ),
            (json!({"trust": true}), "trust: true is unknown: give on or off"),
            (json!({"adminState": 1}), "adminState: 1 is unknown: give up or down"),
            (json!({"spoofchk": "yes"}), "spoofchk: \"yes\" is unknown"),
            (json!({"link_state": "up"}), "link_state: \"up\" is unknown"),
            (json!({"min_tx_rate": 10, "max_tx_rate": 5}), "min_tx_rate 10 is above max_tx_rate 5"),
            (json!({"max_tx_rate": 1.5}), "max_tx_rate: 1.5 is out of range"),
            (json!({"mac": "nonsense"}), "mac: MAC address \"nonsense\" is malformed"),
            (
                json!({"mac": "01:00:5e:00:00:01"}),
                "mac: 01:00:5e:00:00:01 is not a unicast address",
            ),
            (json!({"mac": "00:00:00:00:00:00"}), "mac: 00:00:00:00:00:00 is not a unicast"),
        ];
        for (keys, expected) in cases {
            let message = parse_with(&keys, &[]).unwrap_err().to_string();
            assert!(message.contains(expected), "{keys}: {message}");
        }
        let message = parse_with(&json!({}), &[("MAC", "x")]).unwrap_err().to_string();
        assert!(message.starts_with("CNI_ARGS: MAC: MAC address \"x\""), "{message}");
    }
}
