use std::path::{Path, PathBuf};

use podbond_cni::{
    Attachment, CniResult, Command, ContainerId, Delegates, Failure, Interface, NodeRequest,
    Plugin, Request,
};
use podbond_ipam::{Addresses, Debts, Ipam, Lease, attach};
use podbond_kernel::{BondMode, Kernel, LinkRef, View, no_netns};
use podbond_names::LinkName;

use crate::apart::take_apart;
use crate::compare::verify;
use crate::config::{Config, Links, LinksAre};
use crate::error::Error;
use crate::findings::{Surroundings, look_around};
use crate::host_links::guard;
use crate::made::{Made, Place};
use crate::record::{Reading, Recorded, Records};

/// The bond plugin.
#[derive(Debug, Clone)]
pub struct Bond {
    pub(crate) state: PathBuf,
    pub(crate) debts: Debts,
}

impl Default for Bond {
    /// With its records and the debts where a node keeps them.
    fn default() -> Self {
        Self { state: Path::new(podbond_state::DIR).join("bond"), debts: Debts::default() }
    }
}

impl Bond {
    /// With its records in `dir`.
    pub fn with_records_in(dir: impl Into<PathBuf>) -> Self {
        Self { state: dir.into(), ..Self::default() }
    }

    /// Refuses a bond over links of the node that it may not take: NADs are written by tenants,
    /// and a link on which the node depends is not theirs.
    pub fn guard(&self, kernel: &mut Kernel, config: &Config) -> Result<(), Error> {
        match config.links_are {
            LinksAre::OnHost => guard(kernel, &config.ports, Path::new(podbond_settings::PATH)),
            LinksAre::InPod => Ok(()),
        }
    }

    /// Sees what is below and beside a bond that may be made: into the view come its ports' VFs,
    /// and their PFs' links, as far as they are not in it.
    pub fn look_around(
        &self,
        kernel: &mut Kernel,
        config: &Config,
        view: &mut View,
    ) -> Result<Surroundings, Error> {
        let others = self.records_beside(config, None)?;
        look_around(kernel, config, &others, view)
    }

    /// The records of other bonds, where they matter.
    pub(crate) fn records_beside(
        &self,
        config: &Config,
        own: Option<(&ContainerId, &LinkName)>,
    ) -> Result<Vec<Place>, Error> {
        match config.options.mode {
            BondMode::Lacp => self.records().others(own),
            _ => Ok(Vec::new()),
        }
    }

    pub(crate) fn records(&self) -> Records {
        Records::new(&self.state)
    }

    fn make(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Error> {
        let config = Config::parse(&request.config, &request.args)?;
        let mut kernel = Kernel::with_pod(netns(request)?)?;
        self.guard(&mut kernel, &config)?;
        let _lock = Records::lock(&request.container_id, &request.ifname)?;
        self.make_room(request, delegates)?;
        let (planned, made) = self.prepare(&mut kernel, &config, request)?;
        for finding in &planned.findings {
            delegates.warn(Command::Add, request, finding.severity.as_str(), finding);
        }
        self.records().write(&request.container_id, &request.ifname, &made)?;
        let ipam = Ipam { request, delegates, debts: &self.debts };
        let finish = |kernel: &mut Kernel, leased| answer(kernel, ipam, leased);
        attach(&mut kernel, planned.steps, Addresses::OnLink, ipam, finish).map_err(|failed| {
            // Without need once all is as it was, so that the same would be done again. If something
            // could not be undone, the DEL with which a runtime answers a failed ADD tries it once more.
            let again = self.prepare(&mut kernel, &config, request);
            if failed.lease == Lease::Never && again.is_ok_and(|(_, again)| again == made) {
                let _ = self.records().remove(&request.container_id, &request.ifname);
            }
            Error::Config(failed.cause)
        })
    }

    /// Refuses an attachment that is there already: its record tells what its ports were like. Of
    /// one whose namespace is gone the rest is taken away.
    fn make_room(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let (container, ifname) = (&request.container_id, &request.ifname);
        let Reading::Whole(made) = self.records().read(container, ifname)? else { return Ok(()) };
        if made.netns().is_some_and(|netns| !no_netns(netns)) {
            let record = self.records().path(container, ifname);
            return Err(Error::AlreadyAdded { ifname: ifname.clone(), record });
        }
        let mut gone = Request { netns: None, ..request.clone() };
        gone.config.set_prev_result(None);
        self.take_away(&gone, delegates)
    }

    /// DEL.
    pub(crate) fn remove(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let _lock = match Records::lock(&request.container_id, &request.ifname) {
            // A lock that cannot be made, as on a full disk, must not keep a pod from being deleted.
            Err(error) if !error.is_locked() => None,
            lock => Some(lock?),
        };
        self.take_away(request, delegates)
    }

    /// The link goes before the lease, so that no address is given out while it is still in use,
    /// unless the lease needs the link; an error in one does not keep the other.
    fn take_away(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        // One that cannot be read is an error, but keeps nothing else from being put back.
        let record = self.records().read(&request.container_id, &request.ifname);
        let known = self.as_known(request, record.as_ref().ok());
        let request = known.as_ref().unwrap_or(request);
        let lease = match &record {
            Ok(Reading::Nothing | Reading::Damaged(_)) => Lease::without_record(request),
            Ok(Reading::Whole(_)) | Err(_) => Lease::Possible,
        };
        let ipam = Ipam { request, delegates, debts: &self.debts };
        let give_back = || ipam.give_back(lease).err().map(Error::Config);
        let mut errors: Vec<Error> = Vec::new();
        let needs_link = podbond_ipam::lease_needs_link(&request.config);
        if needs_link {
            errors.extend(give_back());
        }
        let (made, unread) = match record {
            Ok(Reading::Whole(made)) => (*made, None),
            Ok(Reading::Nothing) => (Made::default(), None),
            Ok(Reading::Damaged(why)) => {
                let put_back = format_args!(
                    "{why}: {} and its ports are put back by what the kernel shows of them",
                    request.ifname
                );
                delegates.warn(Command::Del, request, "warning", &put_back);
                (Made::default(), None)
            }
            Err(error) => (Made::default(), Some(error)),
        };
        errors.extend(unread);
        errors.extend(self.unmake(request, delegates, &made));
        if !needs_link {
            errors.extend(give_back());
        }
        if errors.is_empty() {
            self.records().remove(&request.container_id, &request.ifname)?;
        }
        Error::all(errors)
    }

    /// What is known better than by the runtime: the configuration of the ADD, since today's may be
    /// another; and, of what nothing is recorded, that another container has the interface in that
    /// namespace by now.
    fn as_known(&self, del: &Request, reading: Option<&Reading>) -> Option<Request> {
        if let Some(Reading::Whole(made)) = reading {
            let mut config = made.add.as_ref()?.config.clone();
            config.set_prev_result(del.config.prev_result.clone());
            return Some(Request { config, ..del.clone() });
        }
        let others = self.records().all(&mut Vec::new());
        let is_its = |(other, made): (Attachment, Recorded)| {
            other.container_id != del.container_id
                && other.ifname == del.ifname
                && made.is_ok_and(|made| made.netns() == del.netns.as_ref())
        };
        let is_taken = del.netns.is_some() && others.into_iter().any(is_its);
        is_taken.then(|| Request { netns: None, ..del.clone() })
    }

    /// Takes the bond out of the pod and gives the node its links back, by what is known of its ADD;
    /// gives what went wrong.
    fn unmake(&self, request: &Request, delegates: &Delegates<'_>, made: &Made) -> Vec<Error> {
        let links = Links::of(&request.config);
        let mut kernel = match Kernel::with_pod_if_any(request.netns.as_deref()) {
            // A runtime may give the path to the next pod: what is in that one's namespace is not ours.
            Ok(kernel) => match made.is_in_another(&kernel) {
                Ok(true) => kernel.without_pod(),
                Ok(false) => kernel,
                Err(error) => return vec![Error::Kernel(error)],
            },
            Err(error) => return vec![Error::Kernel(error)],
        };
        // With the namespace the bond is gone too, and the kernel gives hardware links back, but
        // down, and by another name where theirs is taken. With others there is nothing left to do.
        let is_known = |name: &LinkName| {
            let was_up = made.brought_down(&LinkRef::host(name.clone()));
            links.are == LinksAre::OnHost && (was_up || made.function(name).is_some())
        };
        if !kernel.has_pod() && !links.names.iter().any(is_known) {
            return Vec::new();
        }
        let others = || {
            let own = Some((&request.container_id, &request.ifname));
            let others = self.records().others(own).unwrap_or_default();
            others.into_iter().map(|place| place.netns).collect()
        };
        take_apart(&mut kernel, &links, request, delegates, made, others)
            .unwrap_or_else(|error| vec![Error::Kernel(error)])
    }
}

impl Plugin for Bond {
    fn name(&self) -> &'static str {
        "bond"
    }

    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        self.make(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.remove(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        verify(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.readiness(request, delegates)
    }

    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.sweep(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }
}

pub(crate) fn netns(request: &Request) -> Result<&Path, Error> {
    request.netns.as_deref().ok_or(Error::Kernel(podbond_kernel::Error::NoPodNamespace))
}

/// Announces the addresses and gives the result: beside what the plugins before it in a chain made
/// exactly one interface, the bond or the VLAN's on it, since a meta-plugin writes one status entry
/// for each interface that has a sandbox.
fn answer(
    kernel: &mut Kernel,
    asked: Ipam<'_>,
    ipam: Option<CniResult>,
) -> Result<CniResult, Failure> {
    let request = asked.request;
    let at = LinkRef::pod(request.ifname.clone());
    let refused =
        |error: podbond_kernel::Error| podbond_ipam::failure(&request.config.name, &error);
    // First, since the bond may take another port's address while it waits for its carrier.
    if let Some(result) = &ipam {
        asked.settle(kernel, result)?;
        podbond_ipam::announce(kernel, &request.ifname, result);
    }
    let link = kernel.link(&at).map_err(refused)?;
    let interface = Interface {
        name: request.ifname.clone(),
        mac: link.as_ref().and_then(|link| link.mac),
        mtu: link.as_ref().map(|link| link.mtu),
        sandbox: request.netns.as_ref().map(|path| path.display().to_string()),
        socket_path: None,
        pci_id: None,
    };
    Ok(podbond_ipam::result(request.config.prev_result.as_ref(), ipam, interface))
}

#[cfg(test)]
mod tests;
