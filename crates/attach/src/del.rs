//! DEL of a pod's networks in reverse, from their records; of orphaned attachments too.

use podbond_cni::{Code, Command, ContainerId, Failure, NetConf, Version};
use podbond_kernel::{NetnsIdentity, NetnsState};
use podbond_record::{Record, State, Stored, Unreadable};

use crate::attacher::{Attacher, Sandbox, plugin_failed};
use crate::chain::Chain;
use crate::error::{AttachmentId, Error};

/// Reference plugins that change the pod's namespace alone, and whose DEL fails where that is gone: to
/// call them again could never succeed.
const GONE_WITH_NETNS: [&str; 1] = ["sbr"];

impl Attacher<'_> {
    /// Undoes a sandbox's attachments in reverse, from their records. It goes on past errors and
    /// returns them all; no records, no errors. An attachment with an error keeps its record, so that
    /// deleting again tries again.
    ///
    /// A record that cannot be read is treated as missing. Where one is missing, `chain` returns the pod's
    /// chain by its present configuration, with which the plugins are called: they undo what the kernel
    /// shows. After a reboot those without a lease are missing.
    pub fn delete(
        &self,
        container_id: &ContainerId,
        chain: impl FnOnce() -> Option<(Sandbox, Chain)>,
    ) -> Vec<Error> {
        let (mut records, unreadable) = match self.records.of_container(container_id) {
            Ok(read) => read,
            Err(error) => return vec![error.into()],
        };
        // Those that are missing otherwise were never made, or are deleted already.
        let are_lost = records.is_empty() || records.iter().any(is_of_earlier_boot);
        if (are_lost || !unreadable.is_empty())
            && let Some((sandbox, chain)) = chain()
        {
            let mut missing = records_of_chain(&sandbox, &chain);
            missing.retain(|record| {
                are_lost && !records.iter().any(|known| known.ifname == record.ifname)
                    || is_unreadable(record, &unreadable)
            });
            records.extend(missing);
            records.sort_by_key(position);
        }
        let mut errors: Vec<Error> =
            records.iter().rev().flat_map(|record| self.end(record)).collect();
        if errors.is_empty() {
            // Of an ADD that was killed while it wrote its first record.
            errors.extend(
                self.records.remove_temporary_files_of(container_id).err().map(Error::from),
            );
        }
        errors
    }

    /// Undoes a sandbox's attachments that another meta-plugin has made, in reverse, by the chain that it has
    /// recorded. It goes on past errors and returns them all. Where it has called plugins of podbond, these go by
    /// their own records, which stay theirs.
    pub fn delete_of_another(&self, sandbox: &Sandbox, chain: &Chain) -> Vec<Error> {
        let mut errors = Vec::new();
        for record in records_of_chain(sandbox, chain).into_iter().rev() {
            let record = match self.records.read(&record.attachment()) {
                Ok(Stored::Whole(stored)) => Record { chain: record.chain, ..*stored },
                _ => record,
            };
            errors.extend(self.detach(&record));
        }
        errors
    }

    /// Undoes an orphaned attachment, of a chain or of a plugin alone. One whose namespace may be alive is
    /// left unchanged. A lease that its IPAM plugin does not take back is an error here, and stays
    /// recorded.
    pub fn end_orphan(&self, record: &Record) -> Vec<Error> {
        if record.is_orphan() { self.end_stale(record) } else { Vec::new() }
    }

    /// Undoes an attachment that nobody has a use for any more. A lease that its IPAM plugin does not take
    /// back is an error here, and stays recorded.
    pub(crate) fn end_stale(&self, record: &Record) -> Vec<Error> {
        let mut errors = self.end(record);
        if errors.is_empty()
            && let Ok(Stored::Whole(pending)) = self.records.read(&record.attachment())
            && let Some(problem) = &pending.ipam_problem
        {
            let attachment = Box::new(AttachmentId::from(&*pending));
            errors.push(Error::LeasePending { attachment, problem: problem.clone() });
        }
        errors
    }

    fn end(&self, record: &Record) -> Vec<Error> {
        if record.chain.is_some() {
            self.detach(record)
        } else {
            self.del_by_plugin(record).err().into_iter().collect()
        }
    }

    /// DEL of an attachment for which a runtime had called one of our plugins itself.
    fn del_by_plugin(&self, record: &Record) -> Result<(), Error> {
        let Some(request) = record.del(self.path) else {
            return Ok(self.records.remove(&record.attachment())?);
        };
        let plugin = &request.config.plugin;
        let deleted = match self.delegates.builtin(plugin) {
            Some(own) => own.del(&request, self.delegates),
            None => self.delegates.del(&request),
        };
        deleted.map_err(|failure| plugin_failed(record.into(), plugin, Command::Del, failure))
    }

    /// DEL of the plugins that were called, in reverse, going on past errors; without an error the record
    /// ends, and with it the device is free.
    pub(crate) fn detach(&self, record: &Record) -> Vec<Error> {
        let Some(chain) = &record.chain else { return Vec::new() };
        // `CNI_NETNS` is optional for DEL; a path to another namespace must not be given.
        let netns = match record.netns_state() {
            NetnsState::Alive => record.netns.as_ref().map(|netns| netns.path.clone()),
            NetnsState::Gone | NetnsState::Another => None,
            NetnsState::Unknown => {
                return vec![Error::UnknownNetns { attachment: Box::new(record.into()) }];
            }
        };
        // Not in the place of one that cannot be read: to its plugin this would say that nothing was made.
        let is_readable = matches!(self.records.read(&record.attachment()), Ok(Stored::Whole(_)));
        if is_readable && record.state != State::Releasing {
            // Only for people: DEL goes on without it, as on a full disk.
            let _ = self.records.write(&Record { state: State::Releasing, ..record.clone() });
        }
        let mut errors = Vec::new();
        for config in chain.configs.iter().take(chain.called).rev() {
            if netns.is_none() && GONE_WITH_NETNS.contains(&config.plugin.as_str()) {
                continue;
            }
            // Of a chain that failed the result so far: a plugin may read from it what to remove.
            let result = chain.result.as_ref().or(chain.so_far.as_ref());
            // `prevResult` is given to DEL from 0.4.0 on.
            let previous = result.filter(|_| config.version >= Version::V0_4_0).cloned();
            let request = self.request(record, chain, netns.clone(), config.clone(), previous);
            if let Err(failure) = self.delegates.del(&request)
                && !self.is_nothing_left(netns.is_some(), config, &failure)
            {
                errors.push(plugin_failed(record.into(), &config.plugin, Command::Del, failure));
            }
        }
        if errors.is_empty() {
            // "When CNI DELETE action is called, the NPWG Implementation must delete the CNI Plugin Device
            // Information File" (Device Information Specification 1.1.0, section 4.2.1).
            errors.extend(self.device_info.remove(record).err().map(Error::from));
            errors.extend(self.records.end_chain(&record.attachment()).err().map(Error::from));
        }
        errors
    }

    /// Returns whether a plugin's error says that there is nothing to clean up: code 3, "container unknown
    /// or does not exist" (section "Error"). One of our own gives it where it cannot enter the namespace:
    /// what it has changed in one that exists is still there.
    fn is_nothing_left(&self, has_netns: bool, config: &NetConf, failure: &Failure) -> bool {
        let is_own = self.delegates.builtin(&config.plugin).is_some();
        failure.code == Code::CONTAINER_UNKNOWN && !(is_own && has_netns)
    }
}

/// Returns the records of a chain as if all its plugins had been called.
fn records_of_chain(sandbox: &Sandbox, chain: &Chain) -> Vec<Record> {
    let netns = NetnsIdentity::of(&sandbox.netns).ok();
    let mut records = Vec::new();
    for (position, attachment) in chain.attachments.iter().enumerate() {
        let mut record = sandbox.record(netns.clone(), attachment, None, position);
        if let Some(chain) = &mut record.chain {
            chain.called = chain.configs.len();
            chain.result.clone_from(&attachment.earlier_result);
        }
        records.push(record);
    }
    records
}

fn is_unreadable(record: &Record, unreadable: &[Unreadable]) -> bool {
    let mut attachments = unreadable.iter().filter_map(|file| file.attachment.as_ref());
    attachments.any(|attachment| attachment.ifname == record.ifname)
}

/// Returns whether a record was written before the node was started last.
fn is_of_earlier_boot(record: &Record) -> bool {
    record.netns.as_ref().is_some_and(|netns| !netns.is_of_this_boot())
}

fn position(record: &Record) -> usize {
    record.chain.as_ref().map_or(usize::MAX, |chain| chain.position)
}
