//! Ports of one bond that have the same MAC address.

use podbond_names::{LinkName, Mac};

use crate::digest::digest;

/// A port with the address that it has, or is to get back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Station {
    pub(crate) port: LinkName,
    pub(crate) mac: Mac,
    /// What it may have instead: the address of its hardware.
    pub(crate) spare: Option<Mac>,
}

/// A port whose address an earlier one has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Double {
    pub(crate) port: LinkName,
    /// The earlier port.
    pub(crate) other: LinkName,
    /// The address that both have.
    pub(crate) mac: Mac,
    /// The one that the later gets: no other port's.
    pub(crate) instead: Mac,
}

/// Those ports that have an earlier one's address, each with another. It takes its spare address
/// where that is free, else a locally administered one that follows from the old address and the
/// port's name: the same in each call. Addresses in `taken` are free for no port. Pure.
pub(crate) fn doubles(stations: &[Station], taken: Option<Mac>) -> Vec<Double> {
    let mut used: Vec<Mac> = stations.iter().map(|station| station.mac).chain(taken).collect();
    let mut doubles = Vec::new();
    for (position, Station { port, mac, spare }) in stations.iter().enumerate() {
        let earlier = stations[..position].iter().find(|earlier| earlier.mac == *mac);
        let Some(Station { port: other, .. }) = earlier else { continue };
        let spare = spare.filter(|spare| spare.is_unicast());
        let mut choices = spare.into_iter().chain((0_u32..).map(|turn| local(*mac, port, turn)));
        let free = choices.find(|choice| !used.contains(choice));
        let Some(instead) = free else { continue };
        used.push(instead);
        doubles.push(Double { port: port.clone(), other: other.clone(), mac: *mac, instead });
    }
    doubles
}

/// A locally administered address of one station.
fn local(mac: Mac, port: &LinkName, turn: u32) -> Mac {
    let digest = digest(&[&mac.bytes(), port.as_str().as_bytes(), &turn.to_be_bytes()]);
    let mut bytes = Mac::ZERO.bytes();
    bytes.copy_from_slice(&digest.to_be_bytes()[2..]);
    // IEEE 802: the lowest bit marks a group of stations, the next one a local address.
    bytes[0] = bytes[0] & 0xfc | 0x02;
    Mac::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn station(port: &str, mac: Mac, spare: Option<Mac>) -> Station {
        Station { port: port.parse().unwrap(), mac, spare }
    }

    #[test]
    fn only_a_later_port_with_an_earlier_ones_address_gets_another() {
        let stations = [
            station("net1", mac(1), None),
            station("net2", mac(2), None),
            station("net3", mac(1), None),
        ];
        let found = doubles(&stations, None);
        assert_eq!(found.len(), 1);
        let double = &found[0];
        assert_eq!((double.port.as_str(), double.other.as_str()), ("net3", "net1"));
        assert_eq!(double.mac, mac(1));
        assert_eq!(double.instead.bytes()[0] & 3, 2, "{}", double.instead);
        assert_eq!(doubles(&stations[..2], None), []);
    }

    #[test]
    fn the_other_address_is_the_same_in_each_call_and_no_other_ports() {
        let stations: Vec<Station> =
            (1..=16).map(|n| station(&format!("net{n}"), mac(1), None)).collect();
        let found = doubles(&stations, None);
        assert_eq!(found, doubles(&stations, None));
        let mut all: Vec<Mac> = found.iter().map(|double| double.instead).collect();
        all.push(mac(1));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 16);
        // Where the first choice is a port's or taken, there is a second one.
        let first = found[0].instead;
        let again = doubles(&stations, Some(first));
        assert!(again.iter().all(|double| double.instead != first));
        let mut known = stations;
        known.push(station("net17", first, None));
        assert!(doubles(&known, None).iter().all(|double| double.instead != first));
    }

    #[test]
    fn a_spare_address_is_taken_where_it_is_free() {
        let instead = |spare| {
            let stations = [station("net1", mac(1), None), station("net2", mac(1), Some(spare))];
            doubles(&stations, None)[0].instead
        };
        assert_eq!(instead(mac(9)), mac(9));
        for unfit in [mac(1), Mac::ZERO] {
            assert_ne!(instead(unfit), unfit);
        }
    }
}
