//! The table of pods and their links.

use super::report::{InterfaceStatus, PodStatus, VlanStatus};
use crate::commands::links::function_cells;
use crate::output::{Table, link_state};

/// The cells of a row; those that are not set are empty.
#[derive(Default)]
struct Row {
    pod: String,
    link: String,
    mode: String,
    port: String,
    state: String,
    function: [String; 2],
    address: String,
}

impl Row {
    fn cells(self) -> [String; 8] {
        let [pf, vf] = self.function;
        [self.pod, self.link, self.mode, self.port, self.state, pf, vf, self.address]
    }
}

/// Returns a table with a row for each port of each bond, and one for each interface that is no port.
/// Each address after the first has a row of its own: two of them are wider than a terminal.
pub(super) fn table(pods: &[PodStatus]) -> Table<8> {
    let head = ["POD", "LINK", "MODE", "PORT", "STATE", "PF", "VF", "ADDRESSES"];
    let mut table = Table::new(head);
    for row in pods.iter().flat_map(rows) {
        table.row(row.cells());
    }
    table
}

fn rows(pod: &PodStatus) -> Vec<Row> {
    let mut rows = Vec::new();
    for interface in pod.interfaces.iter().filter(|interface| interface.bond_name().is_none()) {
        rows.extend(interface_rows(interface));
        rows.extend(pod.ports_of(interface).map(|port| Row {
            port: port.name.to_string(),
            state: port_state(port, interface),
            function: function_cells(port.function.as_ref()),
            ..Row::default()
        }));
    }
    if rows.is_empty() {
        let state = if pod.netns.is_some() { "no links" } else { "gone" };
        rows.push(Row { state: state.to_owned(), ..Row::default() });
    }
    rows[0].pod.clone_from(&pod.title);
    rows
}

fn interface_rows(interface: &InterfaceStatus) -> Vec<Row> {
    let (link, mode) = name_and_mode(interface);
    let mut addresses = global_addresses(interface);
    let first = Row {
        link,
        mode,
        state: link_state(interface.state, interface.carrier).to_owned(),
        function: function_cells(interface.function.as_ref()),
        address: addresses.next().unwrap_or_default(),
        ..Row::default()
    };
    let further = addresses.map(|address| Row { address, ..Row::default() });
    std::iter::once(first).chain(further).collect()
}

/// Returns the name and mode of an interface. A VLAN interface is named with its lower link, as
/// iproute2 does; its bond has a row of its own, with the mode and the ports.
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

fn port_state(port: &InterfaceStatus, bond: &InterfaceStatus) -> String {
    let state = link_state(port.state, port.carrier);
    role(port, bond).map_or_else(|| state.to_owned(), |role| format!("{state}, {role}"))
}

/// Returns whether a port is active or backup in its bond; none where it is not active in a mode
/// without backups.
pub(super) fn role(port: &InterfaceStatus, bond: &InterfaceStatus) -> Option<&'static str> {
    let chosen = bond.bond.as_ref().and_then(|bond| bond.active_port.as_ref());
    match (chosen, port.port.as_ref()) {
        (Some(active), _) if *active == port.name => Some("active"),
        (Some(_), _) => Some("backup"),
        (None, Some(state)) if state.active => Some("active"),
        _ => None,
    }
}

/// Returns the addresses but for the link-local ones that every link gives itself.
fn global_addresses(interface: &InterfaceStatus) -> impl Iterator<Item = String> {
    interface.addresses.iter().filter(|address| !address.starts_with("fe80:")).cloned()
}

#[cfg(test)]
mod tests {
    use super::super::report::PortStatus;
    use super::super::testing::{bond, interface, pod, port};
    use super::*;
    use podbond_kernel::VlanProtocol;

    #[test]
    fn documented_pod_fits_a_terminal() {
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
    fn vlan_interface_is_below_its_bond_and_the_ports() {
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
        let pod =
            PodStatus { title: "demo/p".to_owned(), ..pod([of("net1"), of("net2"), bond, vlan]) };
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
    fn pod_without_links_or_namespace_has_a_row() {
        let pod = |name: &str, netns: Option<&str>| PodStatus {
            title: format!("demo/{name}"),
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
