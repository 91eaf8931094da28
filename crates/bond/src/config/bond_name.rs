//! The name of the bond below a VLAN interface.

use podbond_names::LinkName;

use crate::digest::digest;

/// What the name of a bond below a VLAN interface ends in.
const ENDING: &str = "-bond";

/// How long the name of a link can be, in bytes: the kernel's `IFNAMSIZ` without its end.
const MAX_BYTES: usize = 15;

/// How many bytes of a long name are kept, followed by four digits of a digest of all of it.
const KEPT_BYTES: usize = 6;

/// Returns the name of the bond below a VLAN interface: `net3-bond` below `net3`, so that `ip link`
/// shows `net3@net3-bond`. A VLAN interface with more than ten bytes keeps the first six of them
/// and has four hexadecimal digits for the others: `uplink4f7c-bond` below `uplink-storage`.
///
/// It is the same in each call, so that DEL and CHECK find the bond again.
pub(crate) fn bond_below_vlan(vlan: &LinkName) -> LinkName {
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

    fn below(vlan: &str) -> String {
        bond_below_vlan(&vlan.parse().unwrap()).to_string()
    }

    #[test]
    fn bond_is_named_after_its_vlan_interface() {
        assert_eq!(below("net3"), "net3-bond");
        assert_eq!(below("0123456789"), "0123456789-bond");
    }

    #[test]
    fn long_names_stay_different() {
        assert_eq!(below("uplink-storage"), "uplink4f7c-bond");
        assert_ne!(below("uplink-storage"), below("uplink-storag2"));
        for vlan in [
            "uplink-storage",
            "uplink-stor",
            "012345678901234",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            let name = below(vlan);
            assert!(name.len() <= MAX_BYTES && name.ends_with("-bond"), "{name}");
            assert!(vlan.starts_with(&name[..KEPT_BYTES]), "{name}");
        }
    }
}
