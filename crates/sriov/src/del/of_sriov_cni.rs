//! DEL by sriov-cni's record: of what sriov-cni has added, or where ours cannot be read.

use std::path::Path;

use podbond_cni::{Delegates, Request};
use podbond_ipam::Ipam;
use podbond_kernel::{Netns, NetnsState, View};
use podbond_names::{LinkName, PciAddress};

use super::kernel_of;
use super::restore::{look_for_link, restore};
use crate::observe::{is_userspace, link_of};
use crate::record::VfBefore;
use crate::sriov_cni::SriovCniRecord;
use crate::{Error, Sriov};

impl Sriov {
    /// DEL by sriov-cni's record. It knows no boot, and may be older than the VF that is there: see
    /// [`may_restore`].
    pub(super) fn del_of_sriov_cni(
        &self,
        file: &SriovCniRecord,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let mut del = Request {
            config: file.conf().unwrap_or_else(|| request.config.clone()),
            ..request.clone()
        };
        del.config.set_prev_result(request.config.prev_result.clone());
        let ipam = Ipam { request: &del, delegates };
        self.end(ipam, None, false, || self.restore_of_sriov_cni(file, request))
    }

    /// Restores the VF of sriov-cni's record. Returns the VF whose claim is to be removed.
    fn restore_of_sriov_cni(
        &self,
        file: &SriovCniRecord,
        request: &Request,
    ) -> Result<Option<PciAddress>, Error> {
        let pci = file.device;
        if self.is_of_another(pci, &request.attachment())? {
            return Ok(None);
        }
        let claim = self.files.claim(pci)?;
        let is_claimed = is_claimed_by(claim.as_deref(), request.netns.as_deref());
        let mut kernel = kernel_of(request)?;
        let view = look_for_link(&mut kernel, pci, &request.ifname, is_claimed)?;
        // An ADD or a DEL of a pod that is alive may have been killed while the VF was on the node.
        let is_alive = is_claimed && kernel.has_pod();
        if is_alive || may_restore(&view, pci, &request.ifname, &file.before, is_claimed) {
            restore(&mut kernel, pci, &file.before)?;
        }
        Ok(is_claimed.then_some(pci))
    }
}

/// Returns whether a claim is that of the namespace that a runtime names; where it names none, of one
/// that is over.
fn is_claimed_by(claim: Option<&Path>, netns: Option<&Path>) -> bool {
    claim.is_some_and(|claim| match netns {
        Some(netns) => claim == netns || !claim.is_absolute(),
        None => NetnsState::of_path(claim).is_over(),
    })
}

/// Returns whether a VF is to be restored by sriov-cni's record: its link is in the pod, or on the node
/// under the pod's name for it or one that the kernel makes up. Under any other name it has been given
/// back, or is of a later boot. One without a link goes by its claim. Pure.
pub(crate) fn may_restore(
    view: &View,
    pci: PciAddress,
    ifname: &LinkName,
    before: &VfBefore,
    is_claimed: bool,
) -> bool {
    match link_of(view, pci) {
        Some((at, _)) if at.netns == Netns::Pod => true,
        Some((at, _)) => {
            at.name == *ifname || (is_made_by_kernel(&at.name) && before.link != Some(at.name))
        }
        None => is_claimed && view.vf(pci).is_some_and(is_userspace),
    }
}

/// Returns whether the kernel makes up such a name: `eth0` for a driver's new link, `dev9` for one whose
/// name is taken on the node when its namespace goes away.
fn is_made_by_kernel(name: &LinkName) -> bool {
    ["eth", "dev"].iter().any(|prefix| {
        let number = name.as_str().strip_prefix(prefix);
        number.is_some_and(|text| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use podbond_kernel::Link;

    use super::*;
    use crate::testing::{in_pod, link, name, on_host, pci, vf};

    fn restores(view: &View, is_claimed: bool) -> bool {
        let before = VfBefore::observed(&vf(), &on_host());
        may_restore(view, pci(), &name("net1"), &before, is_claimed)
    }

    fn called(name: &str) -> View {
        View { host: vec![link(name)], ..on_host() }
    }

    #[test]
    fn vf_is_restored_in_the_pod_or_under_the_pods_or_a_kernel_made_name() {
        let renamed = View { pod: vec![Link { ..link("other") }], ..in_pod() };
        for view in [in_pod(), renamed, called("net1"), called("dev9"), called("eth12")] {
            assert!(restores(&view, false), "{view:?}");
        }
    }

    #[test]
    fn vf_under_another_name_is_left() {
        for name in ["pf0v2", "ens1f0v2", "eth", "dev9x", "net2"] {
            assert!(!restores(&called(name), true), "{name}");
        }
        let before = VfBefore { link: Some(name("eth4")), ..VfBefore::default() };
        assert!(!may_restore(&called("eth4"), pci(), &name("net1"), &before, true));
        assert!(!restores(&View { host: Vec::new(), ..on_host() }, true));
    }

    #[test]
    fn vf_without_link_goes_by_its_claim() {
        let mut view = View { host: Vec::new(), ..on_host() };
        view.vfs[0].driver = Some("vfio-pci".to_owned());
        assert!(restores(&view, true));
        assert!(!restores(&view, false));
    }

    #[test]
    fn claim_is_that_of_the_runtimes_namespace_or_of_one_that_is_over() {
        let is = |claim: &str, netns: Option<&str>| {
            is_claimed_by(Some(Path::new(claim)), netns.map(Path::new))
        };
        assert!(is("/run/netns/p1", Some("/run/netns/p1")));
        assert!(!is("/run/netns/p2", Some("/run/netns/p1")));
        assert!(is("", Some("/run/netns/p1")) && is("", None));
        assert!(!is_claimed_by(None, None));
    }
}
