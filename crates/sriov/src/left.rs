//! What attachments leave on the node whose pods went away without a DEL.

use std::path::{Path, PathBuf};

use podbond_cni::{Args, ContainerId, Delegates, NetConf, Request};
use podbond_names::{LinkName, PciAddress};
use serde_json::json;

use crate::state::Record;
use crate::store::Store;
use crate::{Error, Sriov};

/// An attachment whose namespace is gone, by its record: ours, or the incumbent's.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftBehind {
    /// The container.
    pub container: ContainerId,
    /// The interface that it had.
    pub ifname: LinkName,
    /// The VF.
    pub device: PciAddress,
    /// The namespace that is gone.
    pub netns: PathBuf,
    /// What it was asked for, as far as the record tells.
    config: Option<NetConf>,
}

impl Sriov {
    /// The attachments whose namespace is gone, as `is_gone` tells of its path. The incumbent's
    /// record does not name it: the claim on the VF does, and without one nobody knows.
    pub fn left_behind(&self, is_gone: impl Fn(&Path) -> bool) -> Result<Vec<LeftBehind>, Error> {
        let mut left = Vec::new();
        for (path, record) in self.store().records()? {
            let netns = match &record.netns {
                Some(netns) => Some(netns.clone()),
                None => self.store().claim(record.device)?,
            };
            let Some(netns) = netns.filter(|netns| is_gone(netns)) else { continue };
            if let Some((container, ifname)) = attachment(&path, &record) {
                let (device, config) = (record.device, record.config());
                left.push(LeftBehind { container, ifname, device, netns, config });
            }
        }
        Ok(left)
    }

    /// The claims on VFs for namespaces that are gone, and of which no record is left.
    pub fn claims_left_behind(
        &self,
        is_gone: impl Fn(&Path) -> bool,
    ) -> Result<Vec<(PciAddress, PathBuf)>, Error> {
        let claims = self.store().claims()?;
        let records: Vec<Record> =
            self.store().records()?.into_iter().map(|(_, record)| record).collect();
        let recorded = |pci| records.iter().any(|record| record.device == pci);
        Ok(claims.into_iter().filter(|(pci, netns)| is_gone(netns) && !recorded(*pci)).collect())
    }

    /// DEL of an attachment that was left behind: its VF is found by its PCI address, whatever it is
    /// called by now, and put back as it was; its address is given back.
    pub fn remove_left_behind(
        &self,
        left: &LeftBehind,
        path: &[PathBuf],
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let (container, ifname) = (left.container.clone(), left.ifname.clone());
        let config = left.config.clone().map_or_else(nameless, Ok)?;
        self.remove(&del((container, ifname), config, path), delegates)
    }

    /// Gives up a claim for a namespace that is gone, unless somebody else has it by now.
    pub fn drop_claim(&self, pci: PciAddress, netns: &Path) -> Result<(), Error> {
        let _lock = self.store().lock(pci)?;
        match self.store().claim(pci)? {
            Some(claim) if claim == netns => self.store().remove_claim(pci),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Who has claimed which VF. Directories and files of another name are not looked at.
    fn claims(&self) -> Result<Vec<(PciAddress, PathBuf)>, Error> {
        let mut claims = Vec::new();
        for name in podbond_state::names(&self.claims_dir())? {
            if let Ok(pci) = name.parse() {
                claims.extend(self.claim(pci)?.map(|netns| (pci, netns)));
            }
        }
        Ok(claims)
    }
}

/// The DEL of the attachment that a record is about; none where nothing tells which that is.
pub(crate) fn del_of(path: &Path, record: &Record, plugins: &[PathBuf]) -> Option<Request> {
    let config = record.config().or_else(|| nameless().ok())?;
    Some(del(attachment(path, record)?, config, plugins))
}

fn del(
    (container_id, ifname): (ContainerId, LinkName),
    config: NetConf,
    plugins: &[PathBuf],
) -> Request {
    let (args, path) = (Args::default(), plugins.to_vec());
    Request { container_id, netns: None, ifname, args, path, config }
}

/// The two parts of a record's file name. Both may hold the `-` between them. Where the record does not
/// tell the interface, it is what follows the 64 digits that a runtime gives a container, or else what
/// has no `-`.
fn attachment(path: &Path, record: &Record) -> Option<(ContainerId, LinkName)> {
    let is_runtimes = |id: &str| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = path.file_name()?.to_str()?;
    let (container, ifname) = match &record.ifname {
        Some(ifname) => (name.strip_suffix(ifname.as_str())?.strip_suffix('-')?, ifname.as_str()),
        None => name
            .split_once('-')
            .filter(|(id, _)| is_runtimes(id))
            .or_else(|| name.rsplit_once('-'))?,
    };
    Some((ContainerId::try_from(container.to_owned()).ok()?, ifname.parse().ok()?))
}

/// For a record whose configuration cannot be read: it tells of the VF all the same.
fn nameless() -> Result<NetConf, Error> {
    Ok(NetConf::parse(json!({"type": "sriov", "name": "unknown"}).to_string().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{PCI, pci};

    const DEAD: &str = "/run/netns/dead";

    fn is_gone(netns: &Path) -> bool {
        netns == Path::new(DEAD)
    }

    /// A state directory with these files.
    fn with(files: &[(&str, String)]) -> (tempfile::TempDir, Sriov) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("pci/vf_lock")).unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let sriov = Sriov::with_files_in(dir.path());
        (dir, sriov)
    }

    fn ours(netns: &str) -> String {
        let own = json!({"version": 1, "netns": netns, "original": {"settings": {}}});
        json!({"deviceID": PCI, "name": "n", "type": "sriov", "podbond": own}).to_string()
    }

    fn incumbents() -> String {
        json!({"deviceID": PCI, "name": "n", "type": "sriov", "OrigVfState": {}}).to_string()
    }

    fn claim(netns: &str) -> (&'static str, String) {
        ("pci/0000:02:10.4", netns.to_owned())
    }

    fn left(files: &[(&str, String)]) -> Vec<String> {
        let (_dir, sriov) = with(files);
        let left = sriov.left_behind(is_gone).unwrap();
        left.into_iter().map(|left| format!("{} {}", left.container, left.ifname)).collect()
    }

    #[test]
    fn a_record_is_left_behind_when_its_namespace_is_gone() {
        assert_eq!(left(&[("c-1-net1", ours(DEAD)), claim(DEAD)]), ["c-1 net1"]);
        assert_eq!(left(&[("c1-net1", ours(DEAD))]), ["c1 net1"]);
        assert_eq!(left(&[("c1-net1", ours("/run/netns/alive")), claim(DEAD)]), [""; 0]);
    }

    #[test]
    fn an_interface_may_have_a_hyphen() {
        let own = json!({
            "version": 1, "netns": DEAD, "ifname": "uplink-a", "original": {"settings": {}},
        });
        let told = json!({"deviceID": PCI, "name": "n", "podbond": own}).to_string();
        assert_eq!(left(&[("c-1-uplink-a", told.clone())]), ["c-1 uplink-a"]);
        assert_eq!(left(&[("c1-net1", told)]), [""; 0], "it is not its own record");
        let id = "0123456789abcdef".repeat(4);
        let name = format!("{id}-uplink-a");
        assert_eq!(left(&[(&name, ours(DEAD))]), [format!("{id} uplink-a")]);
    }

    #[test]
    fn the_incumbents_record_is_left_behind_when_the_claim_says_so() {
        assert_eq!(left(&[("c1-net1", incumbents()), claim(DEAD)]), ["c1 net1"]);
        assert_eq!(left(&[("c1-net1", incumbents()), claim("/run/netns/alive")]), [""; 0]);
        assert_eq!(left(&[("c1-net1", incumbents())]), [""; 0]);
    }

    #[test]
    fn what_is_torn_or_no_record_tells_of_nothing() {
        assert_eq!(left(&[("c1-net1", "{".to_owned()), ("net1", ours(DEAD))]), [""; 0]);
    }

    #[test]
    fn a_claim_is_left_behind_without_a_record_and_goes_unless_it_is_anothers() {
        let claims = |files: &[_]| with(files).1.claims_left_behind(is_gone).unwrap();
        assert_eq!(claims(&[claim(DEAD), ("c1-net1", ours(DEAD))]), []);
        assert_eq!(claims(&[claim("/run/netns/alive")]), []);
        let (dir, sriov) = with(&[claim(DEAD)]);
        let found = sriov.claims_left_behind(is_gone).unwrap();
        assert_eq!(found, [(pci(), PathBuf::from(DEAD))]);
        sriov.drop_claim(pci(), Path::new("/run/netns/other")).unwrap();
        assert!(dir.path().join("pci").join(PCI).exists());
        sriov.drop_claim(pci(), Path::new(DEAD)).unwrap();
        assert!(!dir.path().join("pci").join(PCI).exists());
    }

    #[test]
    fn a_record_whose_configuration_cannot_be_read_is_taken_back_by_its_vf() {
        assert_eq!(nameless().unwrap().plugin, "sriov");
    }
}
