//! The meta-plugin: called by a runtime, it makes all networks of a pod in one process.
//!
//! Its configuration spells the networks out in `delegates`, as Multus' does where it asks no
//! cluster. It is called by the names of the executable and of what it stands in for.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use podbond_api::{ObjectKey, ResourceName};
use podbond_attach::{
    Attacher, Attachment, AttachmentId, Attachments, Chain, Checked, Devices, Holder, Record,
    Records, Sandbox,
};
use podbond_cni::{CniResult, Code, Delegates, Failure, NodeRequest, Plugin, Request};
use podbond_kernel::is_netns;
use podbond_names::PciAddress;
use serde_json::Value;

/// By which names a runtime may call it.
pub(crate) const NAMES: [&str; 3] = ["podbond", "multus", "multus-shim"];

/// The meta-plugin.
#[derive(Debug, Default)]
pub(crate) struct Meta;

impl Plugin for Meta {
    fn name(&self) -> &'static str {
        "podbond"
    }

    /// Answers with the result of the first network, which is the pod's own.
    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        let pod = pod(request)?;
        let networks = networks(&request.config.raw)?;
        let chain = Chain::delegated(&pod, networks, &request.ifname)?.pass_on(request)?;
        let netns = request.netns.clone().ok_or_else(|| {
            Failure::new(Code::InvalidEnvironment, "CNI_NETNS is missing from the environment")
        })?;
        let sandbox = sandbox(request, pod, netns);
        let added = with_attacher(request, delegates, |attacher| attacher.add(&sandbox, &chain))?;
        for warning in &added.warnings {
            delegates.warn(podbond_cni::Command::Add, request, "warning", warning);
        }
        Ok(added.first.unwrap_or_default())
    }

    /// From the records, since a configuration may have changed since ADD; from the configuration where
    /// they are damaged, or where there are none.
    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let errors = with_attacher(request, delegates, |attacher| {
            attacher.delete_or_as(&request.container_id, || as_today(request))
        });
        all(errors.into_iter().map(Failure::from))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let (records, unread) = records().of(&request.container_id);
        let checked = with_attacher(request, delegates, |attacher| {
            records.iter().flat_map(|record| attacher.check(record)).collect::<Vec<_>>()
        });
        let differ = checked.into_iter().filter_map(|(_, checked)| match checked {
            Checked::Same | Checked::NotChecked(_) => None,
            Checked::Differs(failure) | Checked::Failed(failure) => Some(failure),
        });
        // What cannot be read may be of any of them.
        let lost = if unread.is_empty() { unrecorded(request, &records) } else { Vec::new() };
        all(unread.into_iter().map(Failure::from).chain(lost).chain(differ))
    }

    /// "If a plugin relies on a delegated plugin (e.g. IPAM) to service ADD requests, it must also
    /// execute a STATUS request to that plugin" (section "STATUS").
    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let pod = ObjectKey::new("default", "any").map_err(|e| Failure::new(Code::DEFECT, e))?;
        let networks = networks(&request.config.raw)?;
        let eth0 = "eth0".parse().map_err(|error| Failure::new(Code::DEFECT, error))?;
        let chain = Chain::delegated(&pod, networks, &eth0)?;
        let unready = attacher(delegates, &request.path).unready(&chain);
        podbond_ipam::readiness(unready, request, delegates)
    }

    /// The runtime knows of one attachment of each pod, and not of those that this made beside it:
    /// only what outlived its namespace is taken away.
    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let Attachments { gone, unread, .. } = Attachments::of(&records());
        let attacher = attacher(delegates, &request.path);
        let left = gone.iter().flat_map(|record| attacher.take_away(record));
        all(unread.into_iter().chain(left).map(Failure::from))
    }
}

fn records() -> Records {
    Records::new(Path::new(podbond_state::DIR))
}

fn sandbox(request: &Request, pod: ObjectKey, netns: PathBuf) -> Sandbox {
    let uid = request.args.get("K8S_POD_UID").map(str::to_owned);
    Sandbox { pod, uid, container_id: request.container_id.clone(), netns }
}

/// The pod and its networks as ADD would make them now, if it could.
fn as_today(request: &Request) -> Option<(Sandbox, Chain)> {
    let pod = pod(request).ok()?;
    let networks = networks(&request.config.raw).ok()?;
    let chain = Chain::delegated(&pod, networks, &request.ifname).ok()?.pass_on(request).ok()?;
    Some((sandbox(request, pod, request.netns.clone().unwrap_or_default()), chain))
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
            pod: sandbox.pod.clone(),
            ifname: attachment.ifname.clone(),
            network: attachment.name(),
        })
    })
    .collect()
}

fn with_attacher<T>(
    request: &Request,
    delegates: &Delegates<'_>,
    work: impl FnOnce(&Attacher<'_>) -> T,
) -> T {
    work(&attacher(delegates, &request.path))
}

fn attacher<'a>(delegates: &'a Delegates<'a>, path: &'a [PathBuf]) -> Attacher<'a> {
    Attacher {
        delegates,
        devices: &Chosen,
        state: Path::new(podbond_state::DIR),
        path,
        is_netns: &is_netns,
    }
}

/// Every device is named by the configuration of its network, and kept by the plugin that gets it.
struct Chosen;

impl Devices for Chosen {
    fn allocate(&self, resource: &ResourceName, _: &Holder) -> Result<PciAddress, Failure> {
        let msg =
            format!("resource {resource}: who calls podbond chooses the device: set deviceID");
        Err(Failure::new(Code::InvalidConfig, msg))
    }

    fn claim(&self, _: PciAddress, _: &Holder) -> Result<(), Failure> {
        Ok(())
    }

    fn release(&self, _: PciAddress, _: &Holder) -> Result<(), Failure> {
        Ok(())
    }
}

/// The networks that a configuration spells out.
fn networks(raw: &serde_json::Map<String, Value>) -> Result<&[Value], Failure> {
    match raw.get("delegates").and_then(Value::as_array) {
        Some(networks) if !networks.is_empty() => Ok(networks),
        _ => {
            let msg = "field delegates is missing: list the configurations of the pod's networks, \
                       its own network first";
            Err(Failure::new(Code::InvalidConfig, msg))
        }
    }
}

/// The pod, as a runtime of Kubernetes names it.
fn pod(request: &Request) -> Result<ObjectKey, Failure> {
    let refused = |problem: String| Failure::new(Code::InvalidEnvironment, problem);
    let [namespace, name] = ["K8S_POD_NAMESPACE", "K8S_POD_NAME"].map(|key| {
        let value = request.args.get(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| refused(format!("CNI_ARGS: {key} is missing: it names the pod")))
    });
    ObjectKey::new(namespace?, name?).map_err(|error| refused(format!("CNI_ARGS: {error}")))
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
