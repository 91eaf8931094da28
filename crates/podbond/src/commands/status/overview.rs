use podbond_kernel::LinkState;

use super::{InterfaceStatus, PodStatus, VlanStatus};
use crate::table::Table;

/// A row for each port of each bond, and one for each interface that belongs to no bond. Of several
/// addresses each after the first has a row below: two of them are wider than a terminal.
pub(super) fn table(pods: &[PodStatus]) -> Table {
    let mut table = Table::new(["POD", "LINK", "MODE", "PORT", "STATE", "PF", "VF", "ADDRESSES"]);
    for pod in pods {
        let mut pod_cell = pod.to_string();
        let instead = match &pod.netns {
            None => Some("gone"),
            Some(_) if pod.interfaces.is_empty() => Some("no links"),
            Some(_) => None,
        };
        if let Some(state) = instead {
            let [mode, pf, vf, addresses, link, port] = [const { String::new() }; 6];
            table.row([pod_cell, link, mode, port, state.to_owned(), pf, vf, addresses]);
            continue;
        }
        let is_port = |interface: &&InterfaceStatus| {
            interface.port.as_ref().is_some_and(|port| port.bond.is_some())
        };
        for interface in pod.interfaces.iter().filter(|interface| !is_port(interface)) {
            let (name, mode) = name_and_mode(interface);
            let [pf, vf] = function_cells(interface);
            let mut addresses = global_addresses(interface);
            table.row([
                std::mem::take(&mut pod_cell),
                name,
                mode,
                String::new(),
                link_state(interface),
                pf,
                vf,
                addresses.next().unwrap_or_default(),
            ]);
            for address in addresses {
                let [pod, link, mode, port, state, pf, vf] = [const { String::new() }; 7];
                table.row([pod, link, mode, port, state, pf, vf, address]);
            }
            for port in pod.ports_of(interface) {
                let [pf, vf] = function_cells(port);
                table.row([
                    String::new(),
                    String::new(),
                    String::new(),
                    port.name.to_string(),
                    port_state(port, interface),
                    pf,
                    vf,
                    String::new(),
                ]);
            }
        }
    }
    table
}

/// A VLAN interface is named with the link beneath it, as iproute2 does; its bond has a row of its
/// own, with the mode and the ports.
fn name_and_mode(interface: &InterfaceStatus) -> (String, String) {
    let name = interface.name.to_string();
    match &interface.vlan {
        Some(VlanStatus { id, on: Some(lower), .. }) => {
            (format!("{name}@{lower}"), format!("vlan {id}"))
        }
        Some(VlanStatus { id, on: None, .. }) => (name, format!("vlan {id}")),
        None => {
            let mode = interface.bond.as_ref().map(|bond| bond.mode.to_owned());
            (name, mode.unwrap_or_default())
        }
    }
}

fn function_cells(interface: &InterfaceStatus) -> [String; 2] {
    let function = interface.function.as_ref();
    let pf = function.and_then(|function| function.pf.as_ref()).map(ToString::to_string);
    let vf = function.and_then(|function| function.vf).map(|vf| vf.to_string());
    [pf.unwrap_or_default(), vf.unwrap_or_default()]
}

fn link_state(interface: &InterfaceStatus) -> String {
    match (interface.state, interface.carrier) {
        (LinkState::Down, _) => "down",
        (LinkState::Up, true) => "up",
        (LinkState::Up, false) => "no carrier",
    }
    .to_owned()
}

fn port_state(port: &InterfaceStatus, bond: &InterfaceStatus) -> String {
    let role = role(port, bond).map(|role| format!(", {role}")).unwrap_or_default();
    link_state(port) + &role
}

/// What a port does in its bond; none where it does nothing, and the bond knows no backups.
pub(super) fn role(port: &InterfaceStatus, bond: &InterfaceStatus) -> Option<&'static str> {
    let chosen = bond.bond.as_ref().and_then(|bond| bond.active_port.as_ref());
    match (chosen, port.port.as_ref()) {
        (Some(active), _) if *active == port.name => Some("active"),
        (Some(_), _) => Some("backup"),
        (None, Some(state)) if state.active => Some("active"),
        _ => None,
    }
}

/// The addresses without the link-local ones that every link gives itself.
fn global_addresses(interface: &InterfaceStatus) -> impl Iterator<Item = String> {
    interface.addresses.iter().filter(|address| !address.starts_with("fe80:")).cloned()
}

#[cfg(test)]
mod tests {
    use super::super::PortStatus;
    use super::super::testing::{bond, interface, pod, port};
    use super::*;
    use podbond_kernel::VlanProtocol;

    #[test]
    fn the_documented_pod_fits_a_terminal_and_shows_which_port_is_active() {
        let addresses = ["fe80::1/64", "10.56.217.2/24", "fd00:56:217::2/64"];
        let addresses = addresses.map(str::to_owned).into();
        let bond = InterfaceStatus { addresses, ..bond("active-backup", Some("net2")) };
        let eth0 =
            InterfaceStatus { addresses: vec!["10.88.0.5/24".to_owned()], ..interface("eth0") };
        let without_carrier = InterfaceStatus { carrier: false, ..port("net1", "pf0") };
        let pod = pod([eth0, without_carrier, port("net2", "pf1"), bond]);
        let lines = table(&[pod]).lines();
        assert_eq!(
            lines,
            [
                "POD            LINK  MODE           PORT  STATE               PF   VF  ADDRESSES",
                "demo/bondpod1  eth0                       up                           10.88.0.5/24",
                "               net3  active-backup        up                           10.56.217.2/24",
                "                                                                       fd00:56:217::2/64",
                "                                    net1  no carrier, backup  pf0  0",
                "                                    net2  up, active          pf1  0",
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn a_vlan_interface_stands_below_its_bond_and_the_bonds_ports() {
        let lower = || "net3-bond".parse().unwrap();
        let bond = InterfaceStatus { name: lower(), ..bond("balance-xor", None) };
        let of = |name: &str| {
            let port = port(name, "pf0");
            let of_bond =
                port.port.map(|of| PortStatus { bond: Some(lower()), active: true, ..of });
            InterfaceStatus { port: of_bond, ..self::port(name, "pf0") }
        };
        let vlan = VlanStatus { id: 100, protocol: VlanProtocol::Dot1Q, on: Some(lower()) };
        let addresses = vec!["10.56.217.2/24".to_owned()];
        let vlan = InterfaceStatus { addresses, vlan: Some(vlan), ..interface("net3") };
        let pod = PodStatus { name: "p".to_owned(), ..pod([of("net1"), of("net2"), bond, vlan]) };
        assert_eq!(
            table(&[pod]).lines(),
            [
                "POD     LINK            MODE         PORT  STATE       PF   VF  ADDRESSES",
                "demo/p  net3-bond       balance-xor        up",
                "                                     net1  up, active  pf0  0",
                "                                     net2  up, active  pf0  0",
                "        net3@net3-bond  vlan 100           up                   10.56.217.2/24",
            ]
        );
    }

    #[test]
    fn a_pod_without_links_or_namespace_has_a_row_too() {
        let pod = |name: &str, netns: Option<&str>| PodStatus {
            name: name.to_owned(),
            netns: netns.map(str::to_owned),
            ..pod([])
        };
        let lines = table(&[pod("bare", Some("/run/netns/demo.bare")), pod("old", None)]).lines();
        assert_eq!(
            lines[1..],
            ["demo/bare                    no links", "demo/old                     gone"]
        );
    }
}
