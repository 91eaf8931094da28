//! What ADD sees of a bond that it is to make, and what it plans and notes.

use podbond_cni::{Attachment, Request};
use podbond_kernel::{Kernel, Link, LinkRef, LinkState, Netns, Sysfs, View};
use podbond_names::{LinkName, PciAddress};

use crate::Bond;
use crate::config::{Config, LinksAre};
use crate::error::Error;
use crate::findings::look_around;
use crate::made::{Made, Place};
use crate::plan::{Plan, plan};

impl Bond {
    /// The plan for what the kernel shows now, and what is to be noted of it.
    pub(crate) fn prepare(
        &self,
        kernel: &mut Kernel,
        config: &Config,
        request: &Request,
    ) -> Result<(Plan, Made), Error> {
        let mut view = observe(kernel, config, &request.ifname)?;
        if config.links_are == LinksAre::OnHost {
            self.take_over(config, request, &mut view);
        }
        let others = self.records_beside(config, Some((&request.container_id, &request.ifname)))?;
        let around = look_around(kernel, config, &others, &mut view)?;
        let plan = plan(config, &request.ifname, &view, &around)?;
        let place = place(request, config, &view);
        let mut add = request.clone();
        add.config.set_prev_result(None);
        let netns_id = kernel.pod_id()?;
        let mut made = Made { place, netns_id, add: Some(add), ..Made::of(&plan, config, &view) };
        if config.links_are == LinksAre::OnHost {
            made.tell_apart(&view, |function| may_have_several_links(kernel.sysfs(), function))?;
        }
        Ok((plan, made))
    }

    /// Counts those of the node's links as up that the bond of another has brought down, which has ended
    /// without bringing them up again: it is for this one's DEL then, as that one's will not find them.
    pub(crate) fn take_over(&self, config: &Config, request: &Request, view: &mut View) {
        let is_down =
            |link: &Link| link.state == LinkState::Down && config.ports.contains(&link.name);
        if !view.host.iter().any(is_down) {
            return;
        }
        let is_other = |of: &Attachment| {
            of.container_id != request.container_id || of.ifname != request.ifname
        };
        // What cannot be read tells of no link.
        let records = self.records().all(&mut Vec::new()).into_iter();
        let others: Vec<Made> =
            records.filter(|(of, _)| is_other(of)).filter_map(|(_, made)| made.ok()).collect();
        for link in view.host.iter_mut().filter(|link| is_down(link)) {
            if others.iter().any(|other| other.found_up(link)) {
                link.state = LinkState::Up;
            }
        }
    }
}

/// Whether a function has several links at times, of which some may be in pods at this moment: a PF has
/// representors in switchdev mode, and cards have one function for several ports.
fn may_have_several_links(sysfs: &Sysfs, function: PciAddress) -> podbond_kernel::Result<bool> {
    let is_pf = sysfs.attribute(function, "sriov_totalvfs")?.is_some();
    Ok(is_pf || sysfs.links_of(function)?.len() > 1)
}

/// What others are to know of a bond about to be made.
fn place(request: &Request, config: &Config, view: &View) -> Option<Place> {
    let arg = |key| request.args.get(key);
    let name = match (arg("K8S_POD_NAMESPACE"), arg("K8S_POD_NAME")) {
        (Some(namespace), Some(pod)) => format!("{} of pod {namespace}/{pod}", request.ifname),
        _ => format!("{} of container {}", request.ifname, request.container_id.as_str()),
    };
    let netns = config.links_are.netns();
    let function = |port: &LinkName| view.link(netns, port)?.parent;
    Some(Place {
        name,
        netns: request.netns.clone()?,
        mode: config.options.mode,
        functions: config.ports.iter().filter_map(function).collect(),
    })
}

/// What [`plan`] needs to see of the bond and its ports, and no more.
fn observe(kernel: &mut Kernel, config: &Config, ifname: &LinkName) -> Result<View, Error> {
    let mut view = View::default();
    see_bond_and_ports(kernel, config, ifname, &mut view)?;
    if config.links_are == LinksAre::OnHost {
        for name in &config.ports {
            view.host.extend(kernel.link(&LinkRef::host(name.clone()))?);
        }
    }
    let netns = config.links_are.netns();
    let ports: Vec<_> =
        config.ports.iter().filter_map(|name| view.link(netns, name).cloned()).collect();
    for port in ports {
        if let Some(master) = port.master {
            let master = kernel.link_by_index(netns, master)?;
            match netns {
                Netns::Host => view.host.extend(master),
                Netns::Pod => view.pod.extend(master),
            }
        }
    }
    Ok(view)
}

/// Adds those of the pod's links to a view that are there.
pub(crate) fn see_pod<'n>(
    kernel: &mut Kernel,
    names: impl IntoIterator<Item = &'n LinkName>,
    view: &mut View,
) -> podbond_kernel::Result<()> {
    for name in names {
        view.pod.extend(kernel.link(&LinkRef::pod(name.clone()))?);
    }
    Ok(())
}

/// Adds the interface of an attachment to a view, the bond beneath it, and its ports.
fn see_bond_and_ports(
    kernel: &mut Kernel,
    config: &Config,
    ifname: &LinkName,
    view: &mut View,
) -> podbond_kernel::Result<()> {
    let bond = config.bond_name(ifname);
    see_pod(kernel, [ifname].into_iter().chain(Some(&bond).filter(|bond| *bond != ifname)), view)?;
    see_pod(kernel, &config.ports, view)
}
