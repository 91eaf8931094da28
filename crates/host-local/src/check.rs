//! CHECK: compares the addresses of `prevResult` with the leases on disk.

use std::net::IpAddr;

use podbond_cni::Request;

use crate::config::{Config, directory};
use crate::error::Error;
use crate::lease::LeaseDir;

/// Fails unless the attachment holds a lease for each address of `prevResult` that is of the ranges,
/// and there is one. One error names all that are missing.
pub(crate) fn check(request: &Request) -> Result<(), Error> {
    let config = Config::new(&request.config)?;
    let attachment = request.attachment();
    let given = request.config.prev_result.iter().flat_map(|result| &result.ips);
    // A chained plugin may have added addresses of its own.
    let given: Vec<IpAddr> = given
        .map(|ip| ip.address.addr())
        .filter(|&address| config.set_of(address).is_some())
        .collect();
    if given.is_empty() {
        let network = request.config.name.clone();
        return Err(Error::NoLease { network, ranges: config.ranges() });
    }
    let path = directory(&request.config)?;
    let dir = LeaseDir::open(&path)?;
    let mut errors = Vec::new();
    for address in given {
        let lease = dir.as_ref().map_or(Ok(None), |dir| dir.lease(address));
        match lease {
            Ok(Some(lease)) if lease.holder.is(&attachment) => {}
            Ok(_) => errors.push(Error::Lost {
                network: request.config.name.clone(),
                container: request.container_id.to_string(),
                ifname: request.ifname.clone(),
                address,
                dir: path.clone(),
            }),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use podbond_cni::{Code, Failure};
    use serde_json::json;

    use super::*;
    use crate::testing::Scene;

    fn failure(request: &Request) -> Failure {
        check(request).unwrap_err().into()
    }

    /// Promise: check-names-differences
    #[test]
    fn lease_of_another_is_reported() {
        let scene = Scene::documented();
        let added = scene.added("c1");
        check(&added).unwrap();
        let lease = scene.write("10.56.217.2", "c1");
        check(&added).unwrap();
        fs::write(lease, "c9\r\nnet3").unwrap();
        // Another address in its stead is not the one of prevResult.
        scene.write("10.56.217.9", "c1\r\nnet3");
        let failure = failure(&added);
        assert_eq!(failure.code, Code::DIFFERS);
        let part = "10.56.217.2 of prevResult is not leased to container c1 for net3";
        assert!(failure.msg.contains(part), "{failure}");
    }

    #[test]
    fn every_missing_lease_is_named() {
        let ranges = ["10.0.0.0/24", "10.0.1.0/24", "fd00::/64"];
        let scene = Scene::with_ranges(&ranges.map(|subnet| json!([{"subnet": subnet}])).into());
        let added = scene.added("c1");
        for lease in ["10.0.0.2", "fd00::2"] {
            fs::remove_file(scene.path(lease)).unwrap();
        }
        let one = failure(&added);
        assert_eq!(one.code, Code::DIFFERS);
        for lost in ["10.0.0.2 of prevResult", "fd00::2 of prevResult"] {
            assert!(one.msg.contains(lost), "{one}");
        }
        assert!(!one.msg.contains("10.0.1.2"), "{one}");
        fs::remove_dir_all(scene.leases()).unwrap();
        assert!(failure(&added).msg.contains("10.0.1.2 of prevResult"));
    }

    #[test]
    fn prev_result_without_an_address_of_the_ranges_differs() {
        let mut scene = Scene::documented();
        let mut added = scene.added("c1");
        scene.set_ipam(json!({"subnet": "10.9.0.0/24"}));
        let result = added.config.prev_result.take();
        added.config = scene.config(&json!({}));
        added.config.set_prev_result(result);
        let failure = failure(&added);
        assert_eq!(failure.code, Code::DIFFERS);
        assert!(failure.msg.contains("no address of the ranges 10.9.0.1-10.9.0.254"), "{failure}");
    }

    #[test]
    fn address_of_another_plugin_needs_no_lease() {
        let scene = Scene::documented();
        let mut added = scene.added("c1");
        let mut result = added.config.prev_result.clone().unwrap();
        let mut other = result.ips[0].clone();
        other.address = "192.0.2.7/24".parse().unwrap();
        result.ips.push(other);
        added.config.set_prev_result(Some(result));
        check(&added).unwrap();
    }
}
