//! What is measured.

use podbond_kernel::BondMode;
use serde_json::{Map, Value, json};

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The bond's mode.
    pub mode: BondMode,
    /// How many VFs it has, spread evenly over the PFs.
    pub ports: usize,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// Every mode with every number of ports at every MTU, in this order.
pub fn cells(modes: &[BondMode], ports: &[usize], mtus: &[u32]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &mode in modes {
        for &ports in ports {
            cells.extend(mtus.iter().map(|&mtu| Cell { mode, ports, mtu }));
        }
    }
    cells
}

impl Cell {
    /// How the switch joins its ports for the mode, in the words of `lab-switch`: what spreads the
    /// frames of one address over its ports needs a link aggregation at the other end.
    pub(crate) fn shape(self) -> &'static str {
        match self.mode {
            BondMode::ActiveBackup | BondMode::BalanceTlb | BondMode::BalanceAlb => "bridge",
            BondMode::BalanceRr | BondMode::BalanceXor | BondMode::Broadcast => "lag",
            BondMode::Lacp => "lacp",
        }
    }

    /// The network configuration of the bond plugin for this cell.
    pub(crate) fn config(self) -> Value {
        let links: Vec<Value> =
            (0..self.ports).map(|port| json!({"name": port_name(port)})).collect();
        let fixed = |subnet: &str, address: &str| json!([{"subnet": subnet, "rangeStart": address, "rangeEnd": address}]);
        let ranges = [fixed("10.56.217.0/24", "10.56.217.2"), fixed("fd00:56::/64", "fd00:56::2")];
        let config = json!({
            "cniVersion": "1.0.0", "name": "traffic", "type": "bond", "mode": self.mode.name(),
            "linksInContainer": true, "miimon": 100, "mtu": self.mtu, "links": links,
            "ipam": {"type": "host-local", "ranges": ranges},
        });
        let usual = match self.mode {
            BondMode::ActiveBackup => json!({"failOverMac": 1}),
            BondMode::BalanceXor => json!({"xmitHashPolicy": "layer3+4"}),
            BondMode::Lacp => json!({"xmitHashPolicy": "layer3+4", "lacpRate": "fast"}),
            _ => Value::Null,
        };
        let mut all: Map<String, Value> = config.as_object().cloned().unwrap_or_default();
        all.extend(usual.as_object().cloned().unwrap_or_default());
        all.into()
    }
}

/// The name in the pod of the port with this number, from 0.
pub(crate) fn port_name(port: usize) -> String {
    format!("net{}", port + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_has_a_line_for_each_combination() {
        let all = cells(BondMode::ALL, &[2, 8, 16], &[1280, 1500, 9000]);
        assert_eq!(all.len(), 63);
        assert!(all.iter().enumerate().all(|(i, cell)| !all[..i].contains(cell)));
    }

    #[test]
    fn a_cell_is_what_the_plugin_is_asked_for() {
        let config = Cell { mode: BondMode::Lacp, ports: 8, mtu: 9000 }.config();
        assert_eq!(config["mode"], "802.3ad");
        assert_eq!(config["lacpRate"], "fast");
        assert_eq!(config["mtu"], 9000);
        assert_eq!(config["links"].as_array().unwrap().len(), 8);
        assert_eq!(config["links"][7]["name"], "net8");
    }
}
