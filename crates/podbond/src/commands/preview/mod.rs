//! What `apply` would do, without doing it: the plan of each plugin over a view of the node, applied to
//! the view before the next plan is made. What a plugin would refuse is refused here, before anything
//! is changed.

mod planned_vfs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use podbond_api::{Nad, ObjectKey, Pod};
use podbond_attach::{Attachment, Chain, Undeclared, unread_annotations};
use podbond_bond::{
    Finding, Object, OtherBond, kind, refuse_host_links, surroundings, with_own_link_names,
};
use podbond_cni::{Args, Code, Delegates, Failure, Lookup, NetConf, NodeRequest, Plugin};
use podbond_host_local::HostLocal;
use podbond_inventory::{Applied, Inventory};
use podbond_kernel::{Kernel, Link, LinkState, Netns, Step, View};
use podbond_names::{LinkName, PciAddress};
use podbond_state::settings::PATH;
use serde::Serialize;

use self::planned_vfs::PlannedVfs;
use crate::error::Error;
use crate::manifests::Manifests;
use crate::node::{Nads, Node, device_failure};
use crate::output::note;

/// What becomes of an object that is as its manifest has it.
pub(crate) const UNCHANGED: &str = "unchanged";

/// All that `apply` would do.
pub(crate) struct Preview {
    /// The steps for the policies, and which of them are not for this node.
    pub(crate) policies: Applied,
    /// The NADs that would be created or changed.
    pub(crate) networks: Vec<NetworkPreview>,
    pub(crate) pods: Vec<PodPreview>,
}

/// A NAD that would be created or changed.
#[derive(Serialize)]
pub(crate) struct NetworkPreview {
    /// The object of the manifests that it comes from.
    pub(crate) object: String,
    /// What would become of it.
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
    /// Its VF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<PciAddress>,
    pub(crate) calls: Vec<Call>,
}

/// The call of one plugin.
#[derive(Serialize)]
pub(crate) struct Call {
    pub(crate) plugin: String,
    /// None for a plugin that is not podbond's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<Step>>,
    /// The IPAM plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipam: Option<String>,
    /// What it will not do although asked to, or will not survive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

/// Returns each pod with its networks in order, from the NADs of the manifests and those that were
/// applied. Prints what is ignored on standard error.
pub(crate) fn resolve_pods<'m>(
    node: &Node<'_>,
    manifests: &'m Manifests,
) -> Result<Vec<(&'m Pod, Chain)>, Error> {
    for ignored in &manifests.ignored {
        note(format_args!("{ignored} is of no kind that podbond reads: ignored"));
    }
    let default_network = podbond_attach::default_network(&node.conf_dir)
        .map_err(|error| Error::Refused(error.into()))?;
    if default_network.is_none() && !manifests.pods.is_empty() {
        let dir = node.conf_dir.display();
        note(format_args!("{dir} holds no default network: pods get no eth0"));
    }
    let undeclared = Undeclared::read(Path::new(PATH));
    let undeclared =
        undeclared.map_err(|error| Error::Refused(Failure::new(Code::INVALID_CONFIG, error)))?;
    let source = Nads { new: &manifests.nads, store: &node.store, conf_dir: &node.conf_dir };
    let mut pods = Vec::new();
    for pod in &manifests.pods {
        let chain = Chain::resolve(pod, &source, default_network.as_ref())
            .map_err(|error| Error::Refused(error.into()))?;
        undeclared.check(&pod.key, &chain).map_err(|error| Error::Refused(error.into()))?;
        for unread in unread_annotations(pod) {
            note(format_args!("pod {}: {unread}", pod.key));
        }
        for attachment in &chain.attachments {
            let at = format!("pod {}: {} ({})", pod.key, attachment.ifname, attachment.name());
            for passed_over in &attachment.passed_over {
                note(format_args!("{at}: {passed_over}"));
            }
        }
        pods.push((pod, chain));
    }
    Ok(pods)
}

/// Returns what `apply` would do. An error is one that `apply` has before it changes anything.
pub(crate) fn preview(
    node: &Node<'_>,
    kernel: &mut Kernel,
    manifests: &Manifests,
    labels: Option<&BTreeMap<String, String>>,
    pods: &[(&Pod, Chain)],
) -> Result<Preview, Error> {
    let policies = node.holdings.policies().plan(kernel, &manifests.policies, labels);
    let policies = policies.map_err(refused_device)?;
    let inventory = Inventory::read(kernel.sysfs())?;
    let holders = node.holdings.holders(&inventory)?;
    let mut view = View { host: kernel.links(Netns::Host)?, ..View::default() };
    let (steps, assignment) = (&policies.steps, policies.assignment.clone());
    let vfs = PlannedVfs::new(steps, assignment, inventory, holders, kernel.sysfs(), &mut view)?;
    let mut planner = Planner { node, kernel, view, vfs, bonds: Vec::new() };
    let mut previews = Vec::new();
    for (pod, chain) in pods {
        let unchanged = node.is_running(pod)?;
        let attachments = if unchanged { Vec::new() } else { planner.pod(&pod.key, chain)? };
        previews.push(PodPreview { pod: pod.key.clone(), unchanged, attachments });
    }
    let mut networks = Vec::new();
    for nad in &manifests.nads {
        let outcome = nad_outcome(node, nad)?;
        if outcome != UNCHANGED {
            networks.push(NetworkPreview { object: manifests.origin(nad), outcome });
        }
    }
    Ok(Preview { policies, networks, pods: previews })
}

/// Returns what becomes of a NAD when it is applied.
pub(crate) fn nad_outcome(node: &Node<'_>, nad: &Nad) -> Result<&'static str, Error> {
    Ok(match node.store.nad(&nad.key) {
        Err(Error::Record { .. }) => "created in the place of a damaged record",
        Err(error) => return Err(error),
        Ok(Some(applied)) if applied == *nad => UNCHANGED,
        Ok(Some(_)) => "changed, for pods that are made from now on",
        Ok(None) => "created",
    })
}

/// Returns which policies have no effect on this node, and why.
pub(crate) fn policy_notes(applied: &Applied) -> Vec<String> {
    let mut notes = Vec::new();
    for key in &applied.not_for_node {
        notes.push(format!(
            "SriovNetworkNodePolicy {key} is not for this node: its nodeSelector does not match"
        ));
    }
    for key in &applied.selector_not_looked_at {
        notes.push(format!(
            "SriovNetworkNodePolicy {key}: nodeSelector is ignored: give this node's labels with \
             --node-label"
        ));
    }
    for one in &applied.assignment.overridden {
        notes.push(format!(
            "SriovNetworkNodePolicy {} gives way to {} on PF {}, which has the lower priority number",
            one.policy, one.by, one.pf
        ));
    }
    notes
}

/// Plans attachments one after the other.
struct Planner<'a> {
    node: &'a Node<'a>,
    kernel: &'a mut Kernel,
    /// The node and the pod with all that is planned so far.
    view: View,
    vfs: PlannedVfs,
    /// The bonds that are planned so far.
    bonds: Vec<OtherBond>,
}

impl Planner<'_> {
    fn pod(&mut self, pod: &ObjectKey, chain: &Chain) -> Result<Vec<AttachmentPreview>, Error> {
        // A new pod has nothing but its loopback.
        self.view.pod.clear();
        let mut attachments = Vec::new();
        for attachment in &chain.attachments {
            let preview = self.attachment(pod, attachment);
            let at = format!("pod {pod}: {}", attachment.ifname);
            attachments.push(preview.map_err(|error| refused_at(error, &at))?);
        }
        Ok(attachments)
    }

    fn attachment(
        &mut self,
        pod: &ObjectKey,
        attachment: &Attachment,
    ) -> Result<AttachmentPreview, Error> {
        for config in attachment.configs(None) {
            let installed = self.node.delegates.check_installed(&config, &self.node.plugin_path);
            installed.map_err(Error::Refused)?;
        }
        let holder = format!("{} of pod {pod}", attachment.ifname);
        let device = self.vfs.choose(&attachment.device, holder.clone());
        let device = device.map_err(refused_device)?;
        if let Some(pci) = device
            && self.view.vf(pci).is_none()
        {
            self.view.vfs.extend(self.kernel.vf(pci)?);
        }
        let configs = attachment.configs(device);
        let is_ours = configs.iter().any(makes_link);
        let mut calls = Vec::new();
        for (position, config) in configs.iter().enumerate() {
            let mut call = self.call(config, &attachment.ifname, &holder)?;
            match &call.steps {
                Some(steps) => {
                    check_ranges(config).map_err(Error::Refused)?;
                    self.view.apply(steps);
                }
                None if is_ours => call.findings.extend(no_veth(config, &attachment.ifname)),
                // The first plugin of a network makes the interface.
                None if position == 0 => self.view.pod.push(unknown_link(&attachment.ifname)),
                None => {}
            }
            calls.push(call);
        }
        let (interface, network) = (attachment.ifname.clone(), attachment.name());
        Ok(AttachmentPreview { interface, network, device, calls })
    }

    fn call(&mut self, config: &NetConf, ifname: &LinkName, holder: &str) -> Result<Call, Error> {
        let network = &config.name;
        let (steps, findings) = match config.plugin.as_str() {
            "bond" => {
                let plan = self.bond(config, ifname, holder);
                let plan = plan.map_err(|error| refused_bond(error, network))?;
                (Some(plan.steps), plan.findings)
            }
            "sriov" => {
                let steps = podbond_sriov::Config::parse(config, &Args::default())
                    .and_then(|sriov| podbond_sriov::plan(&sriov, ifname, &self.view))
                    .map_err(|error| Error::Refused(error.into_failure(network)))?;
                (Some(steps), Vec::new())
            }
            _ => (None, Vec::new()),
        };
        let findings = findings.into_iter().chain(log_file(config)).collect();
        Ok(Call { plugin: config.plugin.clone(), steps, ipam: config.ipam.clone(), findings })
    }

    fn bond(
        &mut self,
        config: &NetConf,
        ifname: &LinkName,
        holder: &str,
    ) -> Result<podbond_bond::Plan, podbond_bond::Error> {
        let config = with_own_link_names(self.kernel, config)?;
        let wanted = podbond_bond::Config::parse(&config, &Args::default())?;
        refuse_host_links(self.kernel, &wanted, &self.vfs, None, &self.view.host)?;
        let mut around = surroundings(self.kernel, &wanted, &mut self.view, &self.node.records)?;
        around.bonds.extend(self.bonds.iter().cloned());
        let plan = podbond_bond::plan(&wanted, ifname, &self.view, &around)?;
        self.bonds.push(OtherBond::of(holder.to_owned(), &wanted, &self.view));
        Ok(plan)
    }
}

/// Returns a refusal with the pod and interface that it is about.
fn refused_at(error: Error, at: &str) -> Error {
    match error {
        Error::Refused(failure) => {
            Error::Refused(Failure { msg: format!("{at}: {}", failure.msg), ..failure })
        }
        Error::Several(all) => {
            Error::Several(all.into_iter().map(|error| refused_at(error, at)).collect())
        }
        other => other,
    }
}

/// Returns a refusal, unless the node itself could not be read.
fn refused_device(error: podbond_inventory::Error) -> Error {
    use podbond_inventory::Error as E;
    match error {
        E::Kernel(_) | E::State(_) | E::Record(_) | E::Unreadable { .. } => Error::Inventory(error),
        _ => Error::Refused(device_failure(error)),
    }
}

/// Returns a refusal for each error in a bond's configuration.
fn refused_bond(error: podbond_bond::Error, network: &str) -> Error {
    match error {
        podbond_bond::Error::Several(all) => {
            let all = all.into_iter().map(|error| error.into_failure(network));
            Error::Several(all.map(Error::Refused).collect())
        }
        error => Error::Refused(error.into_failure(network)),
    }
}

/// Returns whether the plugin is one of podbond's that makes the interface.
fn makes_link(config: &NetConf) -> bool {
    matches!(config.plugin.as_str(), "bond" | "sriov")
}

/// Returns a finding for the reference plugin `bandwidth` with rates behind a bond or VF, whose traffic
/// it cannot shape.
fn no_veth(config: &NetConf, ifname: &LinkName) -> Option<Finding> {
    let shapes = config.plugin == "bandwidth"
        && (has_rate(config, "ingressRate") || has_rate(config, "egressRate"));
    let reason = format!(
        "it will refuse its rates, since it shapes the node's end of a veth pair and {ifname} is none"
    );
    shapes.then(|| Finding::new(&kind::NO_VETH, Object::Key("bandwidth".to_owned()), reason))
}

/// Returns a finding for a log file that a network's author wants one of podbond's plugins to write.
fn log_file(config: &NetConf) -> Option<Finding> {
    let names_one = makes_link(config) && config.has_log_file();
    let reason = "it has no effect, since a network's author may not administer the node";
    let object = Object::Key("logFile".to_owned());
    names_one.then(|| Finding::new(&kind::LOG_FILE_IGNORED, object, reason))
}

/// Returns whether a rate is set by the runtime or, without it, by the network.
fn has_rate(config: &NetConf, key: &str) -> bool {
    let by_runtime = config.get("runtimeConfig").and_then(|runtime| runtime.get("bandwidth"));
    let rate = by_runtime.and_then(|rates| rates.get(key)).or_else(|| config.get(key));
    rate.and_then(serde_json::Value::as_u64).is_some_and(|rate| rate > 0)
}

/// Refuses a network whose ranges of host-local are malformed or used up. Other IPAM plugins are not
/// asked: their STATUS may do anything.
fn check_ranges(config: &NetConf) -> Result<(), Failure> {
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
        // `podbond plan` is not for root alone, and leases are.
        Err(failure) if failure.code == Code::IO => Ok(()),
        answer => answer,
    }
}

/// Returns a link that a foreign plugin would make: it fits whatever is built on it.
fn unknown_link(name: &LinkName) -> Link {
    let (state, carrier, mtu) = (LinkState::Up, true, u32::MAX);
    Link { state, carrier, mtu, ..Link::new(0, name.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(config: &serde_json::Value) -> NetConf {
        NetConf::from_map(config.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn each_error_of_a_bond_has_a_line_with_its_pod() {
        let bond = json!({"name": "n", "type": "bond", "mode": "802.3ad", "mtu": 10,
            "primary": "net1", "links": [{"name": "net1"}, {"name": "net2"}]});
        let error = podbond_bond::Config::parse(&config(&bond), &Args::default()).unwrap_err();
        let error = refused_at(refused_bond(error, "n"), "pod demo/p: net3");
        let lines = error.lines();
        assert_eq!((error.exit_status(), lines.len()), (3, 2), "{lines:?}");
        let start = "pod demo/p: net3: network n: mtu: 10 is no MTU";
        assert!(lines[0].starts_with(start), "{lines:?}");
    }

    #[test]
    fn log_file_of_a_network_is_a_finding() {
        let found = |plugin: &str, key: &str| {
            log_file(&config(&json!({"type": plugin, "name": "n", key: "/var/log/x"})))
        };
        let finding = found("sriov", "LogFile").unwrap().to_string();
        assert!(finding.starts_with("logFile: it has no effect"), "{finding}");
        assert!(found("bond", "logFile").is_some());
        assert_eq!((found("bridge", "logFile"), found("sriov", "logLevel")), (None, None));
    }

    #[test]
    fn rates_behind_a_bond_are_a_finding() {
        let found = |bandwidth| no_veth(&config(&bandwidth), &"net3".parse().unwrap());
        let rates = json!({"ingressRate": 8000, "ingressBurst": 8000});
        let runtime =
            json!({"type": "bandwidth", "name": "n", "runtimeConfig": {"bandwidth": rates}});
        for shaped in [json!({"type": "bandwidth", "name": "n", "egressRate": 8000}), runtime] {
            let finding = found(shaped).unwrap().to_string();
            assert!(finding.contains("net3 is none: give the VFs maxTxRate"), "{finding}");
        }
        for passed in [
            json!({"type": "bandwidth", "name": "n"}),
            json!({"type": "bandwidth", "name": "n", "ingressRate": 0}),
            json!({"type": "tuning", "name": "n", "ingressRate": 8000}),
        ] {
            assert_eq!(found(passed), None);
        }
    }

    #[test]
    fn malformed_subnet_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let check = |subnet: &str| {
            let ipam = json!({"type": "host-local", "subnet": subnet, "dataDir": dir.path()});
            check_ranges(&config(&json!({
                "type": "bond", "name": "n", "cniVersion": "1.0.0", "ipam": ipam,
            })))
        };
        assert_eq!(check("10.56.217.0/24"), Ok(()));
        let failure = check("10.56.217.0/33").unwrap_err();
        assert!(failure.msg.contains("10.56.217.0/33"), "{failure}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
