//! ADD: gives a pod its VF.

mod plan;
mod previous_holder;

use std::path::Path;

use podbond_cni::{CniResult, Delegates, Failure, Interface, Request};
use podbond_ipam::{Addresses, Ipam, NotAttached, attach};
use podbond_kernel::{Kernel, LinkRef, NetnsIdentity, Vf};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_record::{LinkPart, Record, Room, State};

use crate::del::restore;
use crate::observe::{is_userspace, observe};
use crate::record::{PLUGIN, VfBefore};
use crate::sriov_cni::SriovCniRecord;
use crate::{Config, Error, Sriov};

pub use plan::plan;

/// The record of an attachment before its ADD: that of a chain's maker, or none.
type Given = Option<Box<Record>>;

impl Sriov {
    /// ADD: observes, plans, records and applies. One that fails leaves nothing, or a record with which
    /// DEL finishes.
    pub(crate) fn add_vf(
        &self,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<CniResult, Error> {
        let config = Config::parse(&request.config, &request.args)?;
        let netns = request.netns.as_deref().ok_or(Error::NetnsMissing)?;
        let mut kernel = Kernel::with_pod(netns)?;
        let identity = kernel.netns_identity(netns)?.ok_or(Error::NetnsMissing)?;
        let pci = config.device;
        if kernel.sysfs().pf_of(pci)?.is_none() {
            return Err(Error::NotAVf { pci });
        }
        let _attachment = self.records.lock(&request.attachment())?;
        let given = self.make_room(request, pci, delegates)?;
        let _vf = self.files.lock(pci)?;
        self.free_vf(&mut kernel, pci, request)?;

        let view = observe(&mut kernel, pci, &request.ifname)?;
        let steps = plan(&config, &request.ifname, &view)?;
        let vf = view.vf(pci).ok_or(Error::NotAVf { pci })?;
        let before = VfBefore::observed(vf, &view);
        let mut record = record_of(request, identity, given.as_deref(), &before, pci)?;
        let file = SriovCniRecord::of_add(&request.config, &config, vf, &before);
        let written = self.write_files(&record, &file, netns);
        written.inspect_err(|_| self.remove_files(&record, given.as_deref(), pci))?;
        let (addresses, link) = if is_userspace(vf) {
            (Addresses::InResultOnly, None)
        } else {
            (Addresses::OnLink, Some(&request.ifname))
        };
        let ipam = Ipam { request, delegates };
        let finish = |kernel: &mut Kernel, leased| {
            let result = answer(kernel, ipam, &config, vf, link, leased)?;
            self.write_result(&mut record, &result)?;
            Ok(result)
        };
        attach(&mut kernel, steps, addresses, ipam, finish).map_err(
            |NotAttached { cause, pending }| {
                // All is undone; this looks whether it is so. Where it is not, all files stay, for the DEL
                // with which a runtime answers.
                if restore(&mut kernel, pci, &before).is_ok() {
                    self.end_failed_add(record, given, pci, pending.as_deref());
                }
                cause.into()
            },
        )
    }

    /// Makes sure that nothing is recorded of the attachment but by its chain's maker. An earlier one
    /// whose namespace is over, or whose lease is pending, is deleted first.
    fn make_room(
        &self,
        request: &Request,
        pci: PciAddress,
        delegates: &Delegates<'_>,
    ) -> Result<Given, Error> {
        let attachment = request.attachment();
        if let Room::AfterDel(record) = self.records.room(&attachment)? {
            let del = record.del(&request.path).unwrap_or_else(|| request.clone());
            self.del_locked(&del, delegates)?;
        }
        let given = match self.records.room(&attachment)? {
            Room::Free => None,
            Room::InChain(record) => Some(record),
            Room::AfterDel(record) | Room::Taken(record) => {
                let (attachment, path) = (record.to_string(), self.records.path(&record));
                let added = Error::AlreadyAdded { attachment, path };
                return Err(Error::pending(&record).unwrap_or(added));
            }
        };
        // sriov-cni's record of the same VF is judged with the VF's holder.
        match self.files.record(&attachment)? {
            Some(file) if file.device != pci => {
                let path = self.files.record_path(&attachment);
                let attachment = format!("interface {} of this container", request.ifname);
                Err(Error::AlreadyAdded { attachment, path })
            }
            _ => Ok(given),
        }
    }

    /// Writes what DEL needs before anything is changed: our record, sriov-cni's, and the claim.
    fn write_files(
        &self,
        record: &Record,
        file: &SriovCniRecord,
        netns: &Path,
    ) -> Result<(), Error> {
        self.records.write(record)?;
        self.files.write_record(&record.attachment(), file)?;
        self.files.write_claim(file.device, netns)
    }

    /// Removes the files of an ADD that has changed nothing, or undone it. One that cannot be removed
    /// tells of a VF that is as it was, which is harmless.
    fn remove_files(&self, record: &Record, given: Option<&Record>, pci: PciAddress) {
        let attachment = record.attachment();
        let _ = self.files.remove_claim(pci);
        let _ = self.files.remove_record(&attachment);
        let _ = match given {
            Some(given) => self.records.write(given),
            None => self.records.remove(&attachment),
        };
    }

    /// Records the answer. In a chain its maker records that all is done.
    fn write_result(&self, record: &mut Record, result: &CniResult) -> Result<(), Failure> {
        if let Some(add) = &mut record.add {
            add.result = Some(result.clone());
        }
        if record.chain.is_none() {
            record.state = State::Active;
        }
        let written = self.records.write(record);
        written.map_err(|error| Error::from(error).into_failure(&record.network))
    }

    /// Ends an ADD that failed and whose VF is as before; a lease that is pending stays recorded.
    fn end_failed_add(&self, record: Record, given: Given, pci: PciAddress, pending: Option<&str>) {
        self.remove_files(&record, given.as_deref(), pci);
        if pending.is_some() {
            let devices = given.map(|given| given.devices).unwrap_or_default();
            let record = Record { link: None, devices, ..record };
            // Where it cannot be recorded, the failure's details tell of it.
            let _ = self.records.end_plugin(record, pending);
        }
    }
}

/// Returns the record of an ADD that begins, with what its chain's maker has recorded.
fn record_of(
    request: &Request,
    netns: NetnsIdentity,
    given: Option<&Record>,
    before: &VfBefore,
    pci: PciAddress,
) -> Result<Record, Error> {
    let mut record = Record::of_add(request, netns);
    if let Some(given) = given.cloned() {
        record.pod = given.pod.or(record.pod);
        (record.chain, record.devices) = (given.chain, given.devices);
        record.ipam_problem = given.ipam_problem;
    }
    if !record.devices.contains(&pci) {
        record.devices.push(pci);
    }
    record.link = Some(LinkPart::new(PLUGIN, before).map_err(Error::Unwritten)?);
    Ok(record)
}

/// Announces the addresses and returns the result: one interface, with its address and MTU as the
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
