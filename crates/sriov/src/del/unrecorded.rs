//! DEL without a record: by the configuration, and by what the kernel and the claim show.

use podbond_cni::{Command, Delegates, NetConf, Request};
use podbond_ipam::Ipam;
use podbond_kernel::{Link, LinkRef, VfLinkState, VfSettings, VlanProtocol};
use podbond_names::PciAddress;

use super::kernel_of;
use super::restore::{look_for_link, restore};
use crate::config::keys::Keys;
use crate::observe::link_of;
use crate::record::VfBefore;
use crate::{Error, Sriov};

impl Sriov {
    /// DEL of an attachment of which nothing is recorded.
    pub(super) fn del_unrecorded(
        &self,
        device: Option<PciAddress>,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let ipam = Ipam { request, delegates };
        self.end(ipam, None, ipam.was_never_made(), || match device {
            Some(pci) => self.restore_unrecorded(pci, request, delegates),
            None => Ok(None),
        })
    }

    /// Restores the VF that a configuration names where it is plain that this attachment has it: its
    /// link is in the namespace under the interface's name, or the claim is that namespace's. Returns the
    /// VF whose claim is to be removed.
    fn restore_unrecorded(
        &self,
        pci: PciAddress,
        request: &Request,
        delegates: &Delegates<'_>,
    ) -> Result<Option<PciAddress>, Error> {
        let Some(netns) = request.netns.as_deref() else { return Ok(None) };
        if self.is_of_another(pci, &request.attachment())? {
            return Ok(None);
        }
        let claim = self.files.claim(pci)?;
        let is_claimed = claim.as_deref() == Some(netns);
        let mut kernel = kernel_of(request)?;
        let view = look_for_link(&mut kernel, pci, &request.ifname, is_claimed)?;
        let link = link_of(&view, pci);
        let target = LinkRef::pod(request.ifname.clone());
        if !is_claimed && link.as_ref().is_none_or(|(at, _)| *at != target) {
            return Ok(None);
        }
        let before = assumed(&request.config, link.map(|(_, link)| link));
        let warning = format_args!(
            "nothing is recorded of {}: VF {pci} is reset as its card makes it, perhaps under another \
             name and with another MTU than before; where its driver shows no permanent MAC address it \
             keeps that of the pod, until the PF's VFs are made anew (sriov_numvfs to 0, then apply its \
             policy)",
            request.ifname
        );
        delegates.warn(Command::Del, request, "warning", &warning);
        restore(&mut kernel, pci, &before)?;
        Ok(Some(pci))
    }
}

/// Returns what a VF was before an ADD with this configuration, as far as that can be assumed: what the
/// configuration sets was as a card makes its VFs.
fn assumed(conf: &NetConf, link: Option<&Link>) -> VfBefore {
    let permanent =
        link.and_then(|link| link.permanent_mac.filter(|_| link.mac != link.permanent_mac));
    let of_card = VfSettings {
        mac: permanent,
        vlan: Some(0),
        qos: Some(0),
        vlan_proto: Some(VlanProtocol::Dot1Q),
        spoofchk: Some(true),
        trust: Some(false),
        link_state: Some(VfLinkState::Auto),
        min_tx_rate: Some(0),
        max_tx_rate: Some(0),
    };
    let settings = Keys(&conf.raw).changed(&of_card);
    // An address that the configuration did not set is the one that the driver gives to the new link.
    VfBefore { mac: settings.mac, settings, ..VfBefore::default() }
}

#[cfg(test)]
mod tests {
    use podbond_kernel::Netns;
    use serde_json::json;

    use super::*;
    use crate::plan;
    use crate::testing::{config, name, net_conf, on_host};

    #[test]
    fn what_the_configuration_sets_is_reset() {
        let keys = json!({
            "vlan": 100, "vlanProto": "802.1ad", "trust": "on", "max_tx_rate": 50,
        });
        let mut view = on_host();
        let steps = plan(&config(&keys), &name("net1"), &view).unwrap();
        let before = view.vfs[0].settings.clone();
        view.apply(&steps);
        let at = LinkRef::pod(name("net1"));
        let link = view.link(Netns::Pod, &at.name).unwrap();
        let assumed = assumed(&net_conf(&keys), Some(link));
        assert_eq!(view.vfs[0].settings.with(&assumed.settings), before);
        assert_eq!((assumed.settings.spoofchk, assumed.settings.mac), (None, None));
    }
}
