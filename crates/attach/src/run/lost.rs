//! Attachments whose records are damaged: what they said is worked out anew.

use podbond_cni::ContainerId;

use crate::{Attachment, Chain, Error, NetnsRef, Record};

use super::{Attacher, Sandbox};

impl Attacher<'_> {
    /// Takes a sandbox's attachments away as [`Attacher::delete`] does. A record that cannot be
    /// understood is made up for by the pod's chain as it would be today: its plugins are called with
    /// the NADs of today, and know from their own records what there is to put back.
    ///
    /// Which device such an attachment held is not known: to give it back is the caller's.
    pub fn delete_as(&self, sandbox: &Sandbox, chain: &Chain) -> Vec<Error> {
        let (records, errors) = self.records().of(&sandbox.container_id);
        self.detach_as(sandbox, chain, records, errors)
    }

    /// The same for a container, with a chain that is asked for only where a record is damaged, or there
    /// is none at all. Then the records are lost, or somebody else has made the attachments: all of the
    /// chain is taken away, as far as its plugins know of it.
    pub fn delete_or_as(
        &self,
        container_id: &ContainerId,
        today: impl FnOnce() -> Option<(Sandbox, Chain)>,
    ) -> Vec<Error> {
        let (mut records, errors) = self.records().of(container_id);
        let is_known = errors.is_empty() && !records.is_empty();
        let today = if is_known { None } else { today() };
        let Some((sandbox, chain)) = today else {
            return self.detach_all(container_id, &records, errors);
        };
        if records.is_empty() && errors.is_empty() {
            let all = chain.attachments.iter().enumerate();
            records = all.map(|(position, it)| as_today(&sandbox, it, position)).collect();
        }
        self.detach_as(&sandbox, &chain, records, errors)
    }

    fn detach_as(
        &self,
        sandbox: &Sandbox,
        chain: &Chain,
        mut records: Vec<Record>,
        errors: Vec<Error>,
    ) -> Vec<Error> {
        let mut left = Vec::new();
        for error in errors {
            match anew(sandbox, chain, &error) {
                Some(record) => records.push(record),
                None => left.push(error),
            }
        }
        records.sort_by_key(|record| record.position);
        self.detach_all(&sandbox.container_id, &records, left)
    }
}

/// The record that an error is about, as ADD would write it now; none where the error is about
/// something else, or the chain has no such attachment.
fn anew(sandbox: &Sandbox, chain: &Chain, error: &Error) -> Option<Record> {
    let (Error::Record { path, .. } | Error::State(podbond_state::Error::TooLarge { path, .. })) =
        error
    else {
        return None;
    };
    let ifname = path.file_stem()?;
    let is_its = |attachment: &Attachment| ifname == attachment.ifname.as_str();
    let position = chain.attachments.iter().position(is_its)?;
    Some(as_today(sandbox, &chain.attachments[position], position))
}

/// The record of an attachment, as ADD would write it now.
fn as_today(sandbox: &Sandbox, attachment: &Attachment, position: usize) -> Record {
    let configs = attachment.configs(None);
    Record {
        container_id: sandbox.container_id.clone(),
        ifname: attachment.ifname.clone(),
        pod: sandbox.pod.clone(),
        uid: sandbox.uid.clone(),
        netns: NetnsRef::of(&sandbox.netns).unwrap_or_else(|_| NetnsRef::gone(&sandbox.netns)),
        position,
        nad: attachment.nad.clone(),
        network: attachment.network.clone(),
        device: None,
        called: configs.len(),
        configs,
        args: attachment.args.clone(),
        so_far: None,
        result: None,
    }
}
