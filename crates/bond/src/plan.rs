use podbond_kernel::{At, Link, LinkState, Netns, PortRole, Step, View};
use podbond_names::LinkName;

use crate::config::{Config, Links, LinksAre};
use crate::error::Error;
use crate::findings::{Finding, Refused, Surroundings, findings};

/// What ADD will do to the links, and what it has to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order. Addresses follow once IPAM has given them.
    pub steps: Vec<Step>,
    /// What will not do what it is meant to do although it is allowed.
    pub findings: Vec<Finding>,
}

/// The steps that make the bond `ifname` from what the view shows. Pure.
///
/// The view must hold, where they exist: the pod's link `ifname`, the ports, each port's master, and
/// for the findings the ports' VFs, and their PFs' links with their masters.
pub fn plan(
    config: &Config,
    ifname: &LinkName,
    view: &View,
    around: &Surroundings,
) -> Result<Plan, Error> {
    if config.ports.contains(ifname) {
        return Err(Error::OwnPort { name: ifname.clone() });
    }
    if view.link(Netns::Pod, ifname).is_some() {
        return Err(Error::NameTaken { name: ifname.clone() });
    }
    let ports = config
        .ports
        .iter()
        .map(|name| free_port(config, name, view))
        .collect::<Result<Vec<_>, _>>()?;
    let mtu = mtu(config, &ports)?;
    let findings = findings(config, view, around);
    let refused: Vec<Refused> =
        findings.iter().filter_map(|finding| config.refusal(finding)).collect();
    if !refused.is_empty() {
        return Err(Error::Refused { refused });
    }
    Ok(Plan { steps: steps(config, ifname, &ports, mtu), findings })
}

/// The steps that take the bond away again, from what the view shows of it and its ports. Ports are
/// those links that the bond has, or that ADD moved, as `made`, its steps, tell: any other link of
/// the pod by such a name is left alone. They go back to where they were, and are up if they were.
/// Pure.
pub(crate) fn removal(links: &Links, ifname: &LinkName, view: &View, made: &[Step]) -> Vec<Step> {
    let bond = view.link(Netns::Pod, ifname).and_then(|link| Some((link, link.bond.clone()?)));
    let index = bond.as_ref().map(|(link, _)| link.index);
    let mut steps = Vec::new();
    let mut seen = view.clone();
    if let Some((link, options)) = bond {
        let (at, mtu) = (At::pod(ifname.clone()), link.mtu);
        // The driver frees and closes its ports with the bond: one message instead of one a port.
        steps.push(Step::RemoveBond { at, options, mtu, mac: None });
        seen.apply(&steps);
    }
    for name in &links.names {
        let (here, home) = (At::pod(name.clone()), At::host(name.clone()));
        let was_port =
            view.link(Netns::Pod, name).is_some_and(|p| index.is_some() && p.master == index);
        let port = seen.link(Netns::Pod, name);
        match links.are {
            // The earlier attachments that made them left them up.
            LinksAre::InPod if was_port => {
                steps.push(Step::SetState { at: here, to: LinkState::Up });
            }
            LinksAre::InPod => {}
            LinksAre::OnHost => {
                let moved = Step::Move { from: home.clone(), to: here.clone() };
                let port = port.filter(|_| was_port || made.contains(&moved));
                // Another bond's by now: what we did not enslave we do not take.
                if port.is_some_and(|port| port.master.is_some()) {
                    continue;
                }
                let is_up = |link: &Link| link.state == LinkState::Up;
                if let Some(port) = port {
                    if is_up(port) {
                        steps.push(Step::SetState { at: here.clone(), to: LinkState::Down });
                    }
                    steps.push(Step::Move { from: here, to: home.clone() });
                }
                let waits =
                    port.is_some() || view.link(Netns::Host, name).is_some_and(|l| !is_up(l));
                if waits && brought_down(made, name) {
                    steps.push(Step::SetState { at: home, to: LinkState::Up });
                }
            }
        }
    }
    steps
}

/// Whether ADD, which took these steps, found this link of the node up.
pub(crate) fn brought_down(made: &[Step], name: &LinkName) -> bool {
    made.contains(&Step::SetState { at: At::host(name.clone()), to: LinkState::Down })
}

fn free_port<'v>(config: &Config, name: &LinkName, view: &'v View) -> Result<&'v Link, Error> {
    let netns = config.links_are.netns();
    let port =
        view.link(netns, name).ok_or_else(|| Error::NoSuchPort { name: name.clone(), netns })?;
    if let Some(master) = port.master {
        let named = view.links(netns).iter().find(|link| link.index == master);
        return Err(Error::PortTaken {
            name: name.clone(),
            master: named.map_or_else(|| format!("link {master}"), |link| link.name.to_string()),
        });
    }
    if config.links_are == LinksAre::OnHost && view.link(Netns::Pod, name).is_some() {
        return Err(Error::NameTaken { name: name.clone() });
    }
    Ok(port)
}

fn mtu(config: &Config, ports: &[&Link]) -> Result<u32, Error> {
    let smallest = ports.iter().map(|port| port.mtu).min().unwrap_or_default();
    let Some(wanted) = config.mtu else { return Ok(smallest) };
    match ports.iter().find(|port| port.mtu < wanted) {
        Some(port) => {
            Err(Error::MtuAbovePort { wanted, port: port.name.clone(), port_mtu: port.mtu })
        }
        None => Ok(wanted),
    }
}

fn steps(config: &Config, ifname: &LinkName, ports: &[&Link], mtu: u32) -> Vec<Step> {
    let bond = At::pod(ifname.clone());
    let mut steps =
        vec![Step::AddBond { at: bond.clone(), options: config.options.clone(), mtu, mac: None }];
    for link in ports {
        let found = At { netns: config.links_are.netns(), name: link.name.clone() };
        let port = At::pod(link.name.clone());
        // The driver takes a port only while it is down, and opens it itself.
        if link.state == LinkState::Up {
            steps.push(Step::SetState { at: found.clone(), to: LinkState::Down });
        }
        if found != port {
            steps.push(Step::Move { from: found, to: port.clone() });
        }
        steps.push(Step::Enslave { port: port.clone(), bond: ifname.clone() });
        if let Some(options) = config.port_options.get(&link.name) {
            steps.push(Step::SetPort { port, from: options.defaults(), to: options.clone() });
        }
    }
    let role = |role, port: &Option<LinkName>| {
        let to = port.clone()?;
        Some(Step::SetPortRole { bond: bond.clone(), role, from: None, to: Some(to) })
    };
    steps.extend(role(PortRole::Primary, &config.primary));
    steps.push(Step::SetState { at: bond.clone(), to: LinkState::Up });
    steps.extend(role(PortRole::Active, &config.active));
    steps
}

#[cfg(test)]
pub(crate) mod tests;
