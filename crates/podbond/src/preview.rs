//! What `apply` would do, found out without doing it: each plugin's own plan over a view of the
//! node, each laid over the view before the next is made. What a plugin would refuse it refuses
//! here, before anything is changed.

use std::collections::BTreeMap;

use podbond_api::{ObjectKey, Pod};
use podbond_attach::{Attachment, Chain, DeviceRequest};
use podbond_cni::{Args, Failure, NetConf};
use podbond_inventory::{Applied, Inventory};
use podbond_kernel::{Kernel, Link, LinkState, Netns, Step, View};
use podbond_names::{LinkName, PciAddress};
use serde::Serialize;

use crate::commands::is_running;
use crate::error::Error;
use crate::node::{Node, device_failure};
use crate::pools::Pools;
use crate::wanted::Wanted;

/// All that `apply` would do.
pub(crate) struct Preview {
    /// What the policies come to.
    pub(crate) policies: Applied,
    pub(crate) pods: Vec<PodPreview>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

/// Finds out what `apply` would do.
pub(crate) fn preview(
    node: &Node<'_>,
    kernel: &mut Kernel,
    wanted: &Wanted,
    labels: Option<&BTreeMap<String, String>>,
    pods: &[(&Pod, Chain)],
) -> Result<Preview, Error> {
    let policies = node.ledger.policies().plan(kernel, &wanted.policies, labels)?;
    let inventory = Inventory::read(kernel.sysfs())?;
    let holders = node.ledger.holders(&inventory)?;
    let mut pools = Pools::new(&policies.assignment, &inventory, holders, kernel.sysfs())?;
    let mut view = View { host: kernel.links(Netns::Host)?, ..View::default() };
    let mut previews = Vec::new();
    for (pod, chain) in pods {
        let unchanged = is_running(node, pod)?;
        let mut attachments = Vec::new();
        if !unchanged {
            // Each pod begins with nothing but its loopback.
            view.pod.clear();
            for attachment in &chain.attachments {
                let preview = attach(kernel, &mut view, &mut pools, attachment);
                attachments.push(preview.map_err(|error| named(error, pod, attachment))?);
            }
        }
        previews.push(PodPreview { pod: pod.key.clone(), unchanged, attachments });
    }
    Ok(Preview { policies, pods: previews })
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
    attachment: &Attachment,
) -> Result<AttachmentPreview, Error> {
    let refused = |error| Error::Refused(device_failure(error));
    let device = match &attachment.device {
        DeviceRequest::None => None,
        DeviceRequest::This(pci) => Some(pools.claim(*pci).map_err(refused)?),
        DeviceRequest::OneOf(resource) => Some(pools.take(resource, view).map_err(refused)?),
    };
    if let Some(pci) = device
        && view.vf(pci).is_none()
    {
        view.vfs.extend(kernel.vf(pci)?);
    }
    let configs = attachment.configs(device);
    let mut calls = Vec::new();
    for (position, config) in configs.iter().enumerate() {
        let call = call(config, &attachment.ifname, view).map_err(Error::Refused)?;
        match &call.steps {
            Some(steps) => view.apply(steps),
            // The first plugin of a network makes the interface; what it is like is not known.
            None if position == 0 => view.pod.push(unknown_link(&attachment.ifname)),
            None => {}
        }
        calls.push(call);
    }
    let (interface, network) = (attachment.ifname.clone(), attachment.name());
    Ok(AttachmentPreview { interface, network, device, calls })
}

fn call(config: &NetConf, ifname: &LinkName, view: &View) -> Result<Call, Failure> {
    let network = &config.name;
    let (steps, warnings) = match config.plugin.as_str() {
        "bond" => {
            let plan = podbond_bond::Config::parse(config)
                .and_then(|bond| podbond_bond::plan(&bond, ifname, view))
                .map_err(|error| error.into_failure(network))?;
            (Some(plan.steps), plan.warnings.iter().map(ToString::to_string).collect())
        }
        "sriov" => {
            let steps = podbond_sriov::Config::parse(config, &Args::default())
                .and_then(|sriov| podbond_sriov::plan(&sriov, ifname, view))
                .map_err(|error| error.into_failure(network))?;
            (Some(steps), Vec::new())
        }
        _ => (None, Vec::new()),
    };
    Ok(Call { plugin: config.plugin.clone(), steps, ipam: config.ipam.clone(), warnings })
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
        bond: None,
        port: None,
    }
}
