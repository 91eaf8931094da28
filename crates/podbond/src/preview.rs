//! What `apply` would do, found out without doing it: each plugin's own plan over a view of the
//! node, each laid over the view before the next is made. What a plugin would refuse it refuses
//! here, before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use podbond_api::{ObjectKey, Pod};
use podbond_attach::{Attachment, Chain, DeviceRequest};
use podbond_bond::{Bond, Finding, Object, OtherBond, Reason};
use podbond_cni::{Args, Code, Delegates, Failure, Lookup, NetConf, NodeRequest, Plugin};
use podbond_host_local::HostLocal;
use podbond_inventory::{Applied, Inventory};
use podbond_kernel::{Kernel, Link, LinkState, Netns, Step, View};
use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

use crate::commands::{UNCHANGED, is_running, nad_outcome};
use crate::error::Error;
use crate::node::{Node, device_failure};
use crate::pools::Pools;
use crate::wanted::Wanted;

/// All that `apply` would do.
pub(crate) struct Preview {
    /// What the policies come to.
    pub(crate) policies: Applied,
    /// The NADs that would be kept anew.
    pub(crate) networks: Vec<NetworkPreview>,
    pub(crate) pods: Vec<PodPreview>,
}

/// A NAD that would be kept anew.
#[derive(Serialize)]
pub(crate) struct NetworkPreview {
    /// The object of the manifests that it comes from.
    pub(crate) object: String,
    /// What would be said of it.
    pub(crate) outcome: &'static str,
}

/// What would be done for one pod.
#[derive(Serialize)]
pub(crate) struct PodPreview {
    pub(crate) pod: ObjectKey,
    /// The pod runs already: nothing would be done.
    pub(crate) unchanged: bool,
    pub(crate) attachments: Vec<AttachmentPreview>,
}

/// What would be done for one attachment of a pod.
#[derive(Serialize)]
pub(crate) struct AttachmentPreview {
    pub(crate) interface: LinkName,
    pub(crate) network: String,
    /// The VF that it would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<PciAddress>,
    pub(crate) calls: Vec<Call>,
}

/// One plugin's part.
#[derive(Serialize)]
pub(crate) struct Call {
    pub(crate) plugin: String,
    /// None for a plugin that is not ours: it alone knows what it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<Step>>,
    /// The IPAM plugin that gives the addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipam: Option<String>,
    /// What it will not do although it is asked for, or will not survive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

/// Finds out what `apply` would do.
pub(crate) fn preview(
    node: &Node<'_>,
    kernel: &mut Kernel,
    wanted: &Wanted,
    labels: Option<&BTreeMap<String, String>>,
    pods: &[(&Pod, Chain)],
) -> Result<Preview, Error> {
    let policies = node.holdings.policies().plan(kernel, &wanted.policies, labels);
    let mut policies = policies.map_err(refused)?;
    if wanted.policies.is_empty() {
        // Of those that are in force already nothing is done anew.
        policies.steps.clear();
    }
    let inventory = Inventory::read(kernel.sysfs())?;
    let holders = node.holdings.holders(&inventory)?;
    let mut pools = Pools::new(&policies.assignment, &inventory, holders, kernel.sysfs())?;
    let mut view = View { host: kernel.links(Netns::Host)?, ..View::default() };
    bring_up(&mut view, &policies.steps);
    let (mut previews, mut bonds) = (Vec::new(), Vec::new());
    for (pod, chain) in pods {
        let unchanged = is_running(node, pod)?;
        let mut attachments = Vec::new();
        if !unchanged {
            // Each pod begins with nothing but its loopback.
            view.pod.clear();
            for attachment in &chain.attachments {
                let preview = installed(node, attachment).and_then(|()| {
                    attach(kernel, &mut view, &mut pools, &mut bonds, &pod.key, attachment)
                });
                attachments.push(preview.map_err(|error| named(error, pod, attachment))?);
            }
        }
        previews.push(PodPreview { pod: pod.key.clone(), unchanged, attachments });
    }
    Ok(Preview { policies, networks: networks(node, wanted)?, pods: previews })
}

/// PFs that the policies will bring up have carrier for all that is known.
fn bring_up(view: &mut View, steps: &[Step]) {
    for step in steps {
        if let Step::SetState { at, to: LinkState::Up } = step
            && let Some(link) = view.host.iter_mut().find(|link| link.name == at.name)
        {
            (link.state, link.carrier) = (LinkState::Up, true);
        }
    }
}

fn networks(node: &Node<'_>, wanted: &Wanted) -> Result<Vec<NetworkPreview>, Error> {
    let mut networks = Vec::new();
    for nad in &wanted.nads {
        let outcome = nad_outcome(node, nad)?;
        if outcome != UNCHANGED {
            networks.push(NetworkPreview { object: wanted.origin(nad), outcome });
        }
    }
    Ok(networks)
}

/// Refuses an attachment of which a plugin is not installed.
fn installed(node: &Node<'_>, attachment: &Attachment) -> Result<(), Error> {
    let configs = attachment.configs(None);
    configs.iter().try_for_each(|config| node.look_up(config)).map_err(Error::Refused)
}

/// A refusal with the pod and interface that it is about.
fn named(error: Error, pod: &Pod, attachment: &Attachment) -> Error {
    match error {
        Error::Refused(failure) => {
            let msg = format!("pod {}: {}: {}", pod.key, attachment.ifname, failure.msg);
            Error::Refused(Failure { msg, ..failure })
        }
        other => other,
    }
}

fn attach(
    kernel: &mut Kernel,
    view: &mut View,
    pools: &mut Pools,
    bonds: &mut Vec<OtherBond>,
    pod: &ObjectKey,
    attachment: &Attachment,
) -> Result<AttachmentPreview, Error> {
    let holder = format!("{} of pod {pod}", attachment.ifname);
    let device = match &attachment.device {
        DeviceRequest::None => None,
        DeviceRequest::This(pci) => Some(pools.claim(*pci, holder).map_err(refused)?),
        DeviceRequest::OneOf(resource) => {
            Some(pools.take(resource, holder, view).map_err(refused)?)
        }
    };
    if let Some(pci) = device
        && view.vf(pci).is_none()
    {
        view.vfs.extend(kernel.vf(pci)?);
    }
    let configs = attachment.configs(device);
    let mut calls = Vec::new();
    for (position, config) in configs.iter().enumerate() {
        let call = call(kernel, config, (pod, &attachment.ifname), view, bonds);
        let mut call = call.map_err(Error::Refused)?;
        if call.steps.is_some() {
            has_addresses(config).map_err(Error::Refused)?;
        }
        match &call.steps {
            Some(steps) => view.apply(steps),
            // The first plugin of a network makes the interface, unless one of ours does; what it
            // is like is not known.
            None if position == 0 && !configs.iter().any(makes_link) => {
                view.pod.push(unknown_link(&attachment.ifname));
            }
            None if configs.iter().any(makes_link) => {
                call.findings.extend(no_veth(config, &attachment.ifname));
            }
            None => {}
        }
        calls.push(call);
    }
    let (interface, network) = (attachment.ifname.clone(), attachment.name());
    Ok(AttachmentPreview { interface, network, device, calls })
}

/// What is wrong with what was asked for, unless the node itself could not be looked at.
fn refused(error: podbond_inventory::Error) -> Error {
    use podbond_inventory::Error as E;
    match error {
        E::Kernel(_) | E::State(_) | E::Unreadable { .. } => Error::Inventory(error),
        _ => Error::Refused(device_failure(error)),
    }
}

fn call(
    kernel: &mut Kernel,
    config: &NetConf,
    (pod, ifname): (&ObjectKey, &LinkName),
    view: &mut View,
    bonds: &mut Vec<OtherBond>,
) -> Result<Call, Failure> {
    let network = &config.name;
    let (steps, findings) = match config.plugin.as_str() {
        "bond" => {
            let plan = podbond_bond::Config::parse(config, &Args::default())
                .and_then(|wanted| {
                    let bond = Bond::default();
                    bond.refuse_host_links(kernel, &wanted)?;
                    let mut around = bond.surroundings(kernel, &wanted, view)?;
                    around.bonds.extend(bonds.iter().cloned());
                    let plan = podbond_bond::plan(&wanted, ifname, view, &around)?;
                    let name = format!("{ifname} of pod {pod}");
                    bonds.push(OtherBond::of(name, &wanted, view));
                    Ok(plan)
                })
                .map_err(|error| line_by_line(error, network))?;
            (Some(plan.steps), plan.findings)
        }
        "sriov" => {
            let steps = podbond_sriov::Config::parse(config, &Args::default())
                .and_then(|sriov| podbond_sriov::plan(&sriov, ifname, view))
                .map_err(|error| error.into_failure(network))?;
            (Some(steps), Vec::new())
        }
        _ => (None, Vec::new()),
    };
    Ok(Call { plugin: config.plugin.clone(), steps, ipam: config.ipam.clone(), findings })
}

/// A runtime gets all that is wrong with a configuration in one line; people get a line for each.
fn line_by_line(error: podbond_bond::Error, network: &str) -> Failure {
    let lines = match &error {
        podbond_bond::Error::Several(all) => {
            let each: Vec<String> = all.iter().map(|error| format!("  {error}")).collect();
            format!("network {network}: {} things are wrong:\n{}", all.len(), each.join("\n"))
        }
        _ => return error.into_failure(network),
    };
    Failure { msg: lines, ..error.into_failure(network) }
}

/// Whether the plugin is one of ours that makes the interface.
fn makes_link(config: &NetConf) -> bool {
    matches!(config.plugin.as_str(), "bond" | "sriov")
}

/// What is to be said of the reference plugin `bandwidth` with rates behind one of ours.
fn no_veth(config: &NetConf, ifname: &LinkName) -> Option<Finding> {
    let asked_for = config.raw.get("runtimeConfig").and_then(|runtime| runtime.get("bandwidth"));
    let has_rate = |key: &str| {
        let rates = asked_for.and_then(|rates| rates.get(key)).or_else(|| config.raw.get(key));
        rates.and_then(serde_json::Value::as_u64).is_some_and(|rate| rate > 0)
    };
    let shapes =
        config.plugin == "bandwidth" && (has_rate("ingressRate") || has_rate("egressRate"));
    shapes.then(|| {
        let reason = Reason::NoVeth { ifname: ifname.clone() };
        Finding::new(Object::Key("bandwidth".to_owned()), reason)
    })
}

/// Refuses a network whose ranges are malformed or used up. Other IPAM plugins than ours are not
/// asked: what their STATUS does is not known.
fn has_addresses(config: &NetConf) -> Result<(), Failure> {
    let ours = HostLocal;
    if config.ipam.as_deref() != Some(ours.name()) {
        return Ok(());
    }
    let request = NodeRequest {
        path: Vec::new(),
        config: config.clone(),
        valid_attachments: BTreeSet::new(),
    };
    match ours.status(&request, &Delegates::new(&[], Lookup::PathOnly)) {
        // Who may not read the leases may have a plan.
        Err(failure) if failure.code == Code::IO => Ok(()),
        answer => answer,
    }
}

/// A link that a foreign plugin would make: it has a name, and fits whatever is built on it.
fn unknown_link(name: &LinkName) -> Link {
    Link {
        index: 0,
        name: name.clone(),
        altnames: Vec::new(),
        kind: None,
        mac: None,
        permanent_mac: None,
        mtu: u32::MAX,
        max_mtu: 0,
        state: LinkState::Up,
        carrier: true,
        master: None,
        parent: None,
        vlan: None,
        bond: None,
        aggregator: None,
        port: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_thing_that_is_wrong_has_a_line() {
        let config = json!({"name": "n", "type": "bond", "mode": "802.3ad", "mtu": 10,
            "primary": "net1", "links": [{"name": "net1"}, {"name": "net2"}]});
        let config = NetConf::from_map(config.as_object().unwrap().clone()).unwrap();
        let error = podbond_bond::Config::parse(&config, &Args::default()).unwrap_err();
        let told = line_by_line(error, "n").msg;
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 3, "{told}");
        assert_eq!(lines[0], "network n: 2 things are wrong:");
        assert!(lines[1].starts_with("  mtu: 10 is no MTU"), "{told}");
    }

    #[test]
    fn rates_that_nothing_can_shape_are_told() {
        let told = |config: serde_json::Value| {
            let config = NetConf::from_map(config.as_object().unwrap().clone()).unwrap();
            no_veth(&config, &"net3".parse().unwrap())
        };
        let rates = json!({"ingressRate": 8000, "ingressBurst": 8000});
        let runtime =
            json!({"type": "bandwidth", "name": "n", "runtimeConfig": {"bandwidth": rates}});
        for shaped in [json!({"type": "bandwidth", "name": "n", "egressRate": 8000}), runtime] {
            assert!(
                told(shaped).unwrap().to_string().contains("net3 is none: give the VFs maxTxRate")
            );
        }
        for passed in [
            json!({"type": "bandwidth", "name": "n"}),
            json!({"type": "bandwidth", "name": "n", "ingressRate": 0}),
            json!({"type": "tuning", "name": "n", "ingressRate": 8000}),
        ] {
            assert_eq!(told(passed), None);
        }
    }

    #[test]
    fn a_malformed_subnet_is_refused_before_anything_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let check = |subnet: &str| {
            let ipam = json!({"type": "host-local", "subnet": subnet, "dataDir": dir.path()});
            let config = json!({"type": "bond", "name": "n", "cniVersion": "1.0.0", "ipam": ipam});
            has_addresses(&NetConf::from_map(config.as_object().unwrap().clone()).unwrap())
        };
        assert_eq!(check("10.56.217.0/24"), Ok(()));
        let failure = check("10.56.217.0/33").unwrap_err();
        assert!(failure.msg.contains("10.56.217.0/33"), "{failure}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
