//! ADD: leases one address from each range set to the attachment.

use std::iter;
use std::net::IpAddr;

use ipnet::IpNet;
use podbond_cni::{Attachment, CniResult, Dns, IpConfig, Request};

use crate::config::{Config, directory};
use crate::error::Error;
use crate::holder::Holder;
use crate::lease::{Lease, LeaseDir, leases_of};
use crate::range::RangeSet;
use crate::resolv_conf;

/// An address for the attachment.
struct Grant {
    /// The index of its range set.
    set: usize,
    ip: IpConfig,
}

/// Leases the addresses and returns them with routes and DNS of the configuration.
pub(crate) fn add(request: &Request) -> Result<CniResult, Error> {
    let config = Config::new(&request.config)?;
    let dns = match &config.resolv_conf {
        None => Dns::default(),
        Some(path) => resolv_conf::read(path)?,
    };
    let dir = LeaseDir::create(&directory(&request.config)?)?;
    let (leases, errors) = dir.leases();
    Error::all(errors)?;
    let attachment = request.attachment();
    refuse_second(&attachment, request, &config, &leases)?;
    let grants = allocate(request, &config, &dir, &leases)?;
    reserve(&dir, &grants, &attachment)?;
    let ips = grants.into_iter().map(|grant| grant.ip).collect();
    Ok(CniResult { ips, routes: config.routes, dns, ..CniResult::default() })
}

/// Fails where the attachment has an address of these range sets already.
fn refuse_second(
    attachment: &Attachment,
    request: &Request,
    config: &Config,
    leases: &[Lease],
) -> Result<(), Error> {
    let own = leases_of(leases, attachment);
    match own.iter().find(|lease| config.set_of(lease.address).is_some()) {
        None => Ok(()),
        Some(lease) => Err(Error::Duplicate {
            network: request.config.name.clone(),
            container: request.container_id.to_string(),
            ifname: request.ifname.clone(),
            address: lease.address,
        }),
    }
}

/// Returns one address from each set: a requested one where one of the set is, or else the next that
/// is free after the one given last. Nothing is written.
fn allocate(
    request: &Request,
    config: &Config,
    dir: &LeaseDir,
    leases: &[Lease],
) -> Result<Vec<Grant>, Error> {
    let wanted = request.wanted_ips()?;
    let mut wanted: Vec<IpAddr> = wanted.into_iter().map(|ip| ip.to_canonical()).collect();
    let mut grants = Vec::new();
    for (index, set) in config.sets.iter().enumerate() {
        let last = dir.last_reserved(index)?;
        let address = match wanted.iter().position(|&ip| set.range_of(ip).is_some()) {
            Some(position) => {
                let address = wanted.remove(position);
                refuse_taken(address, request, config, dir)?;
                address
            }
            None => match dir.first_free(config.candidates(set, last))? {
                Some(address) => address,
                None => return Err(exhausted(set, request, dir, leases)),
            },
        };
        grants.extend(set.range_of(address).map(|range| {
            let address = IpNet::new_assert(address, range.subnet.prefix_len());
            let ip = IpConfig { gateway: Some(range.gateway), ..IpConfig::new(address) };
            Grant { set: index, ip }
        }));
    }
    match wanted.first() {
        None => Ok(grants),
        Some(&address) => {
            let network = request.config.name.clone();
            Err(Error::NotInRanges { network, address, ranges: config.ranges() })
        }
    }
}

/// Fails where a requested address is a gateway's, or somebody holds it.
fn refuse_taken(
    address: IpAddr,
    request: &Request,
    config: &Config,
    dir: &LeaseDir,
) -> Result<(), Error> {
    let network = request.config.name.clone();
    if config.is_gateway(address) {
        return Err(Error::Gateway { network, address });
    }
    if dir.is_free(address)? {
        return Ok(());
    }
    let holder = dir.lease(address)?.map_or(Holder::Foreign, |lease| lease.holder);
    Err(Error::Taken { network, address, holder })
}

fn exhausted(set: &RangeSet, request: &Request, dir: &LeaseDir, leases: &[Lease]) -> Error {
    Error::Exhausted {
        network: request.config.name.clone(),
        field: set.field.clone(),
        ranges: set.to_string(),
        held: leases.iter().filter(|lease| set.range_of(lease.address).is_some()).count(),
        dir: dir.path().to_owned(),
    }
}

/// Makes all leases, or none.
fn reserve(dir: &LeaseDir, grants: &[Grant], attachment: &Attachment) -> Result<(), Error> {
    for (position, grant) in grants.iter().enumerate() {
        if let Err(error) = dir.reserve(grant.ip.address.addr(), attachment) {
            let undo = grants[..position].iter().map(|grant| dir.release(grant.ip.address.addr()));
            let errors: Vec<Error> = undo.filter_map(Result::err).collect();
            return Error::all(iter::once(error).chain(errors).collect());
        }
    }
    for grant in grants {
        // Without it the next address is only chosen less well.
        let _ = dir.set_last_reserved(grant.set, grant.ip.address.addr());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use podbond_cni::{Code, Failure, Version};
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Scene, addresses, make_pipe, names};

    /// The addresses that c1 is given when these were given last.
    fn add_after(scene: &Scene, last: &[&str]) -> Vec<String> {
        for (set, last) in last.iter().enumerate() {
            scene.write(&format!("last_reserved_ip.{set}"), last);
        }
        let added = scene.add("c1").unwrap();
        scene.del("c1").unwrap();
        added
    }

    fn request_ips(scene: &Scene, ips: &[&str]) -> Result<Vec<String>, Failure> {
        addresses(&scene.request_with("c1", &json!({"runtimeConfig": {"ips": ips}})))
    }

    #[test]
    fn documented_configuration_gives_address_gateway_and_routes() {
        let scene = Scene::documented();
        let result = add(&scene.request("c1")).unwrap();
        let expected = json!({
            "cniVersion": "1.1.0",
            "ips": [{"address": "10.56.217.2/24", "gateway": "10.56.217.1"}],
            "routes": [{"dst": "0.0.0.0/0"}],
        });
        assert_eq!(result.to_value(Version::V1_1_0), expected);
        assert_eq!(scene.files(), names(["10.56.217.2", "last_reserved_ip.0"]));
    }

    #[test]
    fn first_address_is_not_the_gateway() {
        let scene =
            Scene::with_ranges(&json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "fd00::/64"}]]));
        assert_eq!(scene.add("c1").unwrap(), ["10.0.0.2/24", "fd00::2/64"]);
    }

    #[test]
    fn addresses_are_given_round_robin() {
        let scene = Scene::with(json!({"subnet": "10.0.0.0/29"}));
        scene.write("10.0.0.4", "other\r\nnet1");
        for (last, next) in [
            ("10.0.0.2", "10.0.0.3/29"),
            ("10.0.0.3", "10.0.0.5/29"),
            ("10.0.0.6", "10.0.0.2/29"),
            ("192.0.2.1", "10.0.0.2/29"),
            ("", "10.0.0.2/29"),
        ] {
            assert_eq!(add_after(&scene, &[last]), [next], "after {last}");
        }
    }

    #[test]
    fn released_address_is_not_given_next() {
        let scene = Scene::documented();
        assert_eq!(scene.add("c1").unwrap(), ["10.56.217.2/24"]);
        scene.del("c1").unwrap();
        assert_eq!(scene.add("c2").unwrap(), ["10.56.217.3/24"]);
        assert_eq!(scene.files(), names(["10.56.217.3", "last_reserved_ip.0"]));
    }

    #[test]
    fn last_address_is_given_again_when_no_other_is_left() {
        let scene = Scene::with(
            json!({"subnet": "10.0.0.0/29", "rangeStart": "10.0.0.2", "rangeEnd": "10.0.0.3"}),
        );
        scene.write("10.0.0.3", "other\r\nnet1");
        assert_eq!(add_after(&scene, &["10.0.0.2"]), ["10.0.0.2/29"]);
    }

    #[test]
    fn ranges_of_a_set_are_one_pool() {
        let scene = Scene::with_ranges(&json!([[
            {"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.10", "rangeEnd": "10.0.0.11"},
            {"subnet": "10.0.1.0/24", "rangeStart": "10.0.1.10", "rangeEnd": "10.0.1.11"},
        ]]));
        for (last, next) in [
            ("10.0.0.10", "10.0.0.11/24"),
            ("10.0.0.11", "10.0.1.10/24"),
            ("10.0.1.11", "10.0.0.10/24"),
        ] {
            assert_eq!(add_after(&scene, &[last]), [next], "after {last}");
        }
    }

    #[test]
    fn exhausted_set_is_named_and_no_lease_is_left() {
        let scene =
            Scene::with_ranges(&json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.1.0.0/30"}]]));
        assert_eq!(scene.add("c1").unwrap(), ["10.0.0.2/24", "10.1.0.2/30"]);
        let failure = scene.add("c2").unwrap_err();
        assert_eq!(failure.code, Code::EXHAUSTED);
        let expected = format!(
            "network \"bond-net1\": no address is left in ipam.ranges[1], 10.1.0.1-10.1.0.2 (1 \
             leases): delete pods that use the network, or widen the range; who holds an address \
             is in the file named after it in {}",
            scene.leases().display()
        );
        assert_eq!(failure.msg, expected);
        let expected = ["10.0.0.2", "10.1.0.2", "last_reserved_ip.0", "last_reserved_ip.1"];
        assert_eq!(scene.files(), names(expected));
    }

    #[test]
    fn failed_add_makes_no_directory() {
        for ipam in [
            json!({"subnet": "10.56.217.7/24"}),
            json!({"subnet": "10.0.0.0/24", "resolvConf": "/none"}),
        ] {
            let scene = Scene::with(ipam);
            scene.add("c1").unwrap_err();
            assert!(!scene.leases().exists());
        }
    }

    #[test]
    fn requested_address_is_given_from_its_own_set() {
        let scene =
            Scene::with_ranges(&json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "fd00::/64"}]]));
        let given = request_ips(&scene, &["fd00::77", "10.0.0.77"]).unwrap();
        assert_eq!(given, ["10.0.0.77/24", "fd00::77/64"]);
        scene.del("c1").unwrap();
        assert_eq!(request_ips(&scene, &["fd00::77"]).unwrap(), ["10.0.0.78/24", "fd00::77/64"]);
    }

    #[test]
    fn cni_args_request_an_address() {
        let scene = Scene::documented();
        let mut request = scene.request("c1");
        request.args.0.insert("IP".to_owned(), "10.56.217.78".to_owned());
        assert_eq!(addresses(&request).unwrap(), ["10.56.217.78/24"]);
    }

    #[test]
    fn requested_address_that_cannot_be_given_is_refused() {
        let scene = Scene::with(json!({"subnet": "10.0.0.0/24"}));
        scene.write("10.0.0.9", "other\r\nnet1");
        scene.write("10.0.0.10", "precious");
        fs::create_dir(scene.path("10.0.0.11")).unwrap();
        let before = scene.files();
        for (wanted, code, part) in [
            (&["10.0.0.1"][..], Code::INVALID_CONFIG, "10.0.0.1 is the gateway's"),
            (&["10.0.0.9"], Code::CONFLICT, "10.0.0.9 is held by net1 of container other"),
            (&["10.0.0.10"], Code::CONFLICT, "10.0.0.10 is held by container precious"),
            (&["10.0.0.11"], Code::CONFLICT, "10.0.0.11 is held by something that is no lease"),
            (&["10.0.1.5"], Code::INVALID_CONFIG, "10.0.1.5 cannot be given"),
            (&["10.0.0.255"], Code::INVALID_CONFIG, "10.0.0.255 cannot be given"),
            (&["10.0.0.5", "10.0.0.6"], Code::INVALID_CONFIG, "10.0.0.6 cannot be given"),
        ] {
            let failure = request_ips(&scene, wanted).unwrap_err();
            assert_eq!(failure.code, code, "{failure}");
            assert!(failure.msg.contains(part), "{failure}");
            assert_eq!(scene.files(), before);
        }
    }

    #[test]
    fn second_address_for_an_interface_is_refused() {
        for held in ["c1\r\nnet3", "c1"] {
            let scene = Scene::documented();
            scene.write("10.56.217.9", held);
            let failure = scene.add("c1").unwrap_err();
            let part = "container c1 has 10.56.217.9 for net3 already";
            assert!(failure.msg.contains(part), "{failure}");
            scene.write("10.9.0.9", held);
            fs::remove_file(scene.path("10.56.217.9")).unwrap();
            scene.add("c1").unwrap();
        }
        let scene = Scene::documented();
        scene.write("10.56.217.9", "c1\r\nnet2");
        scene.add("c1").unwrap();
    }

    #[test]
    fn empty_lease_is_given_again() {
        let scene = Scene::with(
            json!({"subnet": "10.0.0.0/29", "rangeStart": "10.0.0.2", "rangeEnd": "10.0.0.2"}),
        );
        let lease = scene.write("10.0.0.2", "");
        assert_eq!(scene.add("c1").unwrap(), ["10.0.0.2/29"]);
        fs::write(lease, "").unwrap();
        assert_eq!(request_ips(&scene, &["10.0.0.2"]).unwrap(), ["10.0.0.2/29"]);
    }

    #[test]
    fn what_is_no_lease_keeps_its_address_and_no_other() {
        let scene = Scene::with(json!({"subnet": "10.0.0.0/24"}));
        fs::create_dir_all(scene.path("10.0.0.2/x")).unwrap();
        std::os::unix::fs::symlink("x", scene.path("10.0.0.3")).unwrap();
        make_pipe(&scene.path("10.0.0.4"));
        scene.write("10.0.0.5", "precious, and no container");
        assert_eq!(scene.add("c1").unwrap(), ["10.0.0.6/24"]);
        assert!(scene.path("10.0.0.2/x").is_dir());
    }

    #[test]
    fn directory_or_link_at_the_last_address_is_refused() {
        let scene = Scene::documented();
        fs::create_dir_all(scene.path("last_reserved_ip.0/x")).unwrap();
        let refused = |scene: &Scene| {
            let failure = scene.add("c1").unwrap_err();
            assert!(failure.msg.contains("last_reserved_ip.0 is not a file"), "{failure}");
            assert_eq!(scene.files(), names(["last_reserved_ip.0"]));
        };
        refused(&scene);
        assert!(scene.path("last_reserved_ip.0/x").is_dir());
        fs::remove_dir_all(scene.path("last_reserved_ip.0")).unwrap();
        std::os::unix::fs::symlink("elsewhere", scene.path("last_reserved_ip.0")).unwrap();
        refused(&scene);
    }

    #[test]
    fn resolver_file_goes_into_the_result() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "nameserver 10.0.0.53\n").unwrap();
        let scene = Scene::with(json!({"subnet": "10.0.0.0/24", "resolvConf": file.path()}));
        let result = add(&scene.request("c1")).unwrap();
        assert_eq!(result.dns.nameservers, ["10.0.0.53"]);
    }

    #[test]
    fn hundred_threads_get_an_address_each() {
        let scene = Scene::documented();
        let mut addresses: Vec<String> = thread::scope(|scope| {
            let add = |n: usize| scene.add(&format!("c{n}")).unwrap();
            let threads: Vec<_> = (0..100).map(|n| scope.spawn(move || add(n))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 100);
        assert_eq!(scene.files().len(), 101);
    }

    #[test]
    fn old_versions_get_one_address_of_each_family() {
        let scene =
            Scene::with_ranges(&json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "fd00::/64"}]]));
        let old: Value = json!({"cniVersion": "0.2.0"});
        let given = addresses(&scene.request_with("c1", &old)).unwrap();
        assert_eq!(given, ["10.0.0.2/24", "fd00::2/64"]);
    }
}
