//! Makes, checks and removes the attachments of this node's pods.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use podbond_api::{
    DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, Nad, ObjectKey, ObjectName, Pod, ResourceName,
};
use podbond_attach::{
    Attacher, Chain, Checked, Device, Devices, NetworkStatus, Sandbox, Source,
    configuration_on_disk,
};
use podbond_cni::{Code, ContainerId, Failure, PodRef};
use podbond_kernel::NamedNetns;
use podbond_names::PciAddress;
use podbond_record::Record;

use super::applied::{AppliedPod, Store};
use super::this_node::Node;
use crate::error::Error;
use crate::output::note;

impl Node<'_> {
    /// Attaches a sandbox to its networks.
    pub(crate) fn attach(
        &self,
        sandbox: &Sandbox,
        chain: &Chain,
    ) -> Result<Vec<NetworkStatus>, Error> {
        let added = self.attacher().add(sandbox, chain);
        Ok(added.map_err(failed)?.statuses)
    }

    /// Deletes a sandbox's attachments by their records. In place of a record that cannot be read the
    /// pod's networks are deleted as ADD would make them today.
    pub(crate) fn detach(&self, container_id: &ContainerId) -> Vec<Error> {
        let errors = self.attacher().delete(container_id, || self.chain_of(container_id));
        errors.into_iter().map(failed).collect()
    }

    /// Returns the networks of the pod that a sandbox was made for, as ADD would make them today; none
    /// where they cannot be found out, or the sandbox is not the pod's last.
    fn chain_of(&self, container_id: &ContainerId) -> Option<(Sandbox, Chain)> {
        let mut pods = self.store.pods().ok()?.into_iter().filter_map(|(_, record)| record.ok());
        let record = pods.find(|pod| pod.container_id == *container_id)?;
        let annotations = [
            (NETWORKS_ANNOTATION, record.networks),
            (DEFAULT_NETWORK_ANNOTATION, record.default_network),
        ];
        let annotations =
            annotations.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?)));
        let pod = Pod { key: record.pod.clone(), uid: None, annotations: annotations.collect() };
        let default_network = podbond_attach::default_network(&self.conf_dir).ok()?;
        let source = Nads { new: &[], store: &self.store, conf_dir: &self.conf_dir };
        let chain = Chain::resolve(&pod, &source, default_network.as_ref()).ok()?;
        let netns = NamedNetns::find(&AppliedPod::netns_name(&record.pod)).ok()?;
        let netns = netns.map_or_else(PathBuf::new, |netns| netns.path().to_owned());
        let pod = PodRef { namespace: record.pod.namespace, name: record.pod.name, uid: None };
        let container_id = container_id.clone();
        Some((Sandbox { pod, container_id, netns, meta_network: None }, chain))
    }

    /// Returns the sandboxes that `podbond apply` made for a pod, as far as they are recorded.
    pub(crate) fn sandboxes_of(&self, pod: &ObjectKey) -> Result<BTreeSet<ContainerId>, Error> {
        let (records, unreadable) = self.records.all()?;
        let mut sandboxes = BTreeSet::new();
        for record in records {
            if AppliedPod::is_of(pod, &record)? {
                sandboxes.insert(record.container_id);
            }
        }
        match self.store.pod(pod) {
            Ok(applied) => sandboxes.extend(applied.map(|applied| applied.container_id)),
            // A record that cannot be read is treated as missing.
            Err(error @ Error::Record { .. }) => note(error),
            Err(error) => return Err(error),
        }
        unreadable.into_iter().map(Error::from).for_each(note);
        Ok(sandboxes)
    }

    /// Deletes an attachment whose network namespace is gone, or of which only a lease is left.
    pub(crate) fn end_orphan(&self, record: &Record) -> Vec<Error> {
        let errors = self.attacher().end_orphan(record);
        errors.into_iter().map(failed).collect()
    }

    /// Returns each plugin of an attachment with the outcome of its CHECK.
    pub(crate) fn check(&self, record: &Record) -> Vec<(String, Checked)> {
        self.attacher().check(record)
    }

    fn attacher(&self) -> Attacher<'_> {
        Attacher {
            delegates: self.delegates,
            devices: self,
            records: &self.records,
            path: &self.plugin_path,
            device_info: &self.device_info,
        }
    }
}

fn failed(error: podbond_attach::Error) -> Error {
    Error::Failed(error.into())
}

/// The NADs of this node: those about to be applied take precedence over those that were.
pub(crate) struct Nads<'n> {
    pub(crate) new: &'n [Nad],
    pub(crate) store: &'n Store,
    /// The directory of the node's CNI configuration.
    pub(crate) conf_dir: &'n Path,
}

impl Source for Nads<'_> {
    fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Failure> {
        match self.new.iter().find(|nad| nad.key == *key) {
            Some(nad) => Ok(Some(nad.clone())),
            None => self.store.nad(key).map_err(|error| Failure::new(Code::IO, error)),
        }
    }

    fn configuration(&self, name: &ObjectName) -> Result<Option<String>, Failure> {
        Ok(configuration_on_disk(self.conf_dir, name.as_str())?)
    }
}

/// Chooses devices from this node's cards by its policies.
impl Devices for Node<'_> {
    fn choose(&self, resource: &ResourceName) -> Result<Device, Failure> {
        let chosen = self.holdings.choose(&self.sysfs, resource);
        let (address, lock) = chosen.map_err(device_failure)?;
        Ok(Device { address, lock: Some(lock) })
    }

    fn choose_this(&self, address: PciAddress) -> Result<Device, Failure> {
        let lock = self.holdings.choose_this(&self.sysfs, address).map_err(device_failure)?;
        Ok(Device { address, lock: Some(lock) })
    }
}

/// Returns the failure of a plugin's or a person's request for a VF.
pub(crate) fn device_failure(error: podbond_inventory::Error) -> Failure {
    use podbond_inventory::Error as E;
    let code = match error {
        E::NoFreeVf { .. } | E::NoVfs { .. } => Code::EXHAUSTED,
        E::Held { .. } | E::InUse { .. } => Code::CONFLICT,
        E::Kernel(_) => Code::KERNEL,
        E::State(podbond_state::Error::Locked { .. }) => Code::TRY_AGAIN,
        E::State(_) | E::Record(_) | E::Unreadable { .. } => Code::IO,
        _ => Code::INVALID_CONFIG,
    };
    Failure::new(code, error)
}
