//! Waits for a bond's hardware ports that the kernel gives back to the node when their network
//! namespace is destroyed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_kernel::{Kernel, Netns, Sysfs, View, makes_links};
use podbond_names::{LinkName, PciAddress};

use crate::record::BondRecord;

/// How long DEL waits: a namespace is destroyed after its last process has ended.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// How the classes of network devices begin, as sysfs shows them (`PCI_BASE_CLASS_NETWORK`).
const NETWORK: &str = "0x02";

/// A port that is neither in the pod nor on the node although its function has a network driver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "links: {name} ({function}) is neither in the pod nor back on the node, and is not restored: a \
     process may keep its network namespace (`lsns -t net`); once the link is there, give it its name and \
     bring it up"
)]
pub(super) struct MissingPort {
    name: LinkName,
    function: PciAddress,
}

/// Reads the links of the node into a view. Where the pod's namespace is over it waits for those
/// ports that have a network driver, 5 s at most. Returns those that are missing then, but for
/// those of functions that another attachment has.
pub(super) fn read_host_links(
    kernel: &mut Kernel,
    names: &[LinkName],
    bond: &BondRecord,
    view: &mut View,
    is_anothers: impl Fn(PciAddress) -> bool,
) -> podbond_kernel::Result<Vec<MissingPort>> {
    let start = Instant::now();
    loop {
        view.host = kernel.links(Netns::Host)?;
        let missing = missing_ports(names, bond, view, |function| {
            Ok(has_network_driver(kernel.sysfs(), function)? && !is_anothers(function))
        })?;
        if missing.is_empty() || kernel.has_pod() || start.elapsed() > TIMEOUT {
            return Ok(missing);
        }
        sleep(INTERVAL);
    }
}

/// Returns the recorded ports that a view shows nowhere and whose function is expected to have a
/// link.
fn missing_ports(
    names: &[LinkName],
    bond: &BondRecord,
    view: &View,
    is_expected: impl Fn(PciAddress) -> podbond_kernel::Result<bool>,
) -> podbond_kernel::Result<Vec<MissingPort>> {
    let mut missing = Vec::new();
    for name in names {
        let is_in = |netns| bond.find_port(netns, name, view).is_some();
        let Some(function) = bond.function(name) else { continue };
        if !is_in(Netns::Pod) && !is_in(Netns::Host) && is_expected(function)? {
            missing.push(MissingPort { name: name.clone(), function });
        }
    }
    Ok(missing)
}

/// Returns whether a network driver has a function, so that it has a link somewhere: not where it
/// is gone, as with its card, or another device since the node started, or a virtual machine's.
fn has_network_driver(sysfs: &Sysfs, function: PciAddress) -> podbond_kernel::Result<bool> {
    let class = sysfs.attribute(function, "class")?;
    let is_network = class.is_some_and(|class| class.starts_with(NETWORK));
    Ok(is_network && sysfs.driver(function)?.is_some_and(|driver| makes_links(&driver)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use podbond_kernel::Link;

    use super::*;
    use crate::add::plan::tests::{link, name};
    use crate::record::PortBefore;

    fn pci(number: u8) -> PciAddress {
        format!("0000:03:10.{number}").parse().unwrap()
    }

    /// The names of the missing ports of a bond over a VF and a link of no function.
    fn missing(view: &View, is_expected: bool) -> Vec<String> {
        let port = |port: &str, function| PortBefore {
            name: name(port),
            mac: None,
            mtu: 1500,
            function,
            permanent_mac: None,
            driver: None,
            link: None,
            identity: None,
        };
        let ports = vec![port("vf0", Some(pci(0))), port("dummy0", None)];
        let bond = BondRecord { steps: Vec::new(), ports };
        let names = ["vf0", "dummy0"].map(name);
        let missing = missing_ports(&names, &bond, view, |_| Ok(is_expected)).unwrap();
        missing.iter().map(|port| port.name.to_string()).collect()
    }

    /// Promise: del-namespace-kept
    #[test]
    fn hardware_port_is_missing_until_its_function_has_a_link() {
        assert_eq!(missing(&View::default(), true), ["vf0"]);
        assert_eq!(missing(&View::default(), false), [""; 0]);
        let of_vf = Link { parent: Some(pci(0)), ..link(7, "dev7") };
        let stranger = link(8, "vf0");
        let on_node = View { host: vec![stranger.clone(), of_vf.clone()], ..View::default() };
        assert_eq!(missing(&on_node, true), [""; 0]);
        let in_pod = View { pod: vec![of_vf], host: vec![stranger.clone()], ..View::default() };
        assert_eq!(missing(&in_pod, true), [""; 0]);
        assert_eq!(missing(&View { host: vec![stranger], ..View::default() }, true), ["vf0"]);
    }

    /// Promise: del-namespace-kept
    #[test]
    fn only_a_function_with_a_network_driver_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("bus/pci/devices").join(pci(0).to_string());
        let is_waited_for = || has_network_driver(&Sysfs::new(root.path()), pci(0)).unwrap();
        assert!(!is_waited_for());
        fs::create_dir_all(&device).unwrap();
        for (class, driver, expected) in [
            ("0x020000", "", false),
            ("0x020000", "igbvf", true),
            ("0x010802", "nvme", false),
            ("0x020000", "vfio-pci", false),
            ("0x020000", "mlx5_vfio_pci", false),
            ("0x020000", "pci-stub", false),
        ] {
            fs::write(device.join("class"), format!("{class}\n")).unwrap();
            let link = device.join("driver");
            let _ = fs::remove_file(&link);
            if !driver.is_empty() {
                symlink(Path::new("/sys/bus/pci/drivers").join(driver), link).unwrap();
            }
            assert_eq!(is_waited_for(), expected, "{class} {driver}");
        }
    }
}
