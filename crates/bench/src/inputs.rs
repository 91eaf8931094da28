//! Inputs of the instruction counts: two bond configurations, and a pod with the VFs to bond.

use podbond_bond::{Config, Plan, Surroundings, plan};
use podbond_cni::{Args, NetConf};
use podbond_kernel::{Link, LinkAttributes, LinkState, Vf, VfSettings, View};
use podbond_names::LinkName;
use serde_json::{Value, json};

/// Ports of the larger configuration.
const MOST_PORTS: usize = 16;

/// Returns the configuration of an active-backup bond over two ports.
pub fn two_ports() -> String {
    let mut config = config("bond-net1", "active-backup", 2, 1500, 1);
    config["failOverMac"] = json!(1);
    config["miimon"] = json!("100");
    config["primary"] = json!("net1");
    config["numGratArp"] = json!(3);
    config.to_string()
}

/// Returns the configuration of a balance-xor bond over sixteen ports.
pub fn sixteen_ports() -> String {
    let mut config = config("bond-net9", "balance-xor", MOST_PORTS, 1280, 9);
    config["miimon"] = json!(100);
    config["xmitHashPolicy"] = json!("layer3+4");
    config.to_string()
}

fn config(name: &str, mode: &str, ports: usize, mtu: u32, net: u8) -> Value {
    let links: Vec<Value> = (1..=ports).map(|port| json!({"name": format!("net{port}")})).collect();
    json!({
        "type": "bond", "cniVersion": "1.0.0", "name": name, "mode": mode,
        "linksInContainer": true, "mtu": mtu, "links": links,
        "ipam": {
            "type": "host-local", "subnet": format!("10.64.{net}.0/24"),
            "gateway": format!("10.64.{net}.1"), "routes": [{"dst": "0.0.0.0/0"}],
        },
    })
}

/// A pod with sixteen trusted VFs of three PFs, and the name of its bond.
#[derive(Debug, Clone)]
pub struct Pod {
    ifname: LinkName,
    view: View,
}

impl Pod {
    /// Returns the pod.
    pub fn new() -> Result<Self, String> {
        let mut view = View::default();
        for number in 0..MOST_PORTS {
            let (card, function) = (number % 3, number / 3);
            let pci = valid(&format!("0000:0{}:1{}.{}", card + 1, function / 4, function % 4 * 2))?;
            view.pod.push(Link {
                index: u32::try_from(number).unwrap_or(u32::MAX).saturating_add(2),
                name: valid(&format!("net{}", number + 1))?,
                altnames: Vec::new(),
                kind: None,
                mac: Some(valid(&format!("02:00:00:00:00:{number:02x}"))?),
                permanent_mac: None,
                mtu: 9000,
                max_mtu: 9216,
                state: LinkState::Up,
                carrier: true,
                master: None,
                lower: None,
                lower_elsewhere: None,
                attributes: LinkAttributes::default(),
                parent: Some(pci),
                vlan: None,
                bond: None,
                aggregator: None,
                port: None,
            });
            view.vfs.push(Vf {
                pci,
                pf: valid(&format!("0000:0{}:00.0", card + 1))?,
                pf_link: valid(&format!("pf{card}"))?,
                index: u16::try_from(function).unwrap_or(u16::MAX),
                driver: Some("igbvf".to_owned()),
                settings: VfSettings { trust: Some(true), ..VfSettings::default() },
            });
        }
        Ok(Self { ifname: valid("bond0")?, view })
    }

    /// Plans an ADD of this configuration in the pod.
    pub fn plan(&self, config: &Config) -> Result<Plan, String> {
        let around = Surroundings::default();
        plan(config, &self.ifname, &self.view, &around).map_err(|error| error.to_string())
    }
}

/// Parses and validates a bond's configuration.
pub fn parse(text: &str) -> Result<Config, String> {
    let conf = NetConf::parse(text.as_bytes()).map_err(|failure| failure.to_string())?;
    Config::parse(&conf, &Args::default()).map_err(|error| error.to_string())
}

fn valid<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|why| format!("{text}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_configurations_are_planned() {
        let pod = Pod::new().unwrap();
        for text in [two_ports(), sixteen_ports()] {
            pod.plan(&parse(&text).unwrap()).unwrap();
        }
    }

    #[test]
    fn refused_configuration_is_an_error() {
        assert!(parse("{}").unwrap_err().contains("is missing"));
    }
}
