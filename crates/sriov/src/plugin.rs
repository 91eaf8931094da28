use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_cni::{
    CniResult, Command, Delegates, Failure, Interface, NodeRequest, Plugin, Request,
};
use podbond_ipam::{Addresses, Found, attach};
use podbond_kernel::{Apply, At, Kernel, Vf, is_netns};
use podbond_names::{LinkName, Mac, PciAddress};

use crate::check::differences;
use crate::observe::{look, observe};
use crate::plan::{is_userspace, plan};
use crate::release::{Release, release};
use crate::state::Record;
use crate::store::Store;
use crate::{Config, Error};

/// How long DEL waits for a link that the kernel is giving back from a namespace that is gone, and
/// for a driver that is busy with its last reset.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// How often it looks.
const RELEASE_PAUSE: Duration = Duration::from_millis(50);

/// The VF plugin.
#[derive(Debug, Clone)]
pub struct Sriov {
    store: Store,
}

impl Default for Sriov {
    /// With its files where the incumbent keeps them.
    fn default() -> Self {
        Self::with_files_in("/var/lib/cni/sriov")
    }
}

impl Sriov {
    /// With its files in `dir`.
    pub fn with_files_in(dir: impl Into<PathBuf>) -> Self {
        Self { store: Store::new(dir.into()) }
    }

    /// The network namespace path of the pod that is alive and holds a VF.
    pub fn holder(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        self.store.holder(pci)
    }

    fn make(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Error> {
        let config = Config::parse(&request.config, &request.args)?;
        let pci = config.device;
        let mut kernel = Kernel::with_pod(netns(request)?)?;
        if kernel.sysfs().pf_of(pci)?.is_none() {
            return Err(Error::NotAVf { pci });
        }
        let _lock = self.store.lock(pci)?;
        if let Some(netns) = self.store.holder(pci)? {
            return Err(Error::Held { pci, netns });
        }
        self.finish_for_the_dead(&mut kernel, pci)?;
        let path = self.store.record_path(&request.container_id, &request.ifname);
        if path.exists() {
            return Err(Error::AlreadyAdded { ifname: request.ifname.clone(), path });
        }

        let view = observe(&mut kernel, pci, &request.ifname)?;
        let steps = plan(&config, &request.ifname, &view)?;
        let vf = view.vf(pci).ok_or(Error::NotAVf { pci })?;
        let record = Record::new(request, &config, vf, &view);
        self.store.save(&path, &record).inspect_err(|_| self.forget(&path, pci))?;
        let (addresses, link) = if is_userspace(vf) {
            (Addresses::InResultOnly, None)
        } else {
            (Addresses::OnLink, Some(&request.ifname))
        };
        let finish = |kernel: &mut Kernel, ipam| answer(kernel, request, &config, vf, link, ipam);
        let made = attach(&mut kernel, steps, addresses, request, delegates, finish);
        Ok(made.inspect_err(|_| {
            // All is undone by now; this looks whether it is so. Where it is not, the record stays,
            // for the DEL with which a runtime answers a failed ADD.
            if bring_back(&mut kernel, &record).is_ok() {
                self.forget(&path, pci);
            }
        })?)
    }

    /// Puts a VF back as it was when its last holder has gone without a DEL, so that the next pod
    /// gets none of its settings. The address that the pod had is given back by its own DEL.
    fn finish_for_the_dead(&self, kernel: &mut Kernel, pci: PciAddress) -> Result<(), Error> {
        if self.store.claim(pci)?.is_none() {
            return Ok(());
        }
        for (path, record) in self.store.records_of(pci)? {
            bring_back(kernel, &record)?;
            podbond_state::remove(&path)?;
        }
        self.store.remove_claim(pci)
    }

    fn remove(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let path = self.store.record_path(&request.container_id, &request.ifname);
        let Some(record) = Store::load(&path)? else {
            // Nothing but a lease can be there.
            delegates.ipam(Command::Del, request)?;
            return Ok(podbond_state::remove(&path)?);
        };
        let _lock = self.store.lock(record.device)?;
        // As it was at ADD: the configuration may have been changed since.
        let config = record.config().unwrap_or_else(|| request.config.clone());
        let needs_link = podbond_ipam::lease_needs_link(&config);
        let added = Request { config, ..request.clone() };
        let give_back = || delegates.ipam(Command::Del, &added).map(drop).map_err(Error::Attaching);
        // The link goes before the lease, so that no address is given out while it is still in use,
        // unless the lease needs the link; an error in one does not keep the other.
        let first = if needs_link { give_back() } else { Ok(()) };
        let vf = self.bring_back_if_held(request.netns.as_ref(), &record);
        let last = if needs_link { Ok(()) } else { give_back() };
        let errors = [first, vf, last];
        Error::all(errors.into_iter().filter_map(Result::err).collect())?;
        Ok(podbond_state::remove(&path)?)
    }

    /// Takes back the VFs of this network's attachments that are not valid any more.
    fn sweep(&self, request: &NodeRequest) -> Vec<Error> {
        let valid: BTreeSet<PathBuf> = request
            .valid_attachments
            .iter()
            .map(|attachment| self.store.record_path(&attachment.container_id, &attachment.ifname))
            .collect();
        let (records, unfinished) = match (self.store.records(), self.store.unfinished()) {
            (Ok(records), Ok(unfinished)) => (records, unfinished),
            (Err(error), _) | (_, Err(error)) => return vec![error],
        };
        let is_invalid = |(path, record): &(PathBuf, Record)| {
            record.network() == Some(&request.config.name) && !valid.contains(path)
        };
        let take_back = |(path, record): (PathBuf, Record)| {
            let _lock = self.store.lock(record.device)?;
            self.bring_back_if_held(None, &record)?;
            Ok(podbond_state::remove(&path)?)
        };
        // Nothing was done yet for a record that is not in force.
        let forget = |(path, record): (PathBuf, Record)| {
            let _lock = self.store.lock(record.device)?;
            Ok(podbond_state::remove(&path)?)
        };
        let taken = records.into_iter().filter(is_invalid).map(take_back);
        let forgotten = unfinished.into_iter().filter(is_invalid).map(forget);
        taken.chain(forgotten).filter_map(Result::err).collect()
    }

    /// Puts the VF back, unless another pod took it over when our namespace was gone.
    ///
    /// `netns` is what the runtime says of it, if anything.
    fn bring_back_if_held(&self, netns: Option<&PathBuf>, record: &Record) -> Result<(), Error> {
        let pci = record.device;
        let ours = record.netns.as_ref().or(netns);
        let claim = self.store.claim(pci)?;
        let taken_over = match (&claim, ours) {
            (Some(claim), Some(ours)) => claim != ours,
            // Nobody says which namespace was ours: with a second record the claim is its.
            (Some(claim), None) => is_netns(claim) && self.store.records_of(pci)?.len() > 1,
            (None, _) => false,
        };
        if taken_over {
            return Ok(());
        }
        let known = [netns, ours, claim.as_ref()];
        let mut kernel = match known.into_iter().flatten().find(|path| is_netns(path)) {
            Some(netns) => Kernel::with_pod(netns)?,
            None => Kernel::host()?,
        };
        bring_back(&mut kernel, record)?;
        self.store.remove_claim(pci)
    }

    /// Removes the files of an ADD that failed. What cannot be removed is harmless: it tells of a
    /// VF that is as it was.
    fn forget(&self, path: &Path, pci: PciAddress) {
        let _ = self.store.remove_claim(pci);
        let _ = podbond_state::remove(path);
    }
}

impl Plugin for Sriov {
    fn name(&self) -> &'static str {
        "sriov"
    }

    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        self.make(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.remove(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        verify(request).map_err(|error| error.into_failure(&request.config.name))?;
        delegates.ipam(Command::Check, request).map(drop)
    }

    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let mut errors = self.sweep(request);
        // "Plugins MUST, additionally, forward any GC calls to delegated plugins they are
        // configured to use" (section "GC").
        errors.extend(delegates.ipam_gc(request).err().map(Error::Attaching));
        Error::all(errors).map_err(|error| error.into_failure(&request.config.name))
    }
}

fn netns(request: &Request) -> Result<&Path, Error> {
    request.netns.as_deref().ok_or(Error::NetnsMissing)
}

/// Compares what is with what ADD would make and with what it answered.
fn verify(request: &Request) -> Result<(), Error> {
    let config = Config::parse(&request.config, &request.args)?;
    let mut kernel = Kernel::with_pod(netns(request)?)?;
    let view = observe(&mut kernel, config.device, &request.ifname)?;
    let found = Found::on(&mut kernel, &At::pod(request.ifname.clone()))?;
    let expected = request.config.prev_result.as_ref().ok_or(Error::PrevResultMissing)?;
    let differences = differences(&config, &request.ifname, &view, expected, &found);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Error::Differs { ifname: request.ifname.clone(), differences })
    }
}

/// Takes steps towards what was until none is left. An error counts only while something is left to
/// do: a driver that is busy is asked again.
fn bring_back(kernel: &mut Kernel, record: &Record) -> Result<(), Error> {
    let names: Vec<At> = record.original.link.clone().map(At::host).into_iter().collect();
    let start = Instant::now();
    let mut last = Vec::new();
    loop {
        let view = look(kernel, record.device, &names)?;
        let (steps, errors) = match release(record.device, &record.original, &view) {
            Release::Done => return Ok(()),
            Release::LinkElsewhere => {
                let reason = "its network interface is in another network namespace";
                (Vec::new(), vec![reason.to_owned()])
            }
            Release::Steps(steps) => {
                let errors = steps.iter().filter_map(|step| kernel.apply(step).err());
                let errors = errors.map(|error| error.to_string()).collect();
                (steps, errors)
            }
        };
        if errors.is_empty() && steps != last {
            last = steps;
            continue;
        }
        if start.elapsed() > RELEASE_PATIENCE {
            let undone = steps.iter().map(|step| format!("left to do: {step}"));
            let left = if errors.is_empty() { undone.collect() } else { errors };
            return Err(Error::NotRestored { pci: record.device, left });
        }
        sleep(RELEASE_PAUSE);
    }
}

/// Announces the addresses and gives the result: one interface, with its address and MTU as the
/// kernel now shows them.
fn answer(
    kernel: &mut Kernel,
    request: &Request,
    config: &Config,
    vf: &Vf,
    link: Option<&LinkName>,
    ipam: Option<CniResult>,
) -> Result<CniResult, Failure> {
    let refused =
        |error: podbond_kernel::Error| podbond_ipam::failure(&request.config.name, &error);
    let shown = match link {
        Some(name) => kernel.link(&At::pod(name.clone())).map_err(refused)?,
        None => None,
    };
    let mac = match &shown {
        Some(link) => link.mac,
        None => config.mac.or(vf.settings.mac).filter(|mac| *mac != Mac::ZERO),
    };
    if let (Some(wanted), Some(shown)) = (config.mac, mac)
        && wanted != shown
    {
        let object = format!("mac of {}", request.ifname);
        let (wanted, shown) = (wanted.to_string(), shown.to_string());
        return Err(refused(podbond_kernel::Error::NotTaken { object, wanted, shown }));
    }
    if let (Some(_), Some(result)) = (link, &ipam) {
        podbond_ipam::settle(kernel, request, result)?;
        podbond_ipam::announce(kernel, &request.ifname, result);
    }
    let interface = Interface {
        name: request.ifname.clone(),
        mac,
        mtu: shown.map(|link| link.mtu),
        sandbox: request.netns.as_ref().map(|path| path.display().to_string()),
        socket_path: None,
        pci_id: Some(vf.pci.to_string()),
    };
    Ok(podbond_ipam::result(request.config.prev_result.as_ref(), ipam, interface))
}
