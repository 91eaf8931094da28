//! ADD of a pod's networks in order, all or none.

use podbond_cni::{CniResult, Command};
use podbond_kernel::NetnsIdentity;
use podbond_names::LinkName;
use podbond_record::{ChainPart, Record, State, Stored};

use crate::attacher::{Attacher, Sandbox, plugin_failed};
use crate::{
    Attachment, AttachmentId, Chain, Device, DeviceRequest, Error, NetworkStatus, default_route,
    statuses_of,
};

/// What [`Attacher::add`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The pod's network status.
    pub statuses: Vec<NetworkStatus>,
    /// The result of the chain's first attachment, which a meta-plugin answers with.
    pub first: Option<CniResult>,
}

impl Attacher<'_> {
    /// Makes the attachments of a chain in order. When one fails, it and those before it are undone in
    /// reverse; "attachments that have not yet been performed shall not be attempted" (multi-net-spec
    /// 1.3, section 7.2).
    pub fn add(&self, sandbox: &Sandbox, chain: &Chain) -> Result<Added, Error> {
        let netns = NetnsIdentity::of(&sandbox.netns).map_err(|_| Error::NoNetns {
            pod: sandbox.pod.clone(),
            path: sandbox.netns.clone(),
        })?;
        self.look_up_plugins(sandbox, chain)?;
        let first = self.end_earlier(sandbox, chain)?;
        let mut records = Vec::new();
        for (offset, attachment) in chain.attachments.iter().enumerate() {
            match self.attach(sandbox, &netns, attachment, first + offset) {
                Ok(record) => records.push(record),
                Err(cause) => {
                    let (cause, begun) = *cause;
                    records.extend(begun);
                    return Err(self.undo(&records, cause));
                }
            }
        }
        if let Err(cause) = self.set_default_route(chain, &mut records) {
            return Err(self.undo(&records, cause));
        }
        let statuses = records.iter().flat_map(statuses_of).collect();
        let chain_of_first = records.into_iter().next().and_then(|record| record.chain);
        Ok(Added { statuses, first: chain_of_first.and_then(|chain| chain.result) })
    }

    /// Refuses a chain of which a plugin is not installed, before anything is done.
    fn look_up_plugins(&self, sandbox: &Sandbox, chain: &Chain) -> Result<(), Error> {
        for attachment in &chain.attachments {
            for config in attachment.configs(None) {
                self.delegates.check_installed(&config, self.path).map_err(|failure| {
                    let id = AttachmentId::of(sandbox, attachment);
                    plugin_failed(id, &config.plugin, Command::Add, failure)
                })?;
            }
        }
        Ok(())
    }

    /// Undoes what is recorded of the sandbox in a namespace that is over, and refuses a chain of which
    /// an interface is attached already, or cannot be undone. Returns the place after the last
    /// attachment that stays.
    fn end_earlier(&self, sandbox: &Sandbox, chain: &Chain) -> Result<usize, Error> {
        let is_wanted = |ifname: &LinkName| {
            chain.attachments.iter().any(|attachment| attachment.ifname == *ifname)
        };
        let (records, unreadable) = self.records.of_container(&sandbox.container_id)?;
        let (over, staying): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(Record::is_orphan);
        if let Some(record) = staying.iter().find(|record| is_wanted(&record.ifname)) {
            return Err(already_attached(record));
        }
        for record in over.iter().rev() {
            let error = self.end_orphan(record).into_iter().next();
            error.filter(|_| is_wanted(&record.ifname)).map_or(Ok(()), Err)?;
        }
        for attachment in unreadable.into_iter().filter_map(|file| file.attachment) {
            if is_wanted(&attachment.ifname) {
                self.records.remove(&attachment)?;
            }
        }
        let places = staying.iter().filter_map(|record| record.chain.as_ref());
        Ok(places.map(|chain| chain.position + 1).max().unwrap_or(0))
    }

    /// ADD of each plugin of one network. What has begun is returned with the error.
    fn attach(
        &self,
        sandbox: &Sandbox,
        netns: &NetnsIdentity,
        attachment: &Attachment,
        position: usize,
    ) -> Result<Record, Box<(Error, Option<Record>)>> {
        let device = self.choose_device(sandbox, attachment).map_err(|error| (error, None))?;
        let chain = ChainPart {
            position,
            nad: attachment.nad.clone(),
            resource: match &attachment.device {
                DeviceRequest::OneOf(resource) => Some(resource.clone()),
                DeviceRequest::None | DeviceRequest::This(_) => None,
            },
            device: device.as_ref().map(|device| device.address),
            configs: attachment.configs(device.as_ref().map(|device| device.address)),
            args: attachment.args.clone(),
            // Recorded before the call, so that a crash at any point can be finished by DEL.
            called: 1,
            so_far: None,
            result: None,
        };
        let record = Record::of_chain(
            sandbox.container_id.clone(),
            attachment.ifname.clone(),
            sandbox.pod.clone(),
            attachment.network.clone(),
            Some(netns.clone()),
            chain.clone(),
        );
        self.records.create(&record).map_err(|error| {
            let error = if error.is_taken() { already_attached(&record) } else { error.into() };
            (error, None)
        })?;
        // The record names the device: others may choose now.
        drop(device);
        let mut record = record;
        match self.call_plugins(&mut record, chain) {
            Ok(()) => Ok(record),
            Err(error) => Err(Box::new((error, Some(record)))),
        }
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
            attachment: Box::new(AttachmentId::of(sandbox, attachment)),
            failure: Box::new(failure),
        })
    }

    /// ADD of each plugin in order, each recorded before it is called.
    fn call_plugins(&self, record: &mut Record, mut chain: ChainPart) -> Result<(), Error> {
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
        // A plugin may give no result at all: then there is nothing to tell but the name.
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

    /// Leads the pod's default route through the attachment that asks for it, and lets the records
    /// tell so. It needs no undoing of its own: routes go with their interfaces.
    fn set_default_route(&self, chain: &Chain, records: &mut [Record]) -> Result<(), Error> {
        let asks = |attachment: &&Attachment| !attachment.default_route.is_empty();
        let Some(attachment) = chain.attachments.iter().find(asks) else { return Ok(()) };
        let Some(record) = records.iter().find(|record| record.ifname == attachment.ifname) else {
            return Ok(());
        };
        let Some(netns) = &record.netns else { return Ok(()) };
        let (ifname, gateways) = (&attachment.ifname, &attachment.default_route);
        default_route::set(&netns.path, ifname, gateways).map_err(|problem| {
            Error::DefaultRoute { attachment: Box::new(record.into()), problem }
        })?;
        for record in &mut *records {
            default_route::amend(record, ifname, gateways);
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
    Error::AlreadyAttached {
        attachment: Box::new(AttachmentId::from(record)),
        container_id: record.container_id.clone(),
    }
}

#[cfg(test)]
mod tests;
