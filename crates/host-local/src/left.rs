//! Leases of attachments that somebody knows to be gone, on whatever network.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use podbond_cni::{Attachment, Failure};

use crate::config::DATA_DIR;
use crate::error::Error;
use crate::index::INDEXES;
use crate::lease::{Holder, Lease};
use crate::store::Store;

/// The lease of an attachment that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// The network.
    pub network: String,
    /// The address.
    pub address: IpAddr,
    /// Whose it was, for people.
    pub holder: String,
    dir: PathBuf,
    lease: Holder,
}

/// The leases of these attachments on all networks that keep theirs where they are kept by default.
/// What tells of a container alone is nobody's in particular, and is left out. Nothing is locked or
/// changed.
pub fn left_behind(gone: &BTreeSet<Attachment>) -> Result<Vec<LeftBehind>, Failure> {
    Ok(left_in(Path::new(DATA_DIR), gone)?)
}

/// Gives a lease back, unless somebody else has the address by now.
pub fn give_back(left: &LeftBehind) -> Result<(), Failure> {
    Ok(release(left, Path::new(INDEXES))?)
}

fn left_in(data: &Path, gone: &BTreeSet<Attachment>) -> Result<Vec<LeftBehind>, Error> {
    let mut left = Vec::new();
    if gone.is_empty() {
        return Ok(left);
    }
    for network in podbond_state::names(data)? {
        let dir = data.join(&network);
        if !dir.is_dir() {
            continue;
        }
        for name in podbond_state::names(&dir)? {
            let Ok(address) = name.parse() else { continue };
            let Some(content) = podbond_state::read(&dir.join(&name))? else { continue };
            let lease = Holder::parse(&String::from_utf8_lossy(&content));
            if matches!(lease, Holder::Interface { .. }) && lease.is_among(gone) {
                let (network, holder) = (network.clone(), lease.to_string());
                left.push(LeftBehind { network, address, holder, dir: dir.clone(), lease });
            }
        }
    }
    Ok(left)
}

fn release(left: &LeftBehind, indexes: &Path) -> Result<(), Error> {
    let Some(mut store) = Store::open(&left.dir, indexes)? else { return Ok(()) };
    if store.holder_of(left.address)?.as_ref() != Some(&left.lease) {
        return Ok(());
    }
    store.release(&Lease { address: left.address, holder: left.lease.clone() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_leases_of_those_who_are_gone_are_found_and_given_back_and_no_others() {
        let data = tempfile::tempdir().unwrap();
        for (network, address, content) in [
            ("a", "10.0.0.2", "dead\r\nnet1"),
            ("a", "10.0.0.3", "dead\r\nnet2"),
            ("a", "10.0.0.4", "other\r\nnet1"),
            ("a", "10.0.0.5", "dead"),
            ("a", "lock", ""),
            ("b", "fd00::2", "dead\r\nnet1"),
        ] {
            let dir = data.path().join(network);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(address), content).unwrap();
        }
        let gone: BTreeSet<Attachment> = [Attachment {
            container_id: "dead".to_owned().try_into().unwrap(),
            ifname: "net1".parse().unwrap(),
        }]
        .into();
        assert_eq!(left_in(data.path(), &BTreeSet::new()).unwrap(), []);
        let left = left_in(data.path(), &gone).unwrap();
        let told: Vec<String> = left
            .iter()
            .map(|left| format!("{} {} {}", left.network, left.address, left.holder))
            .collect();
        let holder = "net1 of container dead";
        assert_eq!(told, [format!("a 10.0.0.2 {holder}"), format!("b fd00::2 {holder}")]);

        // Given to another one meanwhile.
        fs::write(data.path().join("b/fd00::2"), "new\r\nnet1").unwrap();
        for lease in &left {
            release(lease, Path::new("/proc")).unwrap();
        }
        assert_eq!(left_in(data.path(), &gone).unwrap(), []);
        let names = |network: &str| podbond_state::names(&data.path().join(network)).unwrap();
        assert_eq!(names("a"), ["10.0.0.3", "10.0.0.4", "10.0.0.5", "lock"]);
        assert_eq!(names("b"), ["fd00::2", "lock"]);
    }
}
