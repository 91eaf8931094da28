//! Leases of attachments that somebody knows to be gone, on whatever network.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use podbond_cni::{Attachment, Failure};

use crate::config::DATA_DIR;
use crate::error::Error;
use crate::index::INDEXES;
use crate::lease::{Holder, Lease};
use crate::store::{Store, read_lease};

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

/// The leases of these attachments on all networks that keep theirs where they are kept by default,
/// and why others cannot be read. What tells of a container alone is nobody's in particular, and is
/// left out. Nothing is locked or changed.
pub fn left_behind(gone: &BTreeSet<Attachment>) -> (Vec<LeftBehind>, Vec<Failure>) {
    let (left, errors) = left_in(Path::new(DATA_DIR), gone);
    (left, errors.into_iter().map(Failure::from).collect())
}

/// Gives a lease back, unless somebody else has the address by now.
pub fn give_back(left: &LeftBehind) -> Result<(), Failure> {
    Ok(release(left, Path::new(INDEXES))?)
}

fn left_in(data: &Path, gone: &BTreeSet<Attachment>) -> (Vec<LeftBehind>, Vec<Error>) {
    let (mut left, mut errors) = (Vec::new(), Vec::new());
    if gone.is_empty() {
        return (left, errors);
    }
    let mut names = |dir: &Path| {
        podbond_state::names(dir).unwrap_or_else(|error| {
            errors.push(error.into());
            Vec::new()
        })
    };
    let mut leases = Vec::new();
    for network in names(data) {
        let dir = data.join(&network);
        if dir.is_dir() {
            leases.extend(names(&dir).into_iter().map(|name| (network.clone(), dir.clone(), name)));
        }
    }
    for (network, dir, name) in leases {
        let Ok(address) = name.parse() else { continue };
        match read_lease(&dir.join(&name)) {
            Ok(Some(lease @ Holder::Interface { .. })) if lease.is_among(gone) => {
                left.push(LeftBehind { network, address, holder: lease.to_string(), dir, lease });
            }
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
    }
    (left, errors)
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
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_cannot_be_read_hides_no_other_lease() {
        let data = tempfile::tempdir().unwrap();
        for network in ["a", "b", "c"] {
            let dir = data.path().join(network);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("10.0.0.5"), "dead\r\nnet1").unwrap();
        }
        let at = |name: &str| data.path().join("b").join(name);
        let large = fs::File::create(at("10.0.0.2")).unwrap();
        large.set_len(2 << 20).unwrap();
        symlink("10.0.0.3", at("10.0.0.3")).unwrap();
        // A link to a lease is none.
        symlink("10.0.0.5", at("10.0.0.4")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("10.0.0.6"), 0o600.into()).unwrap();
        let gone = [Attachment {
            container_id: "dead".to_owned().try_into().unwrap(),
            ifname: "net1".parse().unwrap(),
        }];
        let (left, errors) = left_in(data.path(), &gone.into());
        let told = left.iter().map(|left| format!("{} {}", left.network, left.address));
        let expected = ["a 10.0.0.5", "b 10.0.0.5", "c 10.0.0.5"];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        assert!(errors.is_empty(), "{errors:?}");
    }

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
        assert_eq!(left_in(data.path(), &BTreeSet::new()).0, []);
        let (left, errors) = left_in(data.path(), &gone);
        assert!(errors.is_empty(), "{errors:?}");
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
        assert_eq!(left_in(data.path(), &gone).0, []);
        let unseen = data.path().join("x".repeat(300));
        assert!(matches!(&left_in(&unseen, &gone).1[..], [Error::State(_)]));
        let names = |network: &str| podbond_state::names(&data.path().join(network)).unwrap();
        assert_eq!(names("a"), ["10.0.0.3", "10.0.0.4", "10.0.0.5", "lock"]);
        assert_eq!(names("b"), ["fd00::2", "lock"]);
    }
}
