//! The meta-plugin: called by a runtime, it makes all networks of a pod in one process.
//!
//! Its configuration spells the networks out in `delegates`, as Multus' does where it asks no
//! cluster. It is called by the names of the executable and of what it stands in for.

use std::fmt::Display;
use std::path::PathBuf;

use podbond_api::{ObjectKey, ResourceName};
use podbond_attach::{
    Attacher, Attachment, AttachmentId, Chain, Checked, Device, Devices, Sandbox,
};
use podbond_cni::{CniResult, Code, Delegates, Failure, NodeRequest, Plugin, PodRef, Request};
use podbond_names::PciAddress;
use podbond_record::{Record, Records, State, Unreadable};
use serde_json::Value;

/// By which names a runtime may call it.
pub(crate) const NAMES: [&str; 3] = ["podbond", "multus", "multus-shim"];

/// The meta-plugin.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    records: Records,
}

impl Plugin for Meta {
    fn name(&self) -> &'static str {
        "podbond"
    }

    /// Answers with the result of the first network, which is the pod's own.
    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        let pod = pod(request)?;
        let networks = networks(&request.config.raw)?;
        let chain = Chain::delegated(&pod.key(), networks, &request.ifname)?.pass_on(request)?;
        let netns = request.netns.clone().ok_or_else(|| {
            Failure::new(Code::INVALID_ENVIRONMENT, "CNI_NETNS is missing from the environment")
        })?;
        let sandbox = Sandbox { pod, container_id: request.container_id.clone(), netns };
        let added = self.attacher(delegates, &request.path).add(&sandbox, &chain)?;
        Ok(added.first.unwrap_or_default())
    }

    /// From the records, since a configuration may have changed since ADD; from the configuration where
    /// they are damaged, or where there are none.
    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let errors = self
            .attacher(delegates, &request.path)
            .delete(&request.container_id, || as_today(request));
        all(errors.into_iter().map(Failure::from))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let (records, unreadable) = self
            .records
            .of_container(&request.container_id)
            .map_err(|e| Failure::new(Code::IO, e))?;
        let attacher = self.attacher(delegates, &request.path);
        let active = records.iter().filter(|record| record.state != State::IpamPending);
        let checked = active.flat_map(|record| attacher.check(record));
        let differ: Vec<Failure> = checked.filter_map(|(_, checked)| failure_of(checked)).collect();
        // What cannot be read may be of any of them.
        let lost = if unreadable.is_empty() { unrecorded(request, &records) } else { Vec::new() };
        all(unreadable.iter().map(cannot_be_read).chain(lost).chain(differ))
    }

    /// "If a plugin relies on a delegated plugin (e.g. IPAM) to service ADD requests, it must also
    /// execute a STATUS request to that plugin" (section "STATUS").
    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let pod = ObjectKey::new("default", "any").map_err(|e| Failure::new(Code::DEFECT, e))?;
        let networks = networks(&request.config.raw)?;
        let eth0 = "eth0".parse().map_err(|error| Failure::new(Code::DEFECT, error))?;
        let chain = Chain::delegated(&pod, networks, &eth0)?;
        let unready = self.attacher(delegates, &request.path).unready(&chain);
        podbond_ipam::readiness(unready, request, delegates)
    }

    /// The runtime knows of one attachment of each pod, and not of those that this made beside it:
    /// only what outlived its namespace is undone.
    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let (records, _) = self.records.all().map_err(|error| Failure::new(Code::IO, error))?;
        let attacher = self.attacher(delegates, &request.path);
        // What was made last goes first.
        let errors = records.iter().rev().flat_map(|record| attacher.end_orphan(record));
        all(errors.map(Failure::from))
    }
}

impl Meta {
    fn attacher<'a>(&'a self, delegates: &'a Delegates<'a>, path: &'a [PathBuf]) -> Attacher<'a> {
        Attacher { delegates, devices: &Chosen, records: &self.records, path }
    }
}

/// Returns what differs or could not be found out.
fn failure_of(checked: Checked) -> Option<Failure> {
    match checked {
        Checked::Same | Checked::NotChecked(_) => None,
        Checked::Differs(failure) | Checked::Failed(failure) => Some(failure),
    }
}

fn cannot_be_read(file: &Unreadable) -> Failure {
    let msg = format!("record {} {}: make the pod anew", file.path.display(), file.problem);
    Failure::new(Code::DECODE, msg)
}

/// The pod and its networks as ADD would make them now, if it could.
fn as_today(request: &Request) -> Option<(Sandbox, Chain)> {
    let pod = pod(request).ok()?;
    let networks = networks(&request.config.raw).ok()?;
    let chain =
        Chain::delegated(&pod.key(), networks, &request.ifname).ok()?.pass_on(request).ok()?;
    let (container_id, netns) = (request.container_id.clone(), request.netns.clone());
    Some((Sandbox { pod, container_id, netns: netns.unwrap_or_default() }, chain))
}

/// Of which networks of its configuration the pod has no records: they were not made, or somebody else
/// made them, or the records are lost. Where the configuration spells none out any more, one record is
/// enough.
fn unrecorded(request: &Request, records: &[Record]) -> Vec<Failure> {
    let nothing = |of: &dyn Display| {
        let msg = format!(
            "{of}: nothing is recorded of it, so that nothing can be compared: make the pod anew"
        );
        Failure::new(Code::DIFFERS, msg)
    };
    let Some((sandbox, chain)) = as_today(request) else {
        let container = format_args!("container {}", request.container_id);
        return if records.is_empty() { vec![nothing(&container)] } else { Vec::new() };
    };
    let is_lost =
        |attachment: &&Attachment| !records.iter().any(|record| record.ifname == attachment.ifname);
    let lost = chain.attachments.iter().filter(is_lost);
    lost.map(|attachment| {
        nothing(&AttachmentId {
            pod: Some(sandbox.pod.clone()),
            container_id: sandbox.container_id.clone(),
            ifname: attachment.ifname.clone(),
            network: attachment.name(),
        })
    })
    .collect()
}

/// Every device is named by the configuration of its network, and kept by the plugin that gets it.
struct Chosen;

impl Devices for Chosen {
    fn choose(&self, resource: &ResourceName) -> Result<Device, Failure> {
        let msg =
            format!("resource {resource}: who calls podbond chooses the device: set deviceID");
        Err(Failure::new(Code::INVALID_CONFIG, msg))
    }

    fn choose_this(&self, address: PciAddress) -> Result<Device, Failure> {
        Ok(Device { address, lock: None })
    }
}

/// The networks that a configuration spells out.
fn networks(raw: &serde_json::Map<String, Value>) -> Result<&[Value], Failure> {
    match raw.get("delegates").and_then(Value::as_array) {
        Some(networks) if !networks.is_empty() => Ok(networks),
        _ => {
            let msg = "field delegates is missing: list the configurations of the pod's networks, \
                       its own network first";
            Err(Failure::new(Code::INVALID_CONFIG, msg))
        }
    }
}

/// Returns the pod, as a runtime of Kubernetes names it.
fn pod(request: &Request) -> Result<PodRef, Failure> {
    request.pod().ok_or_else(|| {
        let msg = "CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are missing or malformed: they name \
                   the pod";
        Failure::new(Code::INVALID_ENVIRONMENT, msg)
    })
}

/// Success without failures; else the first, with the others as its details.
fn all(failures: impl IntoIterator<Item = Failure>) -> Result<(), Failure> {
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(()) };
    let details = Some(first.details.clone()).filter(|details| !details.is_empty());
    let details: Vec<String> =
        details.into_iter().chain(failures.map(|failure| failure.to_string())).collect();
    Err(first.with_details(details.join("; ")))
}

#[cfg(test)]
mod tests;
