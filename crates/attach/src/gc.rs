//! GC of a node's pods by the meta-plugin: of its own attachments by their records, then of each network by its
//! plugins, with what is valid of that network.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use podbond_cni::{Attachment, ContainerId, Failure, NetConf, NodeRequest, Version, set_field};
use podbond_kernel::NetnsState;
use podbond_record::{Record, State, Unreadable};
use serde_json::{Value, json};

use crate::attacher::Attacher;
use crate::chain::{Chain, GcCalls};

/// The key of the valid attachments in a GC's configuration.
const VALID: &str = "cni.dev/valid-attachments";

/// A network to whose plugins GC is passed on.
#[derive(Default)]
struct Network {
    /// Its plugins, each once. More than one list of them where networks of one name differ.
    plugins: Vec<NetConf>,
    /// What of it is valid.
    valid: BTreeSet<Attachment>,
}

impl Attacher<'_> {
    /// GC of the meta-plugin: deletes the attachments of the pods that its network no longer has, and those
    /// whose namespace is gone, then passes GC on to the plugins of `chain`, the networks of its
    /// configuration. Goes on past errors, which it returns.
    ///
    /// "Plugins MUST, additionally, forward any GC calls to delegated plugins they are configured to use"
    /// (section "GC"). The list of the request has one attachment of each pod, that of the first network: of
    /// the others those of the same containers are valid. So is whatever is recorded of pods that are not the
    /// runtime's, since it does not know them, and what cannot be read.
    pub fn gc(&self, request: &NodeRequest, chain: &Chain) -> Vec<Failure> {
        let mut failures = Vec::new();
        let runtime = Runtime::of(request);
        let (mut records, _) = match self.records.all() {
            Ok(all) => all,
            // What is valid is not known.
            Err(error) => return vec![error.into()],
        };
        records.sort_by_key(|record| Reverse((record.container_id.clone(), position(record))));
        for record in &records {
            let errors = if runtime.has_given_up(record) {
                self.end_stale(record)
            } else {
                self.end_orphan(record)
            };
            failures.extend(errors.into_iter().map(Failure::from));
        }
        let (records, unreadable) = match self.records.all() {
            Ok(all) => all,
            Err(error) => {
                failures.push(error.into());
                return failures;
            }
        };
        for network in networks(&runtime, chain, &records, &unreadable) {
            failures.extend(self.pass_gc_on(&network));
        }
        failures
    }

    /// GC of a network's plugins; not of one whose version has no GC.
    fn pass_gc_on(&self, network: &Network) -> Vec<Failure> {
        let valid = network.valid.iter().map(
            |it| json!({"containerID": it.container_id.as_str(), "ifname": it.ifname.as_str()}),
        );
        let list = Value::Array(valid.collect());
        let mut failures = Vec::new();
        for config in network.plugins.iter().filter(|it| it.version >= Version::V1_1_0) {
            let mut config = config.clone();
            set_field(&mut config.raw, VALID, Some(list.clone()));
            let request = NodeRequest {
                path: self.path.to_vec(),
                config,
                valid_attachments: network.valid.clone(),
            };
            failures.extend(self.delegates.gc(&request).err());
        }
        failures
    }
}

/// What the runtime that calls the meta-plugin knows.
struct Runtime<'r> {
    /// The network of its configuration.
    network: &'r str,
    /// The attachments of the first network that are valid.
    valid: &'r BTreeSet<Attachment>,
    containers: BTreeSet<&'r ContainerId>,
}

impl<'r> Runtime<'r> {
    fn of(request: &'r NodeRequest) -> Self {
        let valid = &request.valid_attachments;
        let containers = valid.iter().map(|attachment| &attachment.container_id).collect();
        Self { network: &request.config.name, valid, containers }
    }

    /// Returns whether an attachment was made for the runtime's network.
    fn has_made(&self, record: &Record) -> bool {
        let chain = record.chain.as_ref();
        chain.and_then(|chain| chain.meta_network.as_deref()) == Some(self.network)
    }

    /// Returns whether an attachment was made for the runtime's network, and is of no pod that it has.
    fn has_given_up(&self, record: &Record) -> bool {
        self.has_made(record) && !self.containers.contains(&record.container_id)
    }

    /// Returns whether an attachment may be in use: the runtime has its pod, or does not know it and it is
    /// not orphaned, or nobody can tell.
    fn is_valid(&self, record: &Record) -> bool {
        if record.state == State::IpamPending {
            return false;
        }
        let is_unknown = record.netns_state() == NetnsState::Unknown;
        if self.has_given_up(record) { is_unknown } else { !record.is_orphan() }
    }
}

/// Returns the networks of the configuration. Networks of one name are one: to their plugins, too.
///
/// Of networks that records alone name nothing is passed on: what is recorded of them is deleted by its record,
/// and a NAD may be named like a network of others, whose leases would go.
fn networks(
    runtime: &Runtime<'_>,
    chain: &Chain,
    records: &[Record],
    unreadable: &[Unreadable],
) -> Vec<Network> {
    let mut networks: BTreeMap<&str, Network> = BTreeMap::new();
    for (position, attachment) in chain.attachments.iter().enumerate() {
        let network = networks.entry(&attachment.network).or_default();
        if attachment.gc == GcCalls::Allowed {
            network.add_plugins(attachment.configs(None));
        }
        if position == 0 {
            network.valid.extend(runtime.valid.iter().cloned());
        } else {
            let ifname = &attachment.ifname;
            network.valid.extend(runtime.containers.iter().map(|container_id| Attachment {
                container_id: (*container_id).clone(),
                ifname: ifname.clone(),
            }));
        }
    }
    for record in records.iter().filter(|record| runtime.is_valid(record)) {
        if let Some(network) = networks.get_mut(record.network.as_str()) {
            network.valid.insert(record.attachment());
        }
    }
    // Of which network nobody knows.
    for attachment in unreadable.iter().filter_map(|file| file.attachment.as_ref()) {
        for network in networks.values_mut() {
            network.valid.insert(attachment.clone());
        }
    }
    networks.into_values().collect()
}

impl Network {
    /// Adds plugins, each without what is one attachment's own, so that each is asked once.
    fn add_plugins(&mut self, configs: Vec<NetConf>) {
        for mut config in configs {
            config.set_prev_result(None);
            for key in ["runtimeConfig", "args"] {
                set_field(&mut config.raw, key, None);
            }
            if !self.plugins.contains(&config) {
                self.plugins.push(config);
            }
        }
    }
}

fn position(record: &Record) -> usize {
    record.chain.as_ref().map_or(usize::MAX, |chain| chain.position)
}

#[cfg(test)]
mod tests;
