//! What a bond that is there shows of what it does not do.

use podbond_kernel::{BondMode, Link};
use podbond_names::LinkName;

use super::lacp::lacp_findings;
use crate::finding::{Finding, Object, kind};

/// Returns what `bond`, a bond that is there, shows of what it does not do. `links` are those of
/// its namespace, in any order. Pure.
///
/// It is a look at one moment: a bond that was made just now has no LACP partner yet.
pub fn bond_findings(bond: &Link, links: &[Link]) -> Vec<Finding> {
    let mut found = lacp_findings(bond, links);
    found.extend(equal_macs(bond, links));
    found
}

/// Finds ports of a balance-tlb or balance-alb bond that send with one address. Each is to have its
/// own: what a port sends is answered to its address, and the driver takes answers on the active
/// port only.
fn equal_macs(bond: &Link, links: &[Link]) -> Option<Finding> {
    let mode = bond.bond.as_ref()?.mode;
    if !matches!(mode, BondMode::BalanceTlb | BondMode::BalanceAlb) {
        return None;
    }
    let ports: Vec<&Link> = links.iter().filter(|link| link.master == Some(bond.index)).collect();
    let mut shared: Vec<LinkName> =
        ports.iter().filter(|port| has_twin(port, &ports)).map(|port| port.name.clone()).collect();
    shared.sort_unstable();
    let reason = format!(
        "they have the same MAC address: in mode {mode} the answers to what one sends come in over it, \
         and are dropped where it is not the active port"
    );
    let some = !shared.is_empty();
    some.then(|| Finding::new(&kind::PORTS_SHARE_A_MAC, Object::Ports(shared), reason))
}

fn has_twin(port: &Link, ports: &[&Link]) -> bool {
    let equal = ports.iter().filter(|other| other.mac.is_some() && other.mac == port.mac);
    equal.count() > 1
}

#[cfg(test)]
mod tests {
    use podbond_kernel::BondOptions;
    use serde_json::json;

    use super::*;

    fn link(index: u32, name: &str, master: Option<u32>, mac: &str) -> Link {
        let value = json!({
            "index": index, "name": name, "altnames": [], "mac": mac, "mtu": 1500, "max_mtu": 0,
            "state": "up", "carrier": true, "master": master,
        });
        serde_json::from_value(value).unwrap()
    }

    fn bond(mode: BondMode) -> Link {
        let bond = Some(BondOptions::new(mode));
        Link { bond, ..link(4, "net3", None, "02:00:00:00:00:01") }
    }

    /// Three ports of the bond, the address of the last as given, and a link that is none.
    fn links(last: &str) -> [Link; 4] {
        [
            link(2, "net2", Some(4), "02:00:00:00:00:01"),
            link(3, "net1", Some(4), last),
            link(5, "net4", Some(4), "02:00:00:00:00:05"),
            link(6, "eth0", None, "02:00:00:00:00:05"),
        ]
    }

    #[test]
    fn balancing_ports_need_distinct_macs() {
        for mode in [BondMode::BalanceTlb, BondMode::BalanceAlb] {
            let found = bond_findings(&bond(mode), &links("02:00:00:00:00:01"));
            let ports = ["net1", "net2"].map(|name| name.parse().unwrap()).to_vec();
            let [found] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(
                (found.kind, &found.object),
                (&kind::PORTS_SHARE_A_MAC, &Object::Ports(ports))
            );
            assert!(found.reason.contains(&format!("in mode {mode} ")), "{found}");
            assert_eq!(bond_findings(&bond(mode), &links("02:00:00:00:00:02")), []);
        }
    }

    #[test]
    fn other_modes_share_one_mac() {
        for mode in [BondMode::BalanceRr, BondMode::BalanceXor, BondMode::ActiveBackup] {
            assert_eq!(bond_findings(&bond(mode), &links("02:00:00:00:00:01")), []);
        }
    }
}
