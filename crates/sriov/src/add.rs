//! ADD: gives a pod its VF.

mod plan;
mod previous_holder;

use std::path::Path;

use podbond_cni::{CniResult, Command, Delegates, Failure, Interface, Request};
use podbond_ipam::{
    Addresses, Ipam, NotAttached, ROUTE_JOINED, ROUTE_JOINED_REMEDY, attach, joined_routes_of_lease,
};
use podbond_kernel::{Kernel, NetnsIdentity, Vf};
use podbond_names::{Mac, PciAddress};
use podbond_record::{Begun, Record};

use crate::del::restore;
use crate::observe::{is_userspace, observe};
use crate::record::{VfBefore, part};
use crate::sriov_cni::SriovCniRecord;
use crate::{Config, Error, Sriov};

pub use plan::plan;

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
        let mut begun = self.begin(request, identity, pci, delegates)?;
        let _vf = self.files.lock(pci)?;
        self.free_vf(&mut kernel, pci, request)?;

        let view = observe(&mut kernel, pci, &request.ifname)?;
        let steps = plan(&config, &request.ifname, &view)?;
        let vf = view.vf(pci).ok_or(Error::NotAVf { pci })?;
        let before = VfBefore::observed(vf, &view);
        begun.record.link = Some(part(&before, &config)?);
        if !begun.record.devices.contains(&pci) {
            begun.record.devices.push(pci);
        }
        let file = SriovCniRecord::of_add(&request.config, &config, vf, &before);
        if let Err(error) = self.write_files(&begun.record, &file, netns) {
            self.end_failed_add(begun, pci, None);
            return Err(error);
        }
        let addresses = if is_userspace(vf) { Addresses::InResultOnly } else { Addresses::OnLink };
        let ipam = Ipam { request, delegates };
        let finish = |kernel: &mut Kernel, lease| {
            let result = answer(kernel, ipam, &config, vf, lease)?;
            self.records.write_result(&begun.record, &result)?;
            Ok(result)
        };
        attach(&mut kernel, steps, addresses, ipam, finish).map_err(
            |NotAttached { cause, pending }| {
                // All is undone; this looks whether it is so. Where it is not, all files stay, for the DEL
                // with which a runtime answers.
                if restore(&mut kernel, pci, &before).is_ok() {
                    self.end_failed_add(begun, pci, pending.as_deref());
                }
                cause.into()
            },
        )
    }

    /// Returns the record with which an ADD begins, as [`Records::begin`](podbond_record::Records::begin)
    /// has it. sriov-cni's record of another VF is an error too.
    fn begin(
        &self,
        request: &Request,
        netns: NetnsIdentity,
        pci: PciAddress,
        delegates: &Delegates<'_>,
    ) -> Result<Begun, Error> {
        let del = |earlier: &Request| self.del_locked(earlier, delegates);
        let begun = self.records.begin(request, netns, del)?;
        // That of the same VF is judged with the VF's holder.
        match self.files.record(&request.attachment())? {
            Some(file) if file.device != pci => {
                let (attachment, path) =
                    (begun.record.to_string(), self.files.record_path(&request.attachment()));
                Err(podbond_record::Error::AlreadyAdded { attachment, path }.into())
            }
            _ => Ok(begun),
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

    /// Ends an ADD that has changed nothing, or undone it; a lease that is pending stays recorded. A file
    /// that cannot be removed tells of a VF that is as it was, which is harmless.
    fn end_failed_add(&self, begun: Begun, pci: PciAddress, pending: Option<&str>) {
        let _ = self.files.remove_claim(pci);
        let _ = self.files.remove_record(&begun.record.attachment());
        self.records.end_failed_add(begun, pending);
    }
}

/// Returns the result: one interface, with its address and MTU as the kernel now shows them, or of a VF
/// without a link with the address that it is given.
fn answer(
    kernel: &mut Kernel,
    ipam: Ipam<'_>,
    config: &Config,
    vf: &Vf,
    lease: Option<CniResult>,
) -> Result<CniResult, Failure> {
    let Request { ifname, config: conf, .. } = ipam.request;
    let mut interface = if is_userspace(vf) {
        let given = config.mac.or(vf.settings.mac).filter(|mac| *mac != Mac::ZERO);
        Interface { mac: given.map(|mac| mac.to_string()), ..ipam.interface(None) }
    } else {
        let link = ipam.settle(kernel, lease.as_ref())?;
        let joined = joined_routes_of_lease(kernel, ifname, lease.as_ref())
            .map_err(|error| podbond_ipam::failure(&conf.name, &error))?;
        for reason in joined {
            let what =
                format!("interface {ifname}: {reason}: {ROUTE_JOINED_REMEDY} ({ROUTE_JOINED})");
            ipam.delegates.warn(Command::Add, ipam.request, "warning", &what);
        }
        ipam.interface(link.as_ref())
    };
    interface.pci_id = Some(vf.pci.to_string());
    match (config.mac, interface.ethernet()) {
        (Some(wanted), Some(shown)) if wanted != shown => {
            let object = format!("mac of {ifname}");
            let (wanted, shown) = (wanted.to_string(), shown.to_string());
            let error = podbond_kernel::Error::NotTaken { object, wanted, shown };
            Err(podbond_ipam::failure(&conf.name, &error))
        }
        _ => Ok(ipam.result(lease, interface)),
    }
}
