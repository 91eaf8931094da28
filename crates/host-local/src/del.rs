//! DEL: releases the addresses that the attachment has leased.

use std::net::IpAddr;

use podbond_cni::{Attachment, Request};

use crate::config::directory;
use crate::error::Error;
use crate::lease::{LeaseDir, leases_of};

/// Releases the attachment's leases; success if there are none. Where `prevResult` names them, no
/// other lease is read.
pub(crate) fn del(request: &Request) -> Result<(), Error> {
    let Some(dir) = LeaseDir::open(&directory(&request.config)?)? else { return Ok(()) };
    let attachment = request.attachment();
    let mut errors = Vec::new();
    let addresses = leases_of_prev_result(request, &attachment, &dir).unwrap_or_else(|| {
        let (leases, unread) = dir.leases();
        errors.extend(unread);
        leases_of(&leases, &attachment).iter().map(|lease| lease.address).collect()
    });
    errors.extend(addresses.into_iter().filter_map(|address| dir.release(address).err()));
    Error::all(errors)
}

/// Returns the addresses of `prevResult` where there are any and each is a lease of the attachment.
fn leases_of_prev_result(
    request: &Request,
    attachment: &Attachment,
    dir: &LeaseDir,
) -> Option<Vec<IpAddr>> {
    let result = request.config.prev_result.as_ref()?;
    let mut addresses = Vec::new();
    for ip in &result.ips {
        let address = ip.address.addr();
        let lease = dir.lease(address).ok()??;
        if lease.holder.attachment() != Some(attachment) {
            return None;
        }
        addresses.push(address);
    }
    (!addresses.is_empty()).then_some(addresses)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;
    use crate::testing::{Scene, names};

    #[test]
    fn nothing_to_release_is_success() {
        let scene = Scene::documented();
        scene.del("c1").unwrap();
        assert!(!scene.leases().exists());
        scene.add("c1").unwrap();
        scene.del("c1").unwrap();
        scene.del("c1").unwrap();
        assert_eq!(scene.files(), names(["last_reserved_ip.0"]));
    }

    #[test]
    fn changed_ranges_keep_no_lease() {
        let mut scene = Scene::documented();
        scene.add("c1").unwrap();
        scene.set_ipam(json!({"subnet": "?"}));
        scene.del("c1").unwrap();
        assert_eq!(scene.files(), names(["last_reserved_ip.0"]));
    }

    #[test]
    fn only_leases_of_the_attachment_are_released() {
        let scene = Scene::documented();
        for (name, content) in [
            ("10.56.217.5", "c1\r\nnet3"),
            ("10.56.217.6", "c1"),
            ("10.56.217.7", "c1\r\nnet2"),
            ("10.56.217.8", "c2\r\nnet3"),
            ("fd00::5", "c1\r\nnet3"),
        ] {
            scene.write(name, content);
        }
        scene.del("c1").unwrap();
        assert_eq!(scene.files(), names(["10.56.217.6", "10.56.217.7", "10.56.217.8"]));
        // A lease without an interface counts when there is no other.
        scene.del("c1").unwrap();
        assert_eq!(scene.files(), names(["10.56.217.7", "10.56.217.8"]));
    }

    #[test]
    fn prev_result_spares_the_other_leases() {
        let scene = Scene::documented();
        let added = scene.added("c1");
        // It says that it is of the same attachment: it would be released if it were read.
        scene.write("10.56.217.99", "c1\r\nnet3");
        del(&added).unwrap();
        assert_eq!(scene.files(), names(["10.56.217.99", "last_reserved_ip.0"]));
        // Now prevResult names what is not there, and all are read.
        del(&added).unwrap();
        assert_eq!(scene.files(), names(["last_reserved_ip.0"]));
    }

    #[test]
    fn address_of_another_in_prev_result_is_not_released() {
        let ranges = json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "fd00::/64"}]]);
        let scene = Scene::with_ranges(&ranges);
        let added = scene.added("c1");
        let other = scene.write("fd00::2", "c9\r\nnet3");
        scene.write("fd00::3", "c1\r\nnet3");
        del(&added).unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "c9\r\nnet3");
        let expected = ["fd00::2", "last_reserved_ip.0", "last_reserved_ip.1"];
        assert_eq!(scene.files(), names(expected));
    }

    #[test]
    fn link_is_not_followed_to_a_lease() {
        let scene = Scene::documented();
        let lease = scene.write("10.56.217.5", "c9\r\nnet3");
        symlink(&lease, scene.path("10.56.217.6")).unwrap();
        scene.del("c9").unwrap();
        assert!(!lease.exists());
        assert_eq!(scene.files(), names(["10.56.217.6"]));
    }
}
