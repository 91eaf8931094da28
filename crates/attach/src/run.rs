use std::path::{Path, PathBuf};

use podbond_api::ObjectKey;
use podbond_cni::{
    Args, CniResult, Code, Command, ContainerId, Delegates, Failure, NetConf, Request, Version,
};
use podbond_names::PciAddress;

mod lost;

use crate::default_route;
use crate::{
    Attachment, AttachmentId, Chain, DeviceRequest, Devices, Error, Holder, NetnsRef,
    NetworkStatus, Record, Records,
};

/// Reference plugins whose work is in the pod's namespace alone and goes with it, and which fail
/// where that is gone: to call them again could never succeed.
const GONE_WITH_NETNS: [&str; 1] = ["sbr"];

/// The keys of `CNI_ARGS` that name the pod.
pub(crate) const OF_POD: [&str; 5] = [
    "IgnoreUnknown",
    "K8S_POD_NAMESPACE",
    "K8S_POD_NAME",
    "K8S_POD_INFRA_CONTAINER_ID",
    "K8S_POD_UID",
];

/// A pod's sandbox: what is attached to its networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The pod.
    pub pod: ObjectKey,
    /// The pod's UID, where it is known.
    pub uid: Option<String>,
    /// `CNI_CONTAINERID`.
    pub container_id: ContainerId,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
}

/// Makes attachments and takes them away.
pub struct Attacher<'a> {
    /// Through which every plugin is called.
    pub delegates: &'a Delegates<'a>,
    /// Who picks devices.
    pub devices: &'a dyn Devices,
    /// The state directory: `/var/lib/podbond`.
    pub state: &'a Path,
    /// `CNI_PATH`: where plugins are looked for.
    pub path: &'a [PathBuf],
    /// Whether a path is a network namespace that is alive: the kernel crate's `is_netns`.
    pub is_netns: &'a dyn Fn(&Path) -> bool,
}

/// What [`Attacher::add`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The pod's network status.
    pub statuses: Vec<NetworkStatus>,
    /// What came of the chain's first attachment, which a meta-plugin answers with.
    pub first: Option<CniResult>,
    /// What could not be taken away of attachments of the same sandbox whose namespace is gone.
    pub warnings: Vec<Error>,
}

/// An ADD that failed: why, and what there is to undo, if anything.
type Failed = Box<(Error, Option<Record>)>;

impl Attacher<'_> {
    /// Makes the attachments of a chain in order. When one fails, it and those before it are taken
    /// away again in reverse; "attachments that have not yet been performed shall not be attempted"
    /// (multi-net-spec 1.3, section 7.2).
    pub fn add(&self, sandbox: &Sandbox, chain: &Chain) -> Result<Added, Error> {
        let no_netns = || Error::NoNetns { pod: sandbox.pod.clone(), path: sandbox.netns.clone() };
        if !(self.is_netns)(&sandbox.netns) {
            return Err(no_netns());
        }
        let netns = NetnsRef::of(&sandbox.netns).map_err(|_| no_netns())?;
        self.look_up_plugins(sandbox, chain)?;
        let (first, warnings) = self.make_room(sandbox, chain)?;
        let mut made = Vec::new();
        for (offset, attachment) in chain.attachments.iter().enumerate() {
            match self.attach(sandbox, &netns, attachment, first + offset) {
                Ok(record) => made.push(record),
                Err(failed) => {
                    let (cause, begun) = *failed;
                    made.extend(begun);
                    return Err(self.undo(&made, cause));
                }
            }
        }
        if let Err(cause) = self.lead_default_route(chain, &mut made) {
            return Err(self.undo(&made, cause));
        }
        let statuses = made.iter().flat_map(Record::statuses).collect();
        let first = made.into_iter().next().and_then(|record| record.result);
        Ok(Added { statuses, first, warnings })
    }

    /// Takes a sandbox's attachments away, from their records alone, in reverse. It goes on past
    /// errors and gives them all; no records, no errors. What failed keeps its record, so that
    /// deleting again tries again.
    pub fn delete(&self, container_id: &ContainerId) -> Vec<Error> {
        let (records, errors) = self.records().of(container_id);
        self.detach_all(container_id, &records, errors)
    }

    fn detach_all(
        &self,
        container_id: &ContainerId,
        records: &[Record],
        mut errors: Vec<Error>,
    ) -> Vec<Error> {
        errors.extend(records.iter().rev().flat_map(|record| self.detach(record)));
        errors.extend(self.records().remove_unfinished(container_id).err());
        errors
    }

    pub(crate) fn records(&self) -> Records {
        Records::new(self.state)
    }

    /// Refuses a chain of which a plugin is not installed, before anything is done.
    fn look_up_plugins(&self, sandbox: &Sandbox, chain: &Chain) -> Result<(), Error> {
        for attachment in &chain.attachments {
            for config in attachment.configs(None) {
                let id = || AttachmentId::of(sandbox, attachment);
                let looked_up = self.delegates.check_installed(&config, self.path);
                looked_up.map_err(plugin_failed(id, &config, Command::Add))?;
            }
        }
        Ok(())
    }

    /// Takes away what is left of the sandbox's attachments in a namespace that is gone, and
    /// refuses a chain of which an interface is attached already. Gives the place after the last
    /// attachment that stays, and what could not be taken away: it does not stand in the way.
    fn make_room(&self, sandbox: &Sandbox, chain: &Chain) -> Result<(usize, Vec<Error>), Error> {
        let (records, errors) = self.records().of(&sandbox.container_id);
        if let Some(unreadable) = errors.into_iter().next() {
            return Err(unreadable);
        }
        let (alive, gone): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(Self::is_alive);
        let wanted = |record: &&Record| chain.attachments.iter().any(|a| a.ifname == record.ifname);
        if let Some(record) = alive.iter().find(wanted) {
            return Err(Error::AlreadyAttached {
                attachment: Box::new(AttachmentId::from(record)),
                container_id: record.container_id.clone(),
            });
        }
        let next = alive.iter().map(|record| record.position + 1).max().unwrap_or(0);
        Ok((next, gone.iter().rev().flat_map(|record| self.detach(record)).collect()))
    }

    /// Whether the namespace of its ADD is there. It is not opened: one that cannot be may be alive, and
    /// its plugins' DEL tells why.
    fn is_alive(record: &Record) -> bool {
        record.netns.is_same()
    }

    fn attach(
        &self,
        sandbox: &Sandbox,
        netns: &NetnsRef,
        attachment: &Attachment,
        position: usize,
    ) -> Result<Record, Failed> {
        let device = self.take_device(sandbox, attachment).map_err(|error| (error, None))?;
        let mut record = Record {
            container_id: sandbox.container_id.clone(),
            ifname: attachment.ifname.clone(),
            pod: sandbox.pod.clone(),
            uid: sandbox.uid.clone(),
            netns: netns.clone(),
            position,
            nad: attachment.nad.clone(),
            network: attachment.network.clone(),
            device,
            configs: attachment.configs(device),
            args: attachment.args.clone(),
            called: 0,
            so_far: None,
            result: None,
        };
        match self.call_plugins(&mut record) {
            Ok(()) => Ok(record),
            Err(error) => Err(Box::new((error, Some(record)))),
        }
    }

    fn take_device(
        &self,
        sandbox: &Sandbox,
        attachment: &Attachment,
    ) -> Result<Option<PciAddress>, Error> {
        let holder = Holder {
            pod: sandbox.pod.clone(),
            container_id: sandbox.container_id.clone(),
            ifname: attachment.ifname.clone(),
        };
        let taken = match &attachment.device {
            DeviceRequest::None => return Ok(None),
            DeviceRequest::OneOf(resource) => self.devices.allocate(resource, &holder),
            DeviceRequest::This(device) => self.devices.claim(*device, &holder).map(|()| *device),
        };
        taken.map(Some).map_err(|failure| Error::Device {
            attachment: Box::new(AttachmentId::of(sandbox, attachment)),
            failure: Box::new(failure),
        })
    }

    /// ADD of each plugin in order. Before each call it is written down, so that a crash at any
    /// point can be finished by DEL.
    fn call_plugins(&self, record: &mut Record) -> Result<(), Error> {
        let records = self.records();
        for (position, config) in record.configs.clone().into_iter().enumerate() {
            record.called = position + 1;
            records.write(record)?;
            let netns = Some(record.netns.path.clone());
            let id = || AttachmentId::from(&*record);
            let previous = record.so_far.clone();
            let added = self.delegates.add(&self.request(record, netns, config.clone(), previous));
            let added = added.map_err(|failed| failed.cause);
            record.so_far = Some(added.map_err(plugin_failed(id, &config, Command::Add))?);
        }
        // A plugin may give no result at all: then there is nothing to tell but the name.
        record.result = Some(record.so_far.take().unwrap_or_default());
        records.write(record)
    }

    /// What a plugin of an attachment is given.
    pub(crate) fn request(
        &self,
        record: &Record,
        netns: Option<PathBuf>,
        mut config: NetConf,
        previous: Option<CniResult>,
    ) -> Request {
        config.set_prev_result(previous);
        Request {
            container_id: record.container_id.clone(),
            netns,
            ifname: record.ifname.clone(),
            args: args(record),
            path: self.path.to_vec(),
            config,
        }
    }

    /// Leads the pod's default route through the attachment that asks for it, and lets the records
    /// tell so. It needs no undoing of its own: routes go with their interfaces.
    fn lead_default_route(&self, chain: &Chain, made: &mut [Record]) -> Result<(), Error> {
        let asks = |attachment: &&Attachment| !attachment.default_route.is_empty();
        let Some(attachment) = chain.attachments.iter().find(asks) else { return Ok(()) };
        let Some(record) = made.iter().find(|record| record.ifname == attachment.ifname) else {
            return Ok(());
        };
        let (ifname, gateways) = (&attachment.ifname, &attachment.default_route);
        default_route::set(&record.netns.path, ifname, gateways).map_err(|problem| {
            Error::DefaultRoute { attachment: Box::new(record.into()), problem }
        })?;
        for record in &mut *made {
            default_route::amend(record, ifname, gateways);
            self.records().write(record)?;
        }
        Ok(())
    }

    fn undo(&self, made: &[Record], cause: Error) -> Error {
        let undoing: Vec<Error> = made.iter().rev().flat_map(|r| self.detach(r)).collect();
        if undoing.is_empty() { cause } else { Error::Undoing { cause: Box::new(cause), undoing } }
    }

    /// DEL of the plugins that were called, in reverse, all of them whatever fails; then the device
    /// is given back, and last the record is removed.
    pub(crate) fn detach(&self, record: &Record) -> Vec<Error> {
        let id = || AttachmentId::from(record);
        // `CNI_NETNS` is optional for DEL; a path that leads elsewhere by now must not be given.
        let netns = Some(&record.netns.path).filter(|_| Self::is_alive(record));
        let mut errors = Vec::new();
        for config in record.configs.iter().take(record.called).rev() {
            if netns.is_none() && GONE_WITH_NETNS.contains(&config.plugin.as_str()) {
                continue;
            }
            // Older plugins are not given a result at DEL.
            let passes_result = config.version >= Version::V0_4_0;
            // Of a chain that failed, what there is: a plugin may find by it what to remove.
            let result = record.result.as_ref().or(record.so_far.as_ref());
            let previous = result.filter(|_| passes_result).cloned();
            let request = self.request(record, netns.cloned(), config.clone(), previous);
            match self.delegates.del(&request) {
                Ok(()) => {}
                Err(failure) if self.is_nothing_left(record, config, &failure) => {}
                Err(failure) => errors.push(plugin_failed(id, config, Command::Del)(failure)),
            }
        }
        if errors.is_empty() {
            errors.extend(self.give_back(record).err());
        }
        if errors.is_empty() {
            errors.extend(self.records().remove(record).err());
        }
        errors
    }

    /// Whether a plugin says that there is nothing to clean up: code 3, "container unknown or does not
    /// exist" (section "Error"). One of our own says so where it does not find the namespace, and what
    /// it made is still in one that is there.
    fn is_nothing_left(&self, record: &Record, config: &NetConf, failure: &Failure) -> bool {
        let is_own = self.delegates.builtin(&config.plugin).is_some();
        failure.code == Code::ContainerUnknown && !(is_own && Self::is_alive(record))
    }

    fn give_back(&self, record: &Record) -> Result<(), Error> {
        let Some(device) = record.device else { return Ok(()) };
        let holder = Holder {
            pod: record.pod.clone(),
            container_id: record.container_id.clone(),
            ifname: record.ifname.clone(),
        };
        self.devices.release(device, &holder).map_err(|failure| Error::Device {
            attachment: Box::new(record.into()),
            failure: Box::new(failure),
        })
    }
}

fn plugin_failed(
    attachment: impl FnOnce() -> AttachmentId,
    config: &NetConf,
    command: Command,
) -> impl FnOnce(Failure) -> Error {
    let plugin = config.plugin.clone();
    move |failure| Error::Plugin {
        attachment: Box::new(attachment()),
        plugin,
        command,
        failure: Box::new(failure),
    }
}

/// `CNI_ARGS` as kubelet's runtimes and Multus give them: plugins find the pod by them.
fn args(record: &Record) -> Args {
    let pod = [
        Some("1".to_owned()),
        Some(record.pod.namespace.to_string()),
        Some(record.pod.name.to_string()),
        Some(record.container_id.to_string()),
        record.uid.clone(),
    ];
    let mut pairs = record.args.0.clone();
    let named = OF_POD.into_iter().zip(pod);
    pairs.extend(named.filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Args(pairs)
}

#[cfg(test)]
mod tests;
