//! Quirks of the driver igb (Intel 82576 and I350), which tells its PF a VF's MAC address late.
//!
//! A PF has an entry for the MAC address of each of its VFs. Before Linux 6.3 igb leaves that of a new
//! VF empty until the VF's link is closed for the first time; later kernels leave it empty after a reset
//! which the PF did not hear to its end. What the VF tells about its address afterwards is written into
//! an empty entry, and a card whose entry is emptied after that keeps from the VF what is sent to it.

use podbond_kernel::{Link, VfSettings};
use podbond_names::Mac;

/// Returns whether the PF's entry is to be emptied before the link's address is changed, not after it:
/// where it is to be empty in the end, and is not.
pub(crate) fn is_emptied_first(is: &VfSettings, wanted: &VfSettings) -> bool {
    wanted.mac == Some(Mac::ZERO) && is.mac != wanted.mac
}

/// Returns whether the PF's entry, which was empty before ADD, is to stay as the VF has filled it since:
/// it holds the link's own address.
pub(crate) fn keeps_entry(
    is: &VfSettings,
    link: Option<&Link>,
    own: Option<Mac>,
    before: &VfSettings,
) -> bool {
    before.mac == Some(Mac::ZERO)
        && own.is_some()
        && is.mac == own
        && link.is_some_and(|link| link.mac == own)
}
