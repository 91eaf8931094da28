use podbond_names::LinkName;

use crate::digest::digest;

/// What the name of a bond beneath a VLAN interface ends in.
const ENDING: &str = "-bond";

/// How long the name of a link can be, in bytes: the kernel's `IFNAMSIZ` without its end.
const MAX_BYTES: usize = 15;

/// How many bytes of a long name are kept, followed by four digits of a digest of all of it.
const KEPT_BYTES: usize = 6;

/// The name of the bond beneath a VLAN interface: `net3-bond` beneath `net3`, so that `ip link` shows
/// `net3@net3-bond`. A VLAN interface with more than ten bytes keeps the first six of them and has
/// four hexadecimal digits for the others: `uplink4f7c-bond` beneath `uplink-storage`.
///
/// It is the same in each call, so that DEL and CHECK find the bond again.
pub(crate) fn bond_beneath(vlan: &LinkName) -> LinkName {
    let whole = vlan.as_str();
    let short = if whole.len() + ENDING.len() <= MAX_BYTES {
        whole.to_owned()
    } else {
        let kept = &whole[..whole.floor_char_boundary(KEPT_BYTES)];
        format!("{kept}{:04x}", digest(&[whole.as_bytes()]) & 0xffff)
    };
    // It cannot fail: the beginning of a link's name with letters that a name may have, at most 15
    // bytes of them.
    format!("{short}{ENDING}").parse().unwrap_or_else(|_| vlan.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beneath(vlan: &str) -> String {
        bond_beneath(&vlan.parse().unwrap()).to_string()
    }

    #[test]
    fn the_bond_is_named_for_the_interface_above_it() {
        assert_eq!(beneath("net3"), "net3-bond");
        assert_eq!(beneath("0123456789"), "0123456789-bond");
    }

    #[test]
    fn the_bonds_of_long_names_differ_where_these_do() {
        assert_eq!(beneath("uplink-storage"), "uplink4f7c-bond");
        assert_ne!(beneath("uplink-storage"), beneath("uplink-storag2"));
        for vlan in [
            "uplink-storage",
            "uplink-stor",
            "012345678901234",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            let name = beneath(vlan);
            assert!(name.len() <= MAX_BYTES && name.ends_with("-bond"), "{name}");
            assert!(vlan.starts_with(&name[..KEPT_BYTES]), "{name}");
        }
    }
}
