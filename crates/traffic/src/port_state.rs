//! What the bonding driver tells of a bond in `/proc/net/bonding`.

/// How many ports a bond could send through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Those that have carrier.
    pub(crate) up: usize,
    /// Those that carry traffic: all that are up, but in mode 802.3ad only those of the active
    /// aggregator through which both ends collect and distribute.
    pub(crate) used: usize,
}

impl Ports {
    pub(crate) fn read(text: &str) -> Self {
        let mut sections = text.split("\nSlave Interface: ");
        let active = value(sections.next().unwrap_or_default(), "Aggregator ID:");
        let mut ports = Self::default();
        for port in sections.filter(|port| value(port, "MII Status:") == Some("up")) {
            ports.up += 1;
            let in_use =
                active.is_none_or(|id| value(port, "Aggregator ID:") == Some(id) && agreed(port));
            ports.used += usize::from(in_use);
        }
        ports
    }
}

fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim)
}

/// Whether both ends of an 802.3ad port collect and distribute.
fn agreed(port: &str) -> bool {
    /// Bits 4 and 5 of a port's state in IEEE 802.1AX.
    const COLLECTS_AND_DISTRIBUTES: u8 = 0x30;
    let states = port.lines().filter_map(|line| line.trim().strip_prefix("port state: "));
    let states: Vec<u8> = states.filter_map(|state| state.parse().ok()).collect();
    let agrees = |state: &u8| state & COLLECTS_AND_DISTRIBUTES == COLLECTS_AND_DISTRIBUTES;
    states.len() == 2 && states.iter().all(agrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: &str = "\nSlave Interface: net1\nMII Status: up\nSpeed: 1000 Mbps\n";

    #[test]
    fn a_port_without_carrier_is_not_used() {
        let down = PORT.replace("up", "down");
        let plain = format!("Bonding Mode: load balancing\nMII Status: up\n{PORT}{PORT}{down}");
        assert_eq!(Ports::read(&plain), Ports { up: 2, used: 2 });
    }

    #[test]
    fn with_lacp_a_port_is_used_once_both_ends_agree() {
        let port = |aggregator: u8, partner: u8| {
            format!(
                "{PORT}Aggregator ID: {aggregator}\ndetails actor lacp pdu:\n    port state: 63\n\
                 details partner lacp pdu:\n    port state: {partner}\n"
            )
        };
        let head = "Bonding Mode: IEEE 802.3ad\nMII Status: up\nActive Aggregator Info:\n\
            \tAggregator ID: 1\n\tNumber of ports: 2\n";
        let text = [head, &port(1, 63), &port(1, 7), &port(2, 63), &port(1, 61)].concat();
        assert_eq!(Ports::read(&text), Ports { up: 4, used: 2 });
    }
}
