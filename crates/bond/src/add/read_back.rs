//! Whether the ports have the bond's MAC address after the bond was made: a driver may acknowledge an
//! address and ignore it.

use podbond_kernel::{BondMode, FailOverMac, Kernel, Link, LinkRef, Netns};
use podbond_names::LinkName;

use crate::config::Config;
use crate::error::Error;

/// Reads the ports of the bond of an attachment, and fails if one has not taken the bond's address.
pub(super) fn require_taken_macs(
    kernel: &mut Kernel,
    config: &Config,
    ifname: &LinkName,
) -> Result<(), Error> {
    if !gives_all_ports_its_mac(config) {
        return Ok(());
    }
    let Some(bond) = kernel.link(&LinkRef::pod(config.bond_name(ifname)))? else { return Ok(()) };
    let ports = kernel.ports(Netns::Pod, bond.index)?;
    mac_not_taken(&bond, &ports).map_or(Ok(()), Err)
}

fn gives_all_ports_its_mac(config: &Config) -> bool {
    match config.options.mode {
        BondMode::ActiveBackup => config.fail_over_mac() == FailOverMac::None,
        BondMode::BalanceTlb | BondMode::BalanceAlb => false,
        BondMode::BalanceRr | BondMode::BalanceXor | BondMode::Broadcast | BondMode::Lacp => true,
    }
}

/// Returns the error about the first port with another address than the bond. Pure.
fn mac_not_taken(bond: &Link, ports: &[Link]) -> Option<Error> {
    let wanted = bond.mac?;
    ports.iter().find_map(|port| {
        let shown = port.mac.filter(|shown| *shown != wanted)?;
        Some(Error::MacNotTaken { port: port.name.clone(), wanted, shown })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::add::plan::tests::{config, link};

    #[test]
    fn port_that_keeps_its_mac_is_an_error() {
        let bond = link(1, "net3");
        let with_mac = |name: &str, mac| Link { mac, ..link(2, name) };
        let mut ports = vec![with_mac("net1", bond.mac), with_mac("net2", bond.mac)];
        assert!(mac_not_taken(&bond, &ports).is_none());
        ports[1] = link(2, "net2");
        let text = mac_not_taken(&bond, &ports).unwrap().to_string();
        let start = "port net2 has the MAC address 02:00:00:00:00:02 after it was given the bond's, \
                     02:00:00:00:00:01";
        assert!(text.starts_with(start) && text.contains("set trust to on"), "{text}");
    }

    #[test]
    fn only_modes_with_one_address_are_read_back() {
        for (mode, has_one) in [
            ("balance-rr", true),
            ("balance-xor", true),
            ("broadcast", true),
            ("802.3ad", true),
            ("balance-tlb", false),
            ("balance-alb", false),
        ] {
            let config = config(&json!({ "mode": mode, "failOverMac": null }));
            assert_eq!(gives_all_ports_its_mac(&config), has_one, "{mode}");
        }
        for (number, has_one) in [(0, true), (1, false), (2, false)] {
            let config = config(&json!({ "failOverMac": number }));
            assert_eq!(gives_all_ports_its_mac(&config), has_one, "{number}");
        }
    }
}
