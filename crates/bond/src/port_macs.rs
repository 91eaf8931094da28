//! Ports of one bond that have the same MAC address, and what the later ones get instead.

use podbond_names::{LinkName, Mac};

use crate::digest::digest;

/// A port with the address that it has, or is to get back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortMac {
    pub(crate) port: LinkName,
    pub(crate) mac: Mac,
    /// The address of its hardware, as a replacement.
    pub(crate) fallback: Option<Mac>,
}

/// A port whose address an earlier one has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MacConflict {
    pub(crate) port: LinkName,
    /// The earlier port.
    pub(crate) other: LinkName,
    /// The address that both have.
    pub(crate) mac: Mac,
    /// The one that the later gets: no other port's.
    pub(crate) replacement: Mac,
}

/// Returns the ports that have an earlier one's address, each with a replacement: its fallback
/// where that is free, else a locally administered address that follows from the old one and the
/// port's name, so that it is the same in each call. Addresses in `taken` are free for no port.
/// Pure.
pub(crate) fn mac_conflicts(ports: &[PortMac], taken: Option<Mac>) -> Vec<MacConflict> {
    let mut used: Vec<Mac> = ports.iter().map(|port| port.mac).chain(taken).collect();
    let mut conflicts = Vec::new();
    for (position, PortMac { port, mac, fallback }) in ports.iter().enumerate() {
        let earlier = ports[..position].iter().find(|earlier| earlier.mac == *mac);
        let Some(PortMac { port: other, .. }) = earlier else { continue };
        let fallback = fallback.filter(|fallback| fallback.is_unicast());
        let mut choices = fallback.into_iter().chain((0_u32..).map(|turn| local(*mac, port, turn)));
        let free = choices.find(|choice| !used.contains(choice));
        let Some(replacement) = free else { continue };
        used.push(replacement);
        let (port, other, mac) = (port.clone(), other.clone(), *mac);
        conflicts.push(MacConflict { port, other, mac, replacement });
    }
    conflicts
}

/// Returns a locally administered unicast address.
fn local(mac: Mac, port: &LinkName, turn: u32) -> Mac {
    let digest = digest(&[&mac.bytes(), port.as_str().as_bytes(), &turn.to_be_bytes()]);
    let mut bytes = Mac::ZERO.bytes();
    bytes.copy_from_slice(&digest.to_be_bytes()[2..]);
    // IEEE 802: the lowest bit marks a multicast address, the next one a local address.
    bytes[0] = bytes[0] & 0xfc | 0x02;
    Mac::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn port(name: &str, mac: Mac, fallback: Option<Mac>) -> PortMac {
        PortMac { port: name.parse().unwrap(), mac, fallback }
    }

    #[test]
    fn later_port_with_an_equal_mac_gets_another() {
        let ports =
            [port("net1", mac(1), None), port("net2", mac(2), None), port("net3", mac(1), None)];
        let found = mac_conflicts(&ports, None);
        assert_eq!(found.len(), 1);
        let conflict = &found[0];
        assert_eq!((conflict.port.as_str(), conflict.other.as_str()), ("net3", "net1"));
        assert_eq!(conflict.mac, mac(1));
        assert_eq!(conflict.replacement.bytes()[0] & 3, 2, "{}", conflict.replacement);
        assert_eq!(mac_conflicts(&ports[..2], None), []);
    }

    #[test]
    fn replacement_is_stable_and_unique() {
        let ports: Vec<PortMac> =
            (1..=16).map(|n| port(&format!("net{n}"), mac(1), None)).collect();
        let found = mac_conflicts(&ports, None);
        assert_eq!(found, mac_conflicts(&ports, None));
        let mut all: Vec<Mac> = found.iter().map(|conflict| conflict.replacement).collect();
        all.push(mac(1));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 16);
        // Where the first choice is a port's or taken, there is a second one.
        let first = found[0].replacement;
        let again = mac_conflicts(&ports, Some(first));
        assert!(again.iter().all(|conflict| conflict.replacement != first));
        let mut known = ports;
        known.push(port("net17", first, None));
        assert!(mac_conflicts(&known, None).iter().all(|conflict| conflict.replacement != first));
    }

    #[test]
    fn fallback_is_taken_where_it_is_free() {
        let replacement = |fallback| {
            let ports = [port("net1", mac(1), None), port("net2", mac(1), Some(fallback))];
            mac_conflicts(&ports, None)[0].replacement
        };
        assert_eq!(replacement(mac(9)), mac(9));
        for unfit in [mac(1), Mac::ZERO] {
            assert_ne!(replacement(unfit), unfit);
        }
    }
}
