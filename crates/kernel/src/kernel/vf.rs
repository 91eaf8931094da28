//! VF settings of a PF: sent, read back, and set back when the driver refuses one.

use podbond_names::{LinkName, Mac};

use super::Kernel;
use crate::{Error, Netns, Result, Step, VfSettings, netlink};

impl Kernel {
    pub(super) fn set_vf(
        &mut self,
        step: &Step,
        pf: &LinkName,
        vf: u16,
        from: &VfSettings,
        to: &VfSettings,
    ) -> Result<()> {
        let wanted =
            if to.is_whole() { to.clone() } else { to.completed(&self.vf_settings(pf, vf)?) };
        let result = self.send_vf(step, pf, vf, &wanted).and_then(|()| {
            let shown = self.vf_settings(pf, vf)?;
            let ignored = ignored(&wanted, &shown);
            if ignored.is_empty() {
                return Ok(());
            }
            Err(Error::NotTaken {
                object: format!("VF {vf} of {pf}"),
                wanted: ignored.to_string(),
                shown: shown.mismatches(&ignored).to_string(),
            })
        });
        result.inspect_err(|_| {
            // The driver takes settings one by one: those before the refused one are set back.
            // What is reported is why the change failed.
            let _ = self.vf_settings(pf, vf).and_then(|shown| {
                let back = from.mismatches(&shown).completed(&shown);
                if back.is_empty() { Ok(()) } else { self.send_vf(step, pf, vf, &back) }
            });
        })
    }

    fn send_vf(&mut self, step: &Step, pf: &LinkName, vf: u16, to: &VfSettings) -> Result<()> {
        let message = |index| netlink::set_vf(index, vf, to);
        self.handle(Netns::Host)?.change_link(step, pf, message)
    }

    fn vf_settings(&mut self, pf: &LinkName, vf: u16) -> Result<VfSettings> {
        let (_, vfs) = self.handle(Netns::Host)?.vfs(pf, |index| index == vf)?;
        Ok(vfs.into_iter().next().map(|(_, settings)| settings).unwrap_or_default())
    }
}

/// Returns the wanted settings that the kernel shows otherwise.
fn ignored(wanted: &VfSettings, shown: &VfSettings) -> VfSettings {
    let mut ignored = wanted.mismatches(shown);
    // Zero asks the driver to forget the address that it was given; some then show the one that
    // the VF has chosen for itself.
    ignored.mac = ignored.mac.filter(|mac| *mac != Mac::ZERO);
    ignored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mac: Mac, trust: bool) -> VfSettings {
        VfSettings { mac: Some(mac), trust: Some(trust), ..VfSettings::default() }
    }

    #[test]
    fn ignored_setting_is_named() {
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        let (on, off) = (settings(mac, true), settings(mac, false));
        assert_eq!(ignored(&on, &off).to_string(), "trust on");
        assert_eq!(off.mismatches(&ignored(&on, &off)).to_string(), "trust off");
        assert!(ignored(&on, &on).is_empty());
    }

    #[test]
    fn forgotten_mac_may_be_replaced_by_the_driver() {
        let shown = settings(Mac::new([2, 0, 0, 0, 0, 1]), true);
        assert!(ignored(&settings(Mac::ZERO, true), &shown).is_empty());
    }
}
