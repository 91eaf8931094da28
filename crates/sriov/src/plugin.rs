use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_cni::{
    CniResult, Command, Delegates, Failure, Interface, NodeRequest, Plugin, Request,
};
use podbond_ipam::{Addresses, Debts, Found, Ipam, Lease, attach};
use podbond_kernel::{Apply, Kernel, LinkRef, Vf, no_netns};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_state::Lock;

use crate::check::{differences, expected_settings};
use crate::observe::{look, observe};
use crate::plan::{find, is_userspace, plan};
use crate::release::{Original, Release, release, unknown_mac};
use crate::state::Record;
use crate::store::Store;
use crate::{Config, Error};

/// How long DEL waits for a link that the kernel is giving back from a namespace that is gone, and
/// for a driver that is busy with its last reset.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// How often it looks.
const RELEASE_PAUSE: Duration = Duration::from_millis(50);

/// Where its records and claims are: where the incumbent keeps its own.
pub const DIR: &str = "/var/lib/cni/sriov";

/// The VF plugin.
#[derive(Debug, Clone)]
pub struct Sriov {
    pub(crate) store: Store,
    pub(crate) debts: Debts,
}

impl Default for Sriov {
    /// With its files where the incumbent keeps them, and copies that go when the node does: it takes
    /// what they tell of along.
    fn default() -> Self {
        let store = Store::new(DIR.into(), "/run/podbond/vfs".into());
        Self { store, debts: Debts::default() }
    }
}

impl Sriov {
    /// With its files in `dir`.
    pub fn with_files_in(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let copies = dir.join("copies");
        Self { store: Store::new(dir, copies), debts: Debts::default() }
    }

    /// With the debts of IPAM plugins in `dir`.
    #[must_use]
    pub fn with_debts_in(self, dir: impl Into<PathBuf>) -> Self {
        Self { debts: Debts::new(dir), ..self }
    }

    /// The network namespace path of the pod that is alive and holds a VF.
    pub fn holder(&self, pci: PciAddress) -> Result<Option<PathBuf>, Error> {
        self.store.holder(pci)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn make(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Error> {
        let config = Config::parse(&request.config, &request.args)?;
        let pci = config.device;
        let mut kernel = Kernel::with_pod(netns(request)?)?;
        if kernel.sysfs().pf_of(pci)?.is_none() {
            return Err(Error::NotAVf { pci });
        }
        let _attachment = Store::lock_attachment(&request.container_id, &request.ifname)?;
        let _vf = self.store.lock(pci)?;
        let path = self.store.record_path(&request.container_id, &request.ifname);
        let already = || Error::AlreadyAdded { ifname: request.ifname.clone(), path: path.clone() };
        if let Some(netns) = self.store.holder(pci)? {
            return Err(if path.exists() { already() } else { Error::Held { pci, netns } });
        }
        self.finish_for_the_dead(&mut kernel, pci)?;
        if path.exists() {
            return Err(already());
        }

        let view = observe(&mut kernel, pci, &request.ifname)?;
        let steps = plan(&config, &request.ifname, &view)?;
        let vf = view.vf(pci).ok_or(Error::NotAVf { pci })?;
        let record = Record::new(request, &config, vf, &view);
        self.store.save(&path, &request.ifname, &record)?;
        let (addresses, link) = if is_userspace(vf) {
            (Addresses::InResultOnly, None)
        } else {
            (Addresses::OnLink, Some(&request.ifname))
        };
        let ipam = Ipam { request, delegates, debts: &self.debts };
        let finish = |kernel: &mut Kernel, leased| answer(kernel, ipam, &config, vf, link, leased);
        attach(&mut kernel, steps, addresses, ipam, finish).map_err(|failed| {
            // All is undone by now; this looks whether it is so. Where it is not, the record stays,
            // for the DEL with which a runtime answers a failed ADD.
            let is_back = bring_back(&mut kernel, pci, &record.original).is_ok();
            if is_back && failed.lease == Lease::Never {
                self.forget(&path, pci);
            }
            failed.cause.into()
        })
    }

    /// Puts a VF back as it was when its last holder has gone without a DEL, so that the next pod
    /// gets none of its settings. The address that the pod had is given back by its own DEL.
    fn finish_for_the_dead(&self, kernel: &mut Kernel, pci: PciAddress) -> Result<(), Error> {
        for (path, record) in self.store.records_of(pci)? {
            // Its claim on the VF is lost, and it lives.
            if let Some(netns) = record.netns.filter(|netns| !no_netns(netns)) {
                return Err(Error::Held { pci, netns });
            }
            bring_back(kernel, pci, &record.original)?;
            self.store.remove_record(&path)?;
        }
        match self.store.claim(pci)? {
            Some(_) => self.store.remove_claim(pci),
            None => Ok(()),
        }
    }

    pub(crate) fn remove(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let _attachment = or_none(Store::lock_attachment(&request.container_id, &request.ifname))?;
        let path = self.store.record_path(&request.container_id, &request.ifname);
        let device = match self.store.find(&path)? {
            Some((_, record)) => Some(record.device),
            None => device_of(request),
        };
        let _vf = device.map_or(Ok(None), |device| or_none(self.store.lock(device)))?;
        // Once more: whoever had the lock of the VF may have put it back for us.
        let Some((from, record)) = self.store.find(&path)? else {
            // Nothing but a lease should be there.
            let vf = device
                .map_or(Ok(()), |vf| self.bring_back_unrecorded(vf, &path, request, delegates));
            let ipam = Ipam { request, delegates, debts: &self.debts };
            let lease = ipam.give_back(Lease::without_record(request)).map_err(Error::Attaching);
            Error::all([vf, lease].into_iter().filter_map(Result::err).collect())?;
            return self.store.remove_record(&path);
        };
        if from != path {
            let copy = format_args!(
                "there is no record at {}, or none that can be read: VF {} is put back by its copy {}",
                path.display(),
                record.device,
                from.display()
            );
            delegates.warn(Command::Del, request, "warning", &copy);
        }
        // As it was at ADD: the configuration may have been changed since.
        let config = record.config().unwrap_or_else(|| request.config.clone());
        let needs_link = podbond_ipam::lease_needs_link(&config);
        let added = Request { config, ..request.clone() };
        let ipam = Ipam { request: &added, delegates, debts: &self.debts };
        let give_back = || ipam.give_back(Lease::Possible).map_err(Error::Attaching);
        // The link goes before the lease, so that no address is given out while it is still in use,
        // unless the lease needs the link; an error in one does not keep the other.
        let first = if needs_link { give_back() } else { Ok(()) };
        let vf = self.bring_back_if_held(request.netns.as_ref(), &from, &record);
        let last = if needs_link { Ok(()) } else { give_back() };
        let errors = [first, vf, last];
        Error::all(errors.into_iter().filter_map(Result::err).collect())?;
        self.store.remove_record(&path)
    }

    /// Compares what is with what ADD would make and with what it answered, and asks for the lease.
    fn verify(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let mut config = Config::parse(&request.config, &request.args)?;
        let mut kernel = Kernel::with_pod(netns(request)?)?;
        let view = observe(&mut kernel, config.device, &request.ifname)?;
        let record = Store::load(&self.store.record_path(&request.container_id, &request.ifname))?;
        if let (Some(record), Some(vf)) = (record, view.vf(config.device)) {
            config.settings = expected_settings(&config, &record.original, &vf.settings);
        }
        let found = Found::on(&mut kernel, &LinkRef::pod(request.ifname.clone()))?;
        let expected = request.config.prev_result.as_ref().ok_or(Error::PrevResultMissing)?;
        let mut differences = differences(&config, &request.ifname, &view, expected, &found);
        match delegates.ipam_check(request) {
            Err(failure) if differences.is_empty() => return Err(failure.into()),
            Err(failure) => differences.push(failure.to_string()),
            Ok(()) => {}
        }
        if differences.is_empty() {
            Ok(())
        } else {
            Err(Error::Differs { ifname: request.ifname.clone(), differences })
        }
    }

    /// Puts the VF of the record in `path` back, unless another pod has taken it over.
    ///
    /// `netns` is what the runtime says of the pod's namespace, if anything.
    pub(crate) fn bring_back_if_held(
        &self,
        netns: Option<&PathBuf>,
        path: &Path,
        record: &Record,
    ) -> Result<(), Error> {
        if self.store.is_taken_over(path, record, netns)? {
            return Ok(());
        }
        let pci = record.device;
        let claim = self.store.claim(pci)?;
        let known = [netns, record.netns.as_ref(), claim.as_ref()];
        let mut kernel =
            Kernel::with_pod_if_any(known.into_iter().flatten().map(PathBuf::as_path))?;
        bring_back(&mut kernel, pci, &record.original)?;
        self.store.remove_claim(pci)
    }

    /// Puts the VF that a configuration names back, when its record is lost and it is plain that this
    /// attachment has it. What it was before is guessed.
    fn bring_back_unrecorded(
        &self,
        pci: PciAddress,
        path: &Path,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        if !self.store.records_of(pci)?.is_empty() || self.store.may_be_anothers(path, pci)? {
            return Ok(());
        }
        let ours = request.netns.as_ref();
        let mut kernel = Kernel::with_pod_if_any(ours.map(PathBuf::as_path))?;
        let home = LinkRef::pod(request.ifname.clone());
        let claim = self.store.claim(pci)?;
        let has_claim =
            claim.is_some_and(|claim| ours == Some(&claim) || (path.exists() && no_netns(&claim)));
        let start = Instant::now();
        let view = loop {
            let view = look(&mut kernel, pci, std::slice::from_ref(&home))?;
            // From a namespace that is gone the kernel gives the link back at its leisure.
            let is_back = find(&view, pci).is_some()
                || !view.vf(pci).is_some_and(|vf| vf.driver.is_some() && !is_userspace(vf));
            if is_back || !has_claim || start.elapsed() > RELEASE_PATIENCE {
                break view;
            }
            sleep(RELEASE_PAUSE);
        };
        let link = find(&view, pci);
        if !has_claim && link.as_ref().is_none_or(|(at, _)| *at != home) {
            return Ok(());
        }
        let original =
            Original::presumed(&request.config, link.as_ref().map(|(at, link)| (at, *link)));
        let mac = link.as_ref().and_then(|(_, link)| unknown_mac(link)).unwrap_or_default();
        let presumed = format_args!(
            "there is no record at {}, or none that can be read: VF {pci} is put back as its card \
             makes it, perhaps under another name and with another MTU than before{mac}",
            path.display()
        );
        delegates.warn(Command::Del, request, "warning", &presumed);
        bring_back(&mut kernel, pci, &original)?;
        self.store.remove_claim(pci)
    }

    /// Removes the files of an ADD that failed. What cannot be removed is harmless: it tells of a
    /// VF that is as it was.
    fn forget(&self, path: &Path, pci: PciAddress) {
        let _ = self.store.remove_claim(pci);
        let _ = self.store.remove_record(path);
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
        self.verify(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.readiness(request, delegates)
    }

    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.sweep(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }
}

fn netns(request: &Request) -> Result<&Path, Error> {
    request.netns.as_deref().ok_or(Error::NetnsMissing)
}

/// The VF that a configuration names, if it does.
fn device_of(request: &Request) -> Option<PciAddress> {
    request.config.raw.get("deviceID")?.as_str()?.parse().ok()
}

/// A lock for DEL. One that cannot be made, as on a full disk, must not keep a VF from its node.
fn or_none(lock: Result<Lock, Error>) -> Result<Option<Lock>, Error> {
    match lock {
        Err(Error::State(error)) if !error.is_locked() => Ok(None),
        lock => lock.map(Some),
    }
}

/// Takes steps towards what was until none is left. An error counts only while something is left to
/// do: a driver that is busy is asked again.
fn bring_back(kernel: &mut Kernel, pci: PciAddress, original: &Original) -> Result<(), Error> {
    let names: Vec<LinkRef> = original.link.clone().map(LinkRef::host).into_iter().collect();
    let start = Instant::now();
    let mut last = Vec::new();
    loop {
        let view = look(kernel, pci, &names)?;
        let (steps, errors) = match release(pci, original, &view) {
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
            return Err(Error::NotRestored { pci, left });
        }
        sleep(RELEASE_PAUSE);
    }
}

/// Announces the addresses and gives the result: one interface, with its address and MTU as the
/// kernel now shows them.
fn answer(
    kernel: &mut Kernel,
    asked: Ipam<'_>,
    config: &Config,
    vf: &Vf,
    link: Option<&LinkName>,
    ipam: Option<CniResult>,
) -> Result<CniResult, Failure> {
    let request = asked.request;
    let refused =
        |error: podbond_kernel::Error| podbond_ipam::failure(&request.config.name, &error);
    let shown = match link {
        Some(name) => kernel.link(&LinkRef::pod(name.clone())).map_err(refused)?,
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
        asked.settle(kernel, result)?;
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
