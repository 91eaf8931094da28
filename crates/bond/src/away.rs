//! Links of the node that DEL finds neither there nor in the pod, and how long they are waited for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_kernel::{At, Kernel, Netns, USERSPACE_DRIVERS, View, is_netns};
use podbond_names::{LinkName, PciAddress};

use crate::Error;
use crate::home::find;
use crate::made::Made;

/// How long DEL waits for a hardware link that the kernel gives back from a namespace that is gone.
const HARDWARE_PATIENCE: Duration = Duration::from_secs(5);

/// How long it waits for a link of which nobody knows whether it is hardware: others never come.
const OTHER_PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Where namespaces have their names: those of the pods with most runtimes.
const NAMED: &str = "/run/netns";

/// A port that was up on the node, and is to be up there again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Away {
    name: LinkName,
    /// Where it is known.
    function: Option<PciAddress>,
}

/// The ports of the node that were up and that the view shows nowhere, but for those that have no
/// link at present: their function is gone, as with its card, or no network driver has it. Pure but
/// for `driver`, which tells the driver of a function.
fn away(
    names: &[LinkName],
    made: &Made,
    view: &View,
    driver: impl Fn(PciAddress) -> podbond_kernel::Result<Option<String>>,
) -> podbond_kernel::Result<Vec<Away>> {
    let mut away = Vec::new();
    for name in names {
        let is_here = |netns| find(netns, name, made, view).is_some();
        let was_up = made.brought_down(&At::host(name.clone()));
        if !was_up || is_here(Netns::Pod) || is_here(Netns::Host) {
            continue;
        }
        let function = made.function(name);
        let has_link = match function {
            Some(function) => driver(function)?.is_some_and(|it| !is_userspace(&it)),
            None => true,
        };
        if has_link {
            away.push(Away { name: name.clone(), function });
        }
    }
    Ok(away)
}

fn is_userspace(driver: &str) -> bool {
    USERSPACE_DRIVERS.contains(&driver)
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
        let away = away(ports, made, view, |function| kernel.sysfs().driver(function))?;
        let patience = if away.iter().any(|port| port.function.is_some()) {
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
    let hardware = away.into_iter().filter_map(|port| Some((port.name, port.function?)));
    let mut lost: Vec<(LinkName, PciAddress)> = hardware.collect();
    // Where it has others, nobody can tell what became of this one.
    let has_links = |pci| view.host.iter().chain(&view.pod).any(|link| link.parent == Some(pci));
    lost.retain(|(_, function)| !has_links(*function));
    if !lost.is_empty() {
        let own = made.netns().and_then(|path| fs::canonicalize(path).ok());
        let named = podbond_state::names(Path::new(NAMED)).unwrap_or_default();
        let named = named.into_iter().map(|name| Path::new(NAMED).join(name));
        for netns in pods(own.as_deref(), named, others()) {
            let seen = functions_in(&netns);
            lost.retain(|(_, function)| !seen.contains(function));
        }
    }
    Ok(lost.into_iter().map(|(name, pci)| Error::NotBack { name, pci }).collect())
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
        let at = At::host(name.clone());
        let called = kernel.link_called(&at)?;
        let is_free = called.is_none();
        view.host.extend(called);
        let is_plain = if find(Netns::Pod, name, made, view).is_some() {
            is_free
        } else {
            !made.brought_down(&at) || find(Netns::Host, name, made, view).is_some()
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

/// The functions whose links are in a namespace; none where it cannot be looked at.
fn functions_in(netns: &Path) -> BTreeSet<PciAddress> {
    let look = || Kernel::with_pod(netns)?.links(Netns::Pod);
    let links = if is_netns(netns) { look().unwrap_or_default() } else { Vec::new() };
    links.into_iter().filter_map(|link| link.parent).collect()
}

#[cfg(test)]
mod tests {
    use podbond_kernel::{Link, LinkState, Step};

    use super::*;
    use crate::made::PortBefore;

    fn name(text: &str) -> LinkName {
        text.parse().unwrap()
    }

    fn pci(number: u8) -> PciAddress {
        format!("0000:03:10.{number}").parse().unwrap()
    }

    /// Of a bond over VF 0, which was up, VF 1, which was not, and a link of no function.
    fn made() -> Made {
        let port =
            |port: &str, function| PortBefore { name: name(port), mac: None, mtu: 1500, function };
        let down = |port: &str| Step::SetState { at: At::host(name(port)), to: LinkState::Down };
        Made {
            steps: vec![down("vf0"), down("dummy0")],
            ports: vec![port("vf0", Some(pci(0))), port("vf1", Some(pci(1))), port("dummy0", None)],
            ..Made::default()
        }
    }

    fn told(view: &View, driver: Option<&str>) -> Vec<String> {
        let names = ["vf0", "vf1", "dummy0"].map(name);
        let driver = |_| Ok(driver.map(str::to_owned));
        let away = away(&names, &made(), view, driver).unwrap();
        away.iter().map(|port| port.name.to_string()).collect()
    }

    #[test]
    fn links_that_were_up_are_away_while_nobody_sees_them() {
        assert_eq!(told(&View::default(), Some("igbvf")), ["vf0", "dummy0"]);
        let of_vf = Link { parent: Some(pci(0)), ..crate::plan::tests::link(7, "dev7") };
        let stranger = crate::plan::tests::link(8, "vf0");
        let on_node = View { host: vec![stranger.clone(), of_vf.clone()], ..View::default() };
        assert_eq!(told(&on_node, Some("igbvf")), ["dummy0"]);
        let in_pod = View { pod: vec![of_vf], host: vec![stranger], ..View::default() };
        assert_eq!(told(&in_pod, Some("igbvf")), ["dummy0"]);
    }

    #[test]
    fn a_function_that_is_gone_or_that_no_network_driver_has_is_not_waited_for() {
        for driver in [None, Some("vfio-pci")] {
            assert_eq!(told(&View::default(), driver), ["dummy0"], "{driver:?}");
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
