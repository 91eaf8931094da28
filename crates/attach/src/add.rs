//! ADD of a pod's networks in order, all or none: plugins are called, and undone in reverse when one fails.

use podbond_cni::{CniResult, Command};
use podbond_kernel::NetnsIdentity;
use podbond_record::{ChainPart, Record, State, Stored};

use crate::attacher::{Attacher, Sandbox, plugin_failed};
use crate::chain::{Attachment, Chain, DeviceRequest};
use crate::default_route::{self, Set};
use crate::device_info::takes_device_info;
use crate::error::{AttachmentId, Error};
use crate::network_status::{NetworkStatus, statuses_of};
use crate::selections::DefaultRoute;
use crate::traits::Device;

/// What [`Attacher::add`] returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The pod's network status.
    pub statuses: Vec<NetworkStatus>,
    /// The result of the chain's first attachment, with which a meta-plugin answers.
    pub first: Option<CniResult>,
}

impl Attacher<'_> {
    /// Attaches a sandbox to the networks of a chain in order. When one fails, it and those before it are
    /// undone in reverse; "attachments that have not yet been performed shall not be attempted"
    /// (multi-net-spec 1.3, section 7.2).
    pub fn add(&self, sandbox: &Sandbox, chain: &Chain) -> Result<Added, Error> {
        let netns = NetnsIdentity::of(&sandbox.netns).map_err(|_| Error::NoNetns {
            pod: sandbox.pod.clone(),
            path: sandbox.netns.clone(),
        })?;
        self.require_plugins(sandbox, chain)?;
        let first = self.end_earlier(sandbox, chain)?;
        let mut records = Vec::new();
        for (position, attachment) in (first..).zip(&chain.attachments) {
            let begun = self.begin(sandbox, &netns, attachment, position);
            let attached = begun.and_then(|mut record| {
                let called = self.call_plugins(&mut record);
                records.push(record);
                called
            });
            if let Err(cause) = attached {
                return Err(self.undo(&records, cause));
            }
        }
        if let Err(cause) = self.set_default_route(chain, &mut records) {
            return Err(self.undo(&records, cause));
        }
        let statuses = records.iter().flat_map(statuses_of).collect();
        let chain_of_first = records.into_iter().next().and_then(|record| record.chain);
        Ok(Added { statuses, first: chain_of_first.and_then(|chain| chain.result) })
    }

    /// Returns an error for a plugin that is not installed, before anything is changed.
    fn require_plugins(&self, sandbox: &Sandbox, chain: &Chain) -> Result<(), Error> {
        for attachment in &chain.attachments {
            for config in attachment.configs(None) {
                self.delegates.check_installed(&config, self.path).map_err(|failure| {
                    let id = sandbox.attachment_id(attachment);
                    plugin_failed(id, &config.plugin, Command::Add, failure)
                })?;
            }
        }
        Ok(())
    }

    /// Undoes the sandbox's attachments to a namespace that is gone, and returns the position after the
    /// last one that stays. An error where an interface of the chain is attached already, or cannot be
    /// undone.
    fn end_earlier(&self, sandbox: &Sandbox, chain: &Chain) -> Result<usize, Error> {
        let (records, unreadable) = self.records.of_container(&sandbox.container_id)?;
        let (orphans, attached): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(Record::is_orphan);
        if let Some(record) = attached.iter().find(|record| chain.has_interface(&record.ifname)) {
            return Err(already_attached(record));
        }
        for record in orphans.iter().rev() {
            let errors = self.end_orphan(record);
            if let Some(error) = errors.into_iter().next()
                && chain.has_interface(&record.ifname)
            {
                return Err(error);
            }
        }
        for attachment in unreadable.into_iter().filter_map(|file| file.attachment) {
            if chain.has_interface(&attachment.ifname) {
                self.records.remove(&attachment)?;
            }
        }
        let positions = attached.iter().filter_map(|record| record.chain.as_ref());
        Ok(positions.map(|chain| chain.position + 1).max().unwrap_or(0))
    }

    /// Chooses the device of an attachment and creates its record, before its first plugin is called: DEL
    /// finishes a crash at any later point by it.
    fn begin(
        &self,
        sandbox: &Sandbox,
        netns: &NetnsIdentity,
        attachment: &Attachment,
        position: usize,
    ) -> Result<Record, Error> {
        // Its lock is held until the record names the device.
        let device = self.choose_device(sandbox, attachment)?;
        let address = device.as_ref().map(|device| device.address);
        let mut record = sandbox.record(Some(netns.clone()), attachment, address, position);
        self.device_info.pass_on(&mut record);
        if let Some(chain) = &mut record.chain {
            chain.called = 1;
        }
        match self.records.create(&record) {
            Ok(()) => {}
            Err(error) if error.is_taken() => return Err(already_attached(&record)),
            Err(error) => return Err(error.into()),
        }
        if let (Some(resource), Some(device)) = (&attachment.resource_name, address) {
            let copied = self.device_info.copy(resource, device, &record);
            if let Err(problem) = copied {
                self.warn(&record, &problem);
            }
        }
        Ok(record)
    }

    fn choose_device(
        &self,
        sandbox: &Sandbox,
        attachment: &Attachment,
    ) -> Result<Option<Device>, Error> {
        let chosen = match &attachment.device {
            DeviceRequest::None => return Ok(None),
            DeviceRequest::OneOf(resource) => self.devices.choose(resource),
            DeviceRequest::This(address) => self.devices.choose_this(*address),
        };
        chosen.map(Some).map_err(|failure| Error::Device {
            attachment: Box::new(sandbox.attachment_id(attachment)),
            failure: Box::new(failure),
        })
    }

    /// ADD of each plugin in order, each recorded before it is called.
    fn call_plugins(&self, record: &mut Record) -> Result<(), Error> {
        let Some(mut chain) = record.chain.clone() else { return Ok(()) };
        for (position, config) in chain.configs.clone().into_iter().enumerate() {
            if position > 0 {
                chain.called = position + 1;
                self.write_chain(record, &chain)?;
            }
            let netns = record.netns.as_ref().map(|netns| netns.path.clone());
            let previous = chain.so_far.clone();
            let plugin = config.plugin.clone();
            let added = self.delegates.add(&self.request(record, &chain, netns, config, previous));
            let result = added.map_err(|failed| {
                plugin_failed(AttachmentId::from(&*record), &plugin, Command::Add, failed.cause)
            })?;
            chain.so_far = Some(result);
        }
        if takes_device_info(&chain) {
            match self.device_info.read(record) {
                Ok(device_info) => chain.device_info = device_info,
                Err(problem) => self.warn(record, &problem),
            }
        }
        // A chain without plugins has no result but the interface's name.
        chain.result = Some(chain.so_far.take().unwrap_or_default());
        record.state = State::Active;
        self.write_chain(record, &chain)
    }

    /// Writes this part of the record beside what the attachment's own plugin has recorded.
    fn write_chain(&self, record: &mut Record, chain: &ChainPart) -> Result<(), Error> {
        let state = record.state;
        if let Stored::Whole(stored) = self.records.read(&record.attachment())? {
            *record = *stored;
        }
        record.state = state;
        record.chain = Some(chain.clone());
        Ok(self.records.write(record)?)
    }

    /// Sets the pod's default route through the attachment that asks for it, and changes the recorded
    /// results to that. Needs no undoing: routes go with their interfaces.
    fn set_default_route(&self, chain: &Chain, records: &mut [Record]) -> Result<(), Error> {
        let mut attachments = chain.attachments.iter();
        let asks = |it: &&Attachment| it.default_route != DefaultRoute::NotAsked;
        let Some(attachment) = attachments.find(asks) else { return Ok(()) };
        let Some(record) = records.iter().find(|record| record.ifname == attachment.ifname) else {
            return Ok(());
        };
        let Some(netns) = &record.netns else { return Ok(()) };
        let (ifname, asked) = (&attachment.ifname, &attachment.default_route);
        let set = default_route::set(&netns.path, ifname, asked).map_err(|problem| {
            Error::DefaultRoute { attachment: Box::new(record.into()), problem }
        })?;
        if set == Set::Kept(Vec::new()) {
            self.warn(
                record,
                "default-route is [], and its network gives it no default route: the \
                               pod's stay as they are; name a gateway, or leave default-route out",
            );
        }
        for record in &mut *records {
            default_route::change_result(record, ifname, &set);
            self.records.write(record)?;
        }
        Ok(())
    }

    fn undo(&self, records: &[Record], cause: Error) -> Error {
        let undoing: Vec<Error> =
            records.iter().rev().flat_map(|record| self.detach(record)).collect();
        if undoing.is_empty() { cause } else { Error::Undoing { cause: Box::new(cause), undoing } }
    }
}

fn already_attached(record: &Record) -> Error {
    Error::AlreadyAttached { attachment: Box::new(record.into()) }
}

#[cfg(test)]
mod tests;
