//! Links of the node that DEL finds neither there nor in the pod, and how long they are waited for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_kernel::{Kernel, Link, LinkRef, Netns, Sysfs, USERSPACE_DRIVERS, View, is_netns};
use podbond_names::{LinkName, PciAddress};

use crate::Error;
use crate::home::find;
use crate::made::{Made, PortBefore};

/// How long DEL waits for a hardware link that the kernel gives back from a namespace that is gone.
const HARDWARE_PATIENCE: Duration = Duration::from_secs(5);

/// How long it waits for a link of which nobody knows whether it is hardware: others never come.
const OTHER_PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Where namespaces have their names: those of the pods with most runtimes.
const NAMED: &str = "/run/netns";

/// How the classes of network devices begin, as sysfs shows them (`PCI_BASE_CLASS_NETWORK`).
const NETWORK: &str = "0x02";

/// Drivers that keep a function from all others, for a virtual machine.
const KEEPERS: [&str; 3] = ["pci-stub", "pciback", "xen-pciback"];

/// A port that was up on the node, and is to be up there again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Away {
    name: LinkName,
    /// What is known of it, and its function, where that is known.
    hardware: Option<(PortBefore, PciAddress)>,
}

/// The ports of the node that were up and that the view shows nowhere, but for those that have no
/// link at present. Pure but for `has_link`.
fn away(
    names: &[LinkName],
    made: &Made,
    view: &View,
    has_link: impl Fn(PciAddress) -> podbond_kernel::Result<bool>,
) -> podbond_kernel::Result<Vec<Away>> {
    let mut away = Vec::new();
    for name in names {
        let is_here = |netns| find(netns, name, made, view).is_some();
        let was_up = made.brought_down(&LinkRef::host(name.clone()));
        if !was_up || is_here(Netns::Pod) || is_here(Netns::Host) {
            continue;
        }
        let hardware = made.port(name).and_then(|port| Some((port.clone(), port.function?)));
        let may_come = match &hardware {
            Some((_, function)) => has_link(*function)?,
            None => true,
        };
        if may_come {
            away.push(Away { name: name.clone(), hardware });
        }
    }
    Ok(away)
}

/// Whether a network driver has a function, so that it has a link somewhere: not where it is gone, as
/// with its card, or is another device's since the node started, or a process or a virtual machine has
/// it.
fn has_link(sysfs: &Sysfs, function: PciAddress) -> podbond_kernel::Result<bool> {
    let class = sysfs.attribute(function, "class")?;
    let is_network = class.is_some_and(|class| class.starts_with(NETWORK));
    Ok(is_network && sysfs.driver(function)?.is_some_and(|driver| !is_without_link(&driver)))
}

fn is_without_link(driver: &str) -> bool {
    let known = USERSPACE_DRIVERS.contains(&driver) || KEEPERS.contains(&driver);
    // Cards have vfio drivers of their own, like `mlx5_vfio_pci`.
    known || driver.contains("vfio")
}

/// Sees the links of the node, once those that come back to it have done so. Gives an error for each
/// hardware link that does not and that no other pod has: while nobody sees it, its record stays, so
/// that a later DEL or GC brings it up again.
///
/// `others` gives the namespaces of other bonds.
pub(crate) fn see_node(
    kernel: &mut Kernel,
    ports: &[LinkName],
    made: &Made,
    view: &mut View,
    others: impl FnOnce() -> Vec<PathBuf>,
) -> podbond_kernel::Result<Vec<Error>> {
    let start = Instant::now();
    let away = loop {
        see_ports(kernel, ports, made, view)?;
        let away = away(ports, made, view, |function| has_link(kernel.sysfs(), function))?;
        let patience = if away.iter().any(|port| port.hardware.is_some()) {
            HARDWARE_PATIENCE
        } else if away.is_empty() || kernel.has_pod() {
            return Ok(Vec::new());
        } else {
            OTHER_PATIENCE
        };
        if start.elapsed() > patience {
            break away;
        }
        sleep(PAUSE);
    };
    let mut lost: Vec<(PortBefore, PciAddress)> =
        away.into_iter().filter_map(|port| port.hardware).collect();
    // Where links are that it may be, nobody can tell what became of it.
    lost.retain(|(port, _)| !view.host.iter().chain(&view.pod).any(|link| port.may_be(link)));
    if !lost.is_empty() {
        let is_ours = |path: &PathBuf| {
            !Kernel::with_pod(path).is_ok_and(|there| made.is_in_another(&there).unwrap_or(false))
        };
        let own = made.netns().and_then(|path| fs::canonicalize(path).ok()).filter(is_ours);
        let named = podbond_state::names(Path::new(NAMED)).unwrap_or_default();
        let named = named.into_iter().map(|name| Path::new(NAMED).join(name));
        for netns in pods(own.as_deref(), named, others()) {
            let links = links_in(&netns);
            lost.retain(|(port, _)| !links.iter().any(|link| port.may_be(link)));
        }
    }
    Ok(lost.into_iter().map(|(port, pci)| Error::NotBack { name: port.name, pci }).collect())
}

/// Sees the ports on the node by their names, and all links where the names do not tell: where a port
/// in the pod can have its own no more, or one that should be back is not there by it.
fn see_ports(
    kernel: &mut Kernel,
    ports: &[LinkName],
    made: &Made,
    view: &mut View,
) -> podbond_kernel::Result<()> {
    view.host.clear();
    for name in ports {
        let at = LinkRef::host(name.clone());
        let called = kernel.link_by_any_name(&at)?;
        let is_free = called.is_none();
        view.host.extend(called);
        let is_plain = if find(Netns::Pod, name, made, view).is_some() {
            is_free
        } else {
            // Its function tells which link it is, whatever has its name now.
            let is_told = made.brought_down(&at) || made.function(name).is_some();
            !is_told || find(Netns::Host, name, made, view).is_some()
        };
        if !is_plain {
            view.host = kernel.links(Netns::Host)?;
            break;
        }
    }
    Ok(())
}

/// The namespaces of other pods: those that have a name, and those of other bonds. Pure.
///
/// Where our own still has its name, though the runtime knows it no more, what is in it is on its way.
fn pods(
    own: Option<&Path>,
    named: impl Iterator<Item = PathBuf>,
    others: Vec<PathBuf>,
) -> BTreeSet<PathBuf> {
    named.filter(|path| Some(path.as_path()) != own).chain(others).collect()
}

/// The links in a namespace; none where it cannot be looked at.
fn links_in(netns: &Path) -> Vec<Link> {
    let look = || Kernel::with_pod(netns)?.links(Netns::Pod);
    if is_netns(netns) { look().unwrap_or_default() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use podbond_kernel::{LinkState, Step};

    use super::*;

    fn name(text: &str) -> LinkName {
        text.parse().unwrap()
    }

    fn pci(number: u8) -> PciAddress {
        format!("0000:03:10.{number}").parse().unwrap()
    }

    /// Of a bond over VF 0, which was up, VF 1, which was not, and a link of no function.
    fn made() -> Made {
        let port = |port: &str, function| PortBefore {
            name: name(port),
            mac: None,
            mtu: 1500,
            function,
            permanent_mac: None,
        };
        let down =
            |port: &str| Step::SetState { at: LinkRef::host(name(port)), to: LinkState::Down };
        Made {
            steps: vec![down("vf0"), down("dummy0")],
            ports: vec![port("vf0", Some(pci(0))), port("vf1", Some(pci(1))), port("dummy0", None)],
            ..Made::default()
        }
    }

    fn told(view: &View, has_link: bool) -> Vec<String> {
        let names = ["vf0", "vf1", "dummy0"].map(name);
        let away = away(&names, &made(), view, |_| Ok(has_link)).unwrap();
        away.iter().map(|port| port.name.to_string()).collect()
    }

    #[test]
    fn links_that_were_up_are_away_while_nobody_sees_them() {
        assert_eq!(told(&View::default(), true), ["vf0", "dummy0"]);
        let of_vf = Link { parent: Some(pci(0)), ..crate::plan::tests::link(7, "dev7") };
        let stranger = crate::plan::tests::link(8, "vf0");
        let on_node = View { host: vec![stranger.clone(), of_vf.clone()], ..View::default() };
        assert_eq!(told(&on_node, true), ["dummy0"]);
        let in_pod = View { pod: vec![of_vf], host: vec![stranger], ..View::default() };
        assert_eq!(told(&in_pod, true), ["dummy0"]);
    }

    #[test]
    fn a_function_that_is_gone_or_that_no_network_driver_has_is_not_waited_for() {
        assert_eq!(told(&View::default(), false), ["dummy0"]);
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("bus/pci/devices").join(pci(0).to_string());
        let has_link = || has_link(&Sysfs::new(root.path()), pci(0)).unwrap();
        assert!(!has_link());
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
            assert_eq!(has_link(), expected, "{class} {driver}");
        }
    }

    #[test]
    fn what_is_in_the_own_namespace_is_no_other_pods() {
        let [own, named, bonds] = ["/run/netns/a", "/run/netns/b", "/proc/7/ns/net"].map(Path::new);
        let pods = |others: &[&Path]| {
            let named = [own, named].map(Path::to_owned).into_iter();
            let others = others.iter().map(|path| path.to_path_buf()).collect();
            pods(Some(own), named, others).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(pods(&[bonds]), [bonds, named]);
        // A later pod's has the same path.
        assert_eq!(pods(&[own]), [own, named]);
    }
}
