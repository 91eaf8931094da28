//! The PCI function behind a link by ethtool's `bus-info` (`SIOCETHTOOL`, `ETHTOOL_GDRVINFO`), for kernels
//! whose netlink does not show it.

use std::mem::size_of;
use std::os::fd::RawFd;

use podbond_names::{LinkName, PciAddress};

/// `linux/sockios.h`
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// `linux/ethtool.h`
const ETHTOOL_GDRVINFO: u32 = 3;

/// `struct ifreq` as `SIOCETHTOOL` reads it.
#[repr(C)]
struct Request {
    /// `ifr_name`, ended by a zero.
    name: [u8; 16],
    /// `ifr_data`
    data: *mut DriverInfo,
    /// The rest of the union, which is as long as a `struct ifmap`.
    rest: [u8; 24 - size_of::<usize>()],
}

/// `struct ethtool_drvinfo`
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    version: [u8; 32],
    fw_version: [u8; 32],
    bus_info: [u8; 32],
    erom_version: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

/// Returns the PCI function of the link of this name in the namespace of a socket; none where it has none,
/// or does not tell.
pub(super) fn function_of(socket: RawFd, name: &LinkName) -> Option<PciAddress> {
    let mut info = DriverInfo {
        cmd: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        fw_version: [0; 32],
        bus_info: [0; 32],
        erom_version: [0; 32],
        reserved: [0; 12],
        counts: [0; 5],
    };
    let mut request =
        Request { name: [0; 16], data: &raw mut info, rest: [0; 24 - size_of::<usize>()] };
    // A name has 15 bytes at most.
    request.name.iter_mut().zip(name.as_str().bytes()).for_each(|(to, from)| *to = from);
    // SAFETY: the kernel reads `request`, which is laid out as a `struct ifreq`, and writes a `struct
    // ethtool_drvinfo` to where its pointer leads: to `info`, which is laid out as one. Both outlive the call.
    #[allow(unsafe_code, reason = "no crate has SIOCETHTOOL")]
    let status = unsafe { libc::ioctl(socket, SIOCETHTOOL, &raw mut request) };
    if status == 0 { read(&info.bus_info) } else { None }
}

/// Reads `bus_info`: text that is ended by a zero. Other buses have other texts.
fn read(bus_info: &[u8]) -> Option<PciAddress> {
    let text = bus_info.split(|byte| *byte == 0).next()?;
    str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_long_as_the_kernels() {
        assert_eq!((size_of::<DriverInfo>(), size_of::<Request>()), (196, 40));
    }

    #[test]
    fn bus_info_of_pci_is_read() {
        let mut text = [0; 32];
        text[..12].copy_from_slice(b"0000:03:10.2");
        assert_eq!(read(&text), "0000:03:10.2".parse().ok());
        for other in ["", "usb-0000:00:14.0-1", "virtio0"] {
            text = [0; 32];
            text[..other.len()].copy_from_slice(other.as_bytes());
            assert_eq!(read(&text), None, "{other}");
        }
        assert_eq!(read(&[b'1'; 32]), None);
    }
}
