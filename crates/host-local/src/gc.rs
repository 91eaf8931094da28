//! GC: releases the leases of all but the valid attachments.

use podbond_cni::NodeRequest;

use crate::config::directory;
use crate::error::Error;
use crate::lease::LeaseDir;

/// Removes the leases of all but the valid attachments. What is not a lease is left unchanged, whatever
/// it is called.
pub(crate) fn gc(request: &NodeRequest) -> Result<(), Error> {
    let Some(dir) = LeaseDir::open(&directory(&request.config)?)? else { return Ok(()) };
    let (leases, mut errors) = dir.leases();
    for lease in leases {
        if !lease.holder.is_one_of(&request.valid_attachments) {
            errors.extend(dir.release(lease.address).err());
        }
    }
    Error::all(errors)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{Scene, make_pipe, names};

    #[test]
    fn valid_attachments_keep_their_leases() {
        let scene = Scene::documented();
        for container in ["c1", "c2"] {
            scene.add(container).unwrap();
        }
        scene.write("10.56.217.8", "c2");
        scene.write("10.56.217.9", "");
        gc(&scene.gc_request(&["c2"])).unwrap();
        assert_eq!(scene.files(), names(["10.56.217.3", "10.56.217.8", "last_reserved_ip.0"]));
    }

    /// Promise: gc-leases-only
    #[test]
    fn what_is_no_lease_stays() {
        let scene = Scene::documented();
        fs::create_dir_all(scene.path("10.56.217.9/x")).unwrap();
        std::os::unix::fs::symlink("x", scene.path("10.56.217.10")).unwrap();
        make_pipe(&scene.path("10.56.217.11"));
        for (name, content) in [
            ("10.56.217.12", "<13>Nov 22 07:00:00 node app: started\n<13>Nov 22 07:00:01 app\n"),
            ("10.56.217.13", "precious, and no container"),
            ("10.56.217.14", "gone\r\nnet1"),
            ("10.56.217.15", "gone-and-old"),
        ] {
            scene.write(name, content);
        }
        gc(&scene.gc_request(&[])).unwrap();
        let others = (9..=13).map(|n| format!("10.56.217.{n}"));
        assert_eq!(scene.files(), others.collect());
        assert!(scene.path("10.56.217.9/x").is_dir());
    }

    #[test]
    fn missing_directory_is_success() {
        let scene = Scene::documented();
        gc(&scene.gc_request(&[])).unwrap();
        assert!(!scene.leases().exists());
    }
}
