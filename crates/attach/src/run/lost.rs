//! Attachments whose records are damaged: what they said is worked out anew.

use crate::{Attachment, Chain, Error, NetnsRef, Record};

use super::{Attacher, Sandbox};

impl Attacher<'_> {
    /// Takes a sandbox's attachments away as [`Attacher::delete`] does. A record that cannot be
    /// understood is made up for by the pod's chain as it would be today: its plugins are called with
    /// the NADs of today, and know from their own records what there is to put back.
    ///
    /// Which device such an attachment held is not known: to give it back is the caller's.
    pub fn delete_as(&self, sandbox: &Sandbox, chain: &Chain) -> Vec<Error> {
        let (mut records, errors) = self.records().of(&sandbox.container_id);
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
    let attachment = &chain.attachments[position];
    let configs = attachment.configs(None);
    Some(Record {
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
        so_far: None,
        result: None,
    })
}
