//! DEL of a pod's networks in reverse, from their records.

use podbond_cni::{Code, Command, ContainerId, Failure, NetConf, Version};
use podbond_kernel::{NetnsIdentity, NetnsState};
use podbond_record::{ChainPart, Record, State, Stored, Unreadable};

use crate::attacher::{Attacher, Sandbox, plugin_failed};
use crate::{Attachment, AttachmentId, Chain, Error};

/// Reference plugins whose work is in the pod's namespace alone and goes with it, and which fail
/// where that is gone: to call them again could never succeed.
const GONE_WITH_NETNS: [&str; 1] = ["sbr"];

impl Attacher<'_> {
    /// Undoes a sandbox's attachments in reverse, from their records. It goes on past errors and
    /// returns them all; no records, no errors. What failed keeps its record, so that deleting again
    /// tries again.
    ///
    /// A record that cannot be read is treated as missing. What is missing is made up for by the chain
    /// as ADD would make it today, which is asked for only then: its plugins are called with today's
    /// configuration, and know by what the kernel shows what there is to undo.
    pub fn delete(
        &self,
        container_id: &ContainerId,
        today: impl FnOnce() -> Option<(Sandbox, Chain)>,
    ) -> Vec<Error> {
        let (mut records, unreadable) = match self.records.of_container(container_id) {
            Ok(read) => read,
            Err(error) => return vec![error.into()],
        };
        let is_lost = records.is_empty();
        if (is_lost || !unreadable.is_empty())
            && let Some((sandbox, chain)) = today()
        {
            for (position, attachment) in chain.attachments.iter().enumerate() {
                if is_lost || is_one_of(attachment, &unreadable) {
                    records.push(as_today(&sandbox, attachment, position));
                }
            }
            records.sort_by_key(place);
        }
        records.iter().rev().flat_map(|record| self.end(record)).collect()
    }

    /// Undoes an attachment that nobody can use any more, made by a chain or by a plugin alone. One
    /// whose namespace may be alive is left unchanged. A lease that its IPAM plugin does not take back
    /// is an error here, and stays recorded.
    pub fn end_orphan(&self, record: &Record) -> Vec<Error> {
        if !record.is_orphan() {
            return Vec::new();
        }
        let mut errors = self.end(record);
        if let Ok(Stored::Whole(rest)) = self.records.read(&record.attachment())
            && let (Some(problem), true) = (&rest.ipam_problem, errors.is_empty())
        {
            errors.push(Error::LeasePending {
                attachment: Box::new(AttachmentId::from(&*rest)),
                problem: problem.clone(),
            });
        }
        errors
    }

    fn end(&self, record: &Record) -> Vec<Error> {
        if record.chain.is_some() { self.detach(record) } else { self.delete_by_plugin(record) }
    }

    /// DEL of an attachment that a runtime had made by one of our plugins alone.
    fn delete_by_plugin(&self, record: &Record) -> Vec<Error> {
        let Some(del) = record.del(self.path) else {
            return self
                .records
                .remove(&record.attachment())
                .err()
                .map(Error::from)
                .into_iter()
                .collect();
        };
        let plugin = del.config.plugin.clone();
        let deleted = match self.delegates.builtin(&plugin) {
            Some(own) => own.del(&del, self.delegates),
            None => self.delegates.del(&del),
        };
        let failed =
            |failure| plugin_failed(AttachmentId::from(record), &plugin, Command::Del, failure);
        deleted.err().map(failed).into_iter().collect()
    }

    /// DEL of the plugins that were called, in reverse, all of them whatever fails; last the record
    /// ends, and with it the device is free.
    pub(crate) fn detach(&self, record: &Record) -> Vec<Error> {
        let Some(chain) = &record.chain else { return Vec::new() };
        // `CNI_NETNS` is optional for DEL; a path that leads elsewhere by now must not be given.
        let netns = match record.netns_state() {
            NetnsState::Alive => record.netns.as_ref().map(|netns| netns.path.clone()),
            NetnsState::Gone | NetnsState::Another => None,
            NetnsState::Unknown => {
                return vec![Error::UnknownNetns { attachment: Box::new(record.into()) }];
            }
        };
        if record.state != State::Releasing {
            // For people: DEL does without it, as on a full disk.
            let _ = self.records.write(&Record { state: State::Releasing, ..record.clone() });
        }
        let mut errors = Vec::new();
        for config in chain.configs.iter().take(chain.called).rev() {
            if netns.is_none() && GONE_WITH_NETNS.contains(&config.plugin.as_str()) {
                continue;
            }
            // Older plugins are not given a result at DEL.
            let passes_result = config.version >= Version::V0_4_0;
            // Of a chain that failed, what there is: a plugin may find by it what to remove.
            let result = chain.result.as_ref().or(chain.so_far.as_ref());
            let previous = result.filter(|_| passes_result).cloned();
            let request = self.request(record, chain, netns.clone(), config.clone(), previous);
            if let Err(failure) = self.delegates.del(&request)
                && !self.is_nothing_left(netns.is_some(), config, &failure)
            {
                errors.push(plugin_failed(record.into(), &config.plugin, Command::Del, failure));
            }
        }
        if errors.is_empty() {
            errors.extend(self.records.end_chain(&record.attachment()).err().map(Error::from));
        }
        errors
    }

    /// Returns whether a plugin says that there is nothing to clean up: code 3, "container unknown or
    /// does not exist" (section "Error"). One of our own says so where it does not find the namespace,
    /// and what it made is still in one that is there.
    fn is_nothing_left(&self, has_netns: bool, config: &NetConf, failure: &Failure) -> bool {
        let is_own = self.delegates.builtin(&config.plugin).is_some();
        failure.code == Code::CONTAINER_UNKNOWN && !(is_own && has_netns)
    }
}

fn is_one_of(attachment: &Attachment, unreadable: &[Unreadable]) -> bool {
    let mut named = unreadable.iter().filter_map(|file| file.attachment.as_ref());
    named.any(|named| named.ifname == attachment.ifname)
}

fn place(record: &Record) -> usize {
    record.chain.as_ref().map_or(usize::MAX, |chain| chain.position)
}

/// Returns the record of an attachment as ADD would write it today.
fn as_today(sandbox: &Sandbox, attachment: &Attachment, position: usize) -> Record {
    let configs = attachment.configs(None);
    let chain = ChainPart {
        position,
        nad: attachment.nad.clone(),
        resource: None,
        device: None,
        called: configs.len(),
        configs,
        args: attachment.args.clone(),
        so_far: None,
        result: None,
    };
    Record::of_chain(
        sandbox.container_id.clone(),
        attachment.ifname.clone(),
        sandbox.pod.clone(),
        attachment.network.clone(),
        NetnsIdentity::of(&sandbox.netns).ok(),
        chain,
    )
}
