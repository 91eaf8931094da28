//! The doctor's report for people: tables, and below them the findings.

use podbond_bond::Severity;
use podbond_kernel::Module;

use super::report::{BondReport, PfReport, Report, VfReport};
use crate::commands::links::function_cells;
use crate::output::{Table, count, finding_lines, link_state};

impl Report {
    /// Returns the lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let bonding = match self.kernel.bonding {
            Module::BuiltIn => "built in",
            Module::Loaded => "loaded",
            Module::Loadable => "not loaded",
            Module::Missing => "missing",
            Module::Unknown => "unknown",
        };
        let kernel = format!("kernel {}, bonding driver {bonding}", self.kernel.release);
        let tables = [pf_lines(&self.pfs), vf_lines(&self.vfs), bond_lines(&self.bonds)];
        let mut lines = vec![kernel, String::new()];
        for table in tables.into_iter().filter(|table| !table.is_empty()) {
            lines.extend(table);
            lines.push(String::new());
        }
        lines.push(self.summary());
        for located in &self.findings {
            let place = located.place.as_ref().map(ToString::to_string);
            lines.extend(finding_lines(&located.finding, place.as_deref(), 0));
        }
        lines
    }

    fn summary(&self) -> String {
        let mut counts = Vec::new();
        for severity in [Severity::Error, Severity::Warning, Severity::Note] {
            let number = self.count(severity);
            if number > 0 {
                counts.push(count(number, severity.as_str()));
            }
        }
        if counts.is_empty() { "nothing is wrong".to_owned() } else { counts.join(", ") }
    }
}

fn pf_lines(pfs: &[PfReport]) -> Vec<String> {
    if pfs.is_empty() {
        return vec!["no PF: no card here can have VFs".to_owned()];
    }
    let mut table = Table::new(["PF", "PCI", "DRIVER", "STATE", "SPEED", "VFS", "FREE", "PORT OF"]);
    for pf in pfs {
        table.row([
            pf.link.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            pf.pci.to_string(),
            pf.driver.clone().unwrap_or_else(|| "none".to_owned()),
            pf.state.map_or("no link", |up| link_state(up, pf.carrier)).to_owned(),
            pf.speed.map(|speed| speed.to_string()).unwrap_or_default(),
            format!("{} of {}", pf.vfs, pf.vfs_at_most),
            pf.vfs_free.to_string(),
            pf.master.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    table.lines()
}

fn vf_lines(vfs: &[VfReport]) -> Vec<String> {
    let held: Vec<&VfReport> = vfs.iter().filter(|vf| vf.held_by.is_some()).collect();
    if held.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(["VF HELD", "PF", "INDEX", "DRIVER", "BY"]);
    for vf in held {
        table.row([
            vf.pci.to_string(),
            vf.pf.clone(),
            vf.index.to_string(),
            vf.driver.clone().unwrap_or_else(|| "none".to_owned()),
            vf.held_by.clone().unwrap_or_default(),
        ]);
    }
    table.lines()
}

fn bond_lines(bonds: &[BondReport]) -> Vec<String> {
    if bonds.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(["BOND OF", "BOND", "MODE", "PORT", "STATE", "PF", "VF"]);
    for bond in bonds {
        let [port, pf, vf] = [const { String::new() }; 3];
        let of = bond.pod.clone().unwrap_or_else(|| "the node".to_owned());
        let states = link_state(bond.state, bond.carrier).to_owned();
        table.row([of, bond.name.to_string(), bond.mode.to_owned(), port, states, pf, vf]);
        for port in &bond.ports {
            let [of, name, mode] = [const { String::new() }; 3];
            let states = link_state(port.state, port.carrier).to_owned();
            let [pf, vf] = function_cells(port.function.as_ref());
            table.row([of, name, mode, port.name.to_string(), states, pf, vf]);
        }
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use podbond_bond::{Finding, Object, kind};
    use podbond_kernel::{Duplex, LinkFunction, LinkState, Speed};

    use super::super::report::{KernelReport, Located, Place, PortReport};
    use super::*;

    fn report() -> Report {
        let port = |name: &str, carrier| PortReport {
            name: name.parse().unwrap(),
            state: LinkState::Up,
            carrier,
            function: Some(LinkFunction {
                pci: "0000:01:10.0".parse().unwrap(),
                pf: Some("ens1f0np0".parse().unwrap()),
                vf: Some(12),
            }),
        };
        let place = Place { pod: "demo/bondpod1".to_owned(), bond: "net3".parse().unwrap() };
        let reason = "net1, net2 all run over it, and fail when it fails";
        let pf = Object::Pf("ens1f0np0".into());
        let finding = Finding::new(&kind::PORTS_SHARE_A_PF, pf, reason);
        Report {
            kernel: KernelReport { release: "6.12".to_owned(), bonding: Module::Loaded },
            pfs: vec![PfReport {
                pci: "0000:01:00.0".parse().unwrap(),
                link: Some("ens1f0np0".parse().unwrap()),
                driver: Some("mlx5_core".to_owned()),
                state: Some(LinkState::Up),
                carrier: true,
                speed: Some(Speed { mbits: 100_000, duplex: Duplex::Full }),
                master: Some("bond0".parse().unwrap()),
                vfs: 64,
                vfs_at_most: 128,
                vfs_free: 62,
            }],
            vfs: ["0000:01:10.0", "0000:01:10.1"]
                .into_iter()
                .zip([Some("pod demo/bondpod1 (net1)"), None])
                .map(|(pci, holder)| VfReport {
                    pci: pci.parse().unwrap(),
                    pf: "ens1f0np0".to_owned(),
                    index: 12,
                    driver: None,
                    held_by: holder.map(str::to_owned),
                })
                .collect(),
            pending_leases: Vec::new(),
            bonds: vec![BondReport {
                pod: Some("demo/bondpod1".to_owned()),
                name: "net3".parse().unwrap(),
                mode: "active-backup",
                state: LinkState::Up,
                carrier: true,
                ports: vec![port("net1", true), port("net2", false)],
            }],
            findings: vec![Located { place: Some(place), finding }],
        }
    }

    #[test]
    fn report_has_tables_and_findings() {
        let lines = report().lines();
        assert_eq!(
            lines,
            [
                "kernel 6.12, bonding driver loaded",
                "",
                "PF         PCI           DRIVER     STATE  SPEED       VFS        FREE  PORT OF",
                "ens1f0np0  0000:01:00.0  mlx5_core  up     100 Gbit/s  64 of 128  62    bond0",
                "",
                "VF HELD       PF         INDEX  DRIVER  BY",
                "0000:01:10.0  ens1f0np0  12     none    pod demo/bondpod1 (net1)",
                "",
                "BOND OF        BOND  MODE           PORT  STATE       PF         VF",
                "demo/bondpod1  net3  active-backup        up",
                "                                    net1  up          ens1f0np0  12",
                "                                    net2  no carrier  ens1f0np0  12",
                "",
                "1 warning",
                "warning: demo/bondpod1 net3: PF ens1f0np0: net1, net2 all run over it, and fail when it fails",
                "    give the ports VFs of different PFs (ports-share-a-pf)",
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn node_without_cards_has_a_report() {
        let mut report = report();
        report.pfs.clear();
        report.vfs.clear();
        report.bonds.clear();
        report.findings.clear();
        assert_eq!(
            report.lines()[2..],
            ["no PF: no card here can have VFs", "", "nothing is wrong"]
        );
    }

    #[test]
    fn json_finding_names_its_bond() {
        let json = serde_json::to_value(report()).unwrap();
        let finding = &json["findings"][0];
        assert_eq!((&finding["pod"], &finding["bond"]), (&"demo/bondpod1".into(), &"net3".into()));
        assert_eq!(
            (&finding["code"], &json["pfs"][0]["vfsAtMost"]),
            (&"ports-share-a-pf".into(), &128.into())
        );
        let port = &json["bonds"][0]["ports"][0];
        assert_eq!((&port["pf"], &port["vf"]), (&"ens1f0np0".into(), &12.into()));
    }
}
