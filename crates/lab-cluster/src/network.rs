//! Addresses and links of the cluster: the network namespace that the control plane runs in, with a
//! bridge for the nodes' own network and one that is the switch of their SR-IOV cards. Pure.
//!
//! ```text
//! 192.168.77.1, 10.96.0.1  lan -- node1 -- lan0 192.168.77.11, pods 10.244.1.0/24
//!                              \- node2 -- lan0 192.168.77.12, pods 10.244.2.0/24
//! 10.56.217.1           switch -- node1pf0 -- pf0 of node1
//!                              |- node1pf1 -- pf1 of node1
//!                              |- node2pf0 -- pf0 of node2 …
//! ```

use std::{fmt::Write as _, net::Ipv4Addr};

/// The host's address among the nodes: the API server, and the way out of each node.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

/// The address of the service `kubernetes`, the first of [`SERVICES`]. It is the host's too: the API
/// server listens on the service's port, so that nothing has to be translated.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The range of service addresses.
pub(crate) const SERVICES: &str = "10.96.0.0/16";

/// The API server's port on [`HOST`] and [`SERVICE`].
pub(crate) const PORT: u16 = 443;

/// What a node's PFs are called here and in the node: `pf0`, `pf1`.
pub(crate) const PFS: u8 = 2;

/// The name of a node, from 1.
pub(crate) fn node_name(node: u8) -> String {
    format!("node{node}")
}

/// The address of a node on the bridge `lan`.
pub(crate) fn node_address(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 77, 10 + node)
}

/// The MAC address by which a node knows its link to the bridge `lan`.
pub(crate) fn node_mac(node: u8) -> String {
    format!("52:54:00:6c:61:{node:02x}") // 6c:61 is "la"
}

/// The range of the pods of a node, which the primary network's configuration there has too.
pub(crate) fn pods(node: u8) -> String {
    format!("10.244.{node}.0/24")
}

/// The tap that is the cable of a node's PF.
pub(crate) fn pf_tap(node: u8, pf: u8) -> String {
    format!("node{node}pf{pf}")
}

/// Returns the commands, for `ip -batch -`, that make it all in an empty network namespace.
pub(crate) fn commands(nodes: u8) -> String {
    let mut text = format!(
        "link set lo up\n\
         link add lan type bridge forward_delay 0\n\
         address add {HOST}/24 dev lan\n\
         address add {SERVICE}/32 dev lan\n\
         link set lan up\n\
         link add switch type bridge forward_delay 0\n\
         address add 10.56.217.1/24 dev switch\n\
         link set switch up\n"
    );
    let mut tap = |name: &str, bridge: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "tuntap add dev {name} mode tap");
        let _ = writeln!(text, "link set {name} master {bridge} up");
    };
    for node in 1..=nodes {
        tap(&node_name(node), "lan");
        (0..PFS).for_each(|pf| tap(&pf_tap(node, pf), "switch"));
    }
    for node in 1..=nodes {
        let _ = writeln!(text, "route add {} via {}", pods(node), node_address(node));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_its_links_and_its_route() {
        let text = commands(2);
        for line in [
            "link set node2 master lan up",
            "link set node1pf0 master switch up",
            "link set node2pf1 master switch up",
            "route add 10.244.2.0/24 via 192.168.77.12",
            "address add 10.96.0.1/32 dev lan",
        ] {
            assert!(text.lines().any(|made| made == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("node3"));
    }
}
