use podbond_api::ObjectKey;
use podbond_kernel::{At, Kernel, Link, LinkState, NamedNetns, Netns, VlanProtocol};
use podbond_names::{LinkName, Mac, PciAddress};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Output, StatusArgs};
use crate::error::Error;
use crate::node::Node;
use crate::output::say;
use crate::store::PodRecord;
use crate::table::Table;

/// A pod as it is now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    namespace: String,
    name: String,
    /// The path of its network namespace; none when that is gone.
    netns: Option<String>,
    interfaces: Vec<InterfaceStatus>,
    /// What the annotation `k8s.v1.cni.cncf.io/network-status` holds in a cluster.
    network_status: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceStatus {
    name: LinkName,
    state: LinkState,
    carrier: bool,
    mac: Option<Mac>,
    mtu: u32,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<FunctionStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<VlanStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bond: Option<BondStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<PortStatus>,
}

/// The PCI function behind an interface.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionStatus {
    pci: PciAddress,
    /// The PF's link; none where the function is no VF, or its PF has no link on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pf: Option<LinkName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vf: Option<u16>,
}

/// A VLAN interface. The bond beneath it is an interface of its own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VlanStatus {
    id: u16,
    protocol: VlanProtocol,
    /// The link beneath.
    on: Option<LinkName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BondStatus {
    mode: &'static str,
    active_port: Option<LinkName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortStatus {
    bond: Option<LinkName>,
    active: bool,
    link_failures: u32,
}

/// Shows pods with their bonds, ports, VFs and addresses.
pub(crate) fn status(node: &Node<'_>, args: &StatusArgs) -> Result<(), Error> {
    let mut records = node.store.pods(args.namespace.as_ref())?;
    if let Some(name) = &args.pod {
        let namespace = args.namespace.clone().unwrap_or_default();
        let key = ObjectKey { namespace, name: name.clone() };
        records.retain(|record| record.pod == key);
        if records.is_empty() {
            return Err(Error::NoSuchPod { key });
        }
    }
    let pods = records.iter().map(look_at).collect::<Result<Vec<_>, _>>()?;
    match args.output {
        Output::Json => say(serde_json::to_string_pretty(&pods).unwrap_or_default()),
        Output::Text if pods.is_empty() => say("no pods here"),
        Output::Text => table(&pods).lines().iter().for_each(say),
    }
    Ok(())
}

fn look_at(record: &PodRecord) -> Result<PodStatus, Error> {
    let netns = NamedNetns::find(&PodRecord::netns_name(&record.pod))?;
    let interfaces = match &netns {
        Some(netns) => interfaces(&mut Kernel::with_pod(netns.path())?)?,
        None => Vec::new(),
    };
    Ok(PodStatus {
        namespace: record.pod.namespace.to_string(),
        name: record.pod.name.to_string(),
        netns: netns.map(|netns| netns.path().display().to_string()),
        interfaces,
        network_status: record.network_status.clone(),
    })
}

fn interfaces(kernel: &mut Kernel) -> Result<Vec<InterfaceStatus>, Error> {
    let links = kernel.links(Netns::Pod)?;
    let named = |index: Option<u32>| {
        index
            .and_then(|index| links.iter().find(|link| link.index == index))
            .map(|link| link.name.clone())
    };
    let mut interfaces = Vec::new();
    for link in links.iter().filter(|link| link.name.as_str() != "lo") {
        let addresses = kernel.addresses(&At::pod(link.name.clone()))?;
        interfaces.push(InterfaceStatus {
            name: link.name.clone(),
            state: link.state,
            carrier: link.carrier,
            mac: link.mac,
            mtu: link.mtu,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            function: function(kernel, link)?,
            vlan: link.vlan.map(|vlan| VlanStatus {
                id: vlan.tag.id,
                protocol: vlan.tag.protocol,
                on: named(Some(vlan.lower)),
            }),
            bond: link.bond.as_ref().map(|bond| BondStatus {
                mode: bond.mode.name(),
                active_port: named(bond.active_port),
            }),
            port: link.port.as_ref().map(|port| PortStatus {
                bond: named(link.master),
                active: port.active,
                link_failures: port.link_failures,
            }),
        });
    }
    Ok(interfaces)
}

fn function(kernel: &Kernel, link: &Link) -> Result<Option<FunctionStatus>, Error> {
    let Some(pci) = link.parent else { return Ok(None) };
    let sysfs = kernel.sysfs();
    let Some(pf) = sysfs.pf_of(pci)? else {
        return Ok(Some(FunctionStatus { pci, pf: None, vf: None }));
    };
    let vf = sysfs.vfs_of(pf)?.into_iter().find(|(_, vf)| *vf == pci).map(|(index, _)| index);
    Ok(Some(FunctionStatus { pci, pf: sysfs.links_of(pf)?.into_iter().next(), vf }))
}

/// A row for each port of each bond, and one for each interface that belongs to no bond.
fn table(pods: &[PodStatus]) -> Table {
    let mut table = Table::new(["POD", "LINK", "MODE", "PORT", "STATE", "PF", "VF", "ADDRESSES"]);
    for pod in pods {
        let mut pod_cell = format!("{}/{}", pod.namespace, pod.name);
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
            table.row([
                std::mem::take(&mut pod_cell),
                name,
                mode,
                String::new(),
                link_state(interface),
                pf,
                vf,
                global_addresses(interface),
            ]);
            let of_this = |port: &PortStatus| port.bond.as_ref() == Some(&interface.name);
            for port in pod.interfaces.iter().filter(|i| i.port.as_ref().is_some_and(of_this)) {
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
    let chosen = bond.bond.as_ref().and_then(|bond| bond.active_port.as_ref());
    let role = match (chosen, port.port.as_ref()) {
        (Some(active), _) if *active == port.name => ", active",
        (Some(_), _) => ", backup",
        (None, Some(state)) if state.active => ", active",
        _ => "",
    };
    link_state(port) + role
}

/// The addresses without the link-local ones that every link gives itself.
fn global_addresses(interface: &InterfaceStatus) -> String {
    let global = interface.addresses.iter().filter(|address| !address.starts_with("fe80:"));
    global.cloned().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str) -> InterfaceStatus {
        InterfaceStatus {
            name: name.parse().unwrap(),
            state: LinkState::Up,
            carrier: true,
            mac: None,
            mtu: 1500,
            addresses: vec!["fe80::1/64".to_owned()],
            function: None,
            vlan: None,
            bond: None,
            port: None,
        }
    }

    fn port(name: &str, pf: &str) -> InterfaceStatus {
        let bond = Some("net3".parse().unwrap());
        InterfaceStatus {
            function: Some(FunctionStatus {
                pci: "0000:01:10.0".parse().unwrap(),
                pf: Some(pf.parse().unwrap()),
                vf: Some(0),
            }),
            port: Some(PortStatus { bond, active: false, link_failures: 0 }),
            ..interface(name)
        }
    }

    #[test]
    fn the_documented_pod_fits_a_terminal_and_shows_which_port_is_active() {
        let active_port = Some("net2".parse().unwrap());
        let bond = InterfaceStatus {
            addresses: vec!["fe80::1/64".to_owned(), "10.56.217.2/24".to_owned()],
            bond: Some(BondStatus { mode: "active-backup", active_port }),
            ..interface("net3")
        };
        let eth0 =
            InterfaceStatus { addresses: vec!["10.88.0.5/24".to_owned()], ..interface("eth0") };
        let without_carrier = InterfaceStatus { carrier: false, ..port("net1", "pf0") };
        let pod = PodStatus {
            namespace: "demo".to_owned(),
            name: "bondpod1".to_owned(),
            netns: Some("/run/netns/demo.bondpod1".to_owned()),
            interfaces: vec![eth0, without_carrier, port("net2", "pf1"), bond],
            network_status: Value::Null,
        };
        let lines = table(&[pod]).lines();
        assert_eq!(
            lines,
            [
                "POD            LINK  MODE           PORT  STATE               PF   VF  ADDRESSES",
                "demo/bondpod1  eth0                       up                           10.88.0.5/24",
                "               net3  active-backup        up                           10.56.217.2/24",
                "                                    net1  no carrier, backup  pf0  0",
                "                                    net2  up, active          pf1  0",
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn a_vlan_interface_stands_below_its_bond_and_the_bonds_ports() {
        let bond = Some(BondStatus { mode: "balance-xor", active_port: None });
        let bond = InterfaceStatus { bond, ..interface("net3-bond") };
        let of = |name: &str| {
            let bond = Some(bond.name.clone());
            let port = Some(PortStatus { bond, active: true, link_failures: 0 });
            InterfaceStatus { port, ..self::port(name, "pf0") }
        };
        let (id, protocol) = (100, VlanProtocol::Dot1Q);
        let vlan = Some(VlanStatus { id, protocol, on: Some(bond.name.clone()) });
        let addresses = vec!["10.56.217.2/24".to_owned()];
        let vlan = InterfaceStatus { addresses, vlan, ..interface("net3") };
        let pod = PodStatus {
            namespace: "demo".to_owned(),
            name: "p".to_owned(),
            netns: Some("/run/netns/demo.p".to_owned()),
            interfaces: vec![of("net1"), of("net2"), bond, vlan],
            network_status: Value::Null,
        };
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
            namespace: "demo".to_owned(),
            name: name.to_owned(),
            netns: netns.map(str::to_owned),
            interfaces: Vec::new(),
            network_status: Value::Null,
        };
        let lines = table(&[pod("bare", Some("/run/netns/demo.bare")), pod("old", None)]).lines();
        assert_eq!(
            lines[1..],
            ["demo/bare                    no links", "demo/old                     gone"]
        );
    }
}
