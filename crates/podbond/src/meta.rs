//! The meta-plugin: called by a runtime, it attaches a pod to all its networks in one process.
//!
//! Its configuration lists the networks in `delegates`, as Multus' does where it asks no cluster. It is
//! called by its own name and by those of Multus.

use std::fmt::Display;
use std::path::PathBuf;

use podbond_api::ResourceName;
use podbond_attach::{Attacher, Chain, Checked, Device, DeviceInfoFiles, Devices, Sandbox};
use podbond_cni::{CniResult, Code, Delegates, Failure, NodeRequest, Plugin, Request};
use podbond_names::PciAddress;
use podbond_record::{Record, Records, State, Unreadable};
use serde_json::Value;

/// The meta-plugin.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    records: Records,
    device_info: DeviceInfoFiles,
}

impl Plugin for Meta {
    fn name(&self) -> &'static str {
        "podbond"
    }

    /// Returns the result of the first network, which is the pod's default network.
    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        let (sandbox, chain) = asked(request)?;
        let added = self.attacher(delegates, &request.path).add(&sandbox, &chain)?;
        Ok(added.first.unwrap_or_default())
    }

    /// Deletes by the records, since a configuration may have changed since ADD; by the configuration
    /// where they cannot be read, or there are none.
    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let errors = self
            .attacher(delegates, &request.path)
            .delete(&request.container_id, || asked(request).ok());
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
        let chain = configured(&request.config.raw)?;
        let unready = self.attacher(delegates, &request.path).unready(&chain);
        podbond_ipam::readiness(unready, request, delegates)
    }

    /// Deletes by the records what is of no valid pod, and passes GC on to the networks' plugins, each with
    /// what is valid of its network.
    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let chain = configured(&request.config.raw);
        let networks = chain.as_ref().cloned().unwrap_or_default();
        let failures = self.attacher(delegates, &request.path).gc(request, &networks);
        all(chain.err().into_iter().chain(failures))
    }
}

impl Meta {
    fn attacher<'a>(&'a self, delegates: &'a Delegates<'a>, path: &'a [PathBuf]) -> Attacher<'a> {
        Attacher {
            delegates,
            devices: &Chosen,
            records: &self.records,
            path,
            device_info: &self.device_info,
        }
    }
}

/// Returns the failure of a CHECK, if it has one.
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

/// Returns the sandbox and the networks that a request asks for.
fn asked(request: &Request) -> Result<(Sandbox, Chain), Failure> {
    let pod = request.pod().ok_or_else(|| {
        let msg = "CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are missing or malformed: they name \
                   the pod";
        Failure::new(Code::INVALID_ENVIRONMENT, msg)
    })?;
    let networks = networks(&request.config.raw)?;
    let chain = Chain::delegated(networks, &request.ifname)?.pass_on(request)?;
    let netns = request.netns.clone().unwrap_or_default();
    let (container_id, network) = (request.container_id.clone(), request.config.name.clone());
    Ok((Sandbox { pod, container_id, netns, meta_network: Some(network) }, chain))
}

/// Returns a failure for each network of the configuration of which the pod has no record: it was never
/// attached, or its record is lost. Without networks in the configuration one record is enough.
fn unrecorded(request: &Request, records: &[Record]) -> Vec<Failure> {
    let Ok((sandbox, chain)) = asked(request) else {
        let container = format_args!("container {}", request.container_id);
        return if records.is_empty() { vec![not_recorded(container)] } else { Vec::new() };
    };
    let mut failures = Vec::new();
    for attachment in chain.attachments {
        if !records.iter().any(|record| record.ifname == attachment.ifname) {
            failures.push(not_recorded(sandbox.attachment_id(&attachment)));
        }
    }
    failures
}

fn not_recorded(what: impl Display) -> Failure {
    let msg = format!(
        "{what}: nothing is recorded of it, so that nothing can be compared: make the pod anew"
    );
    Failure::new(Code::DIFFERS, msg)
}

/// The devices that the caller has chosen: the configuration of each network names its own.
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

/// Returns the networks of a configuration, for what concerns no single pod.
fn configured(raw: &serde_json::Map<String, Value>) -> Result<Chain, Failure> {
    let networks = networks(raw)?;
    let eth0 = "eth0".parse().map_err(|error| Failure::new(Code::DEFECT, error))?;
    Ok(Chain::delegated(networks, &eth0)?)
}

/// Returns the networks that a configuration lists.
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

/// Returns success without failures; else the first, with the others as its details.
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
