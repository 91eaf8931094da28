//! The pure parts of an operation, ready to be run: what is timed, and counted instruction by
//! instruction.

use podbond_bond::{Config, Plan, Surroundings, plan};
use podbond_cni::{Args, NetConf};
use podbond_kernel::{Link, LinkState, Vf, VfSettings, View};
use podbond_names::LinkName;

use crate::nads::MOST_PORTS;

/// A pod with as many trusted VFs as the largest bond takes, from three PFs, and the name that its
/// bond gets.
#[derive(Debug, Clone)]
pub struct Pod {
    ifname: LinkName,
    view: View,
}

impl Pod {
    /// The pod.
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

    /// The steps of an ADD of this configuration.
    pub fn plan(&self, config: &Config) -> Result<Plan, String> {
        let around = Surroundings::default();
        plan(config, &self.ifname, &self.view, &around).map_err(|error| error.to_string())
    }
}

/// Reads a bond's configuration.
pub fn parse(text: &str) -> Result<Config, String> {
    let conf = NetConf::parse(text.as_bytes()).map_err(|failure| failure.to_string())?;
    Config::parse(&conf, &Args::default()).map_err(|error| error.to_string())
}

fn valid<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|why| format!("{text}: {why}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::nads::{self, COUNT};

    #[test]
    fn each_of_the_nads_is_planned_and_no_two_are_alike() {
        let pod = Pod::new().unwrap();
        let texts: BTreeSet<String> = (0..COUNT).map(|n| nads::config(n).to_string()).collect();
        assert_eq!(texts.len(), COUNT);
        for text in texts {
            pod.plan(&parse(&text).unwrap()).unwrap();
        }
    }

    #[test]
    fn what_is_refused_is_told() {
        assert!(parse("{}").unwrap_err().contains("is missing"));
    }
}
