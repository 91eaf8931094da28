//! ADD: observes the pod, plans, records the plan, and applies it with the lease in one
//! transaction.

pub(crate) mod host_link_policy;
pub(crate) mod observe;
pub(crate) mod plan;
mod read_back;

use podbond_cni::{CniResult, Command, Delegates, Failure, Request};
use podbond_ipam::{Addresses, Ipam, NotAttached, attach, joined_routes_of_lease};
use podbond_kernel::{Error as KernelError, Kernel, View};
use podbond_record::{Record, Records};

use self::observe::{Prepared, observe_and_plan};
use self::read_back::require_taken_macs;
use crate::config::Config;
use crate::del;
use crate::error::Error;
use crate::finding::{Finding, Object, kind};
use crate::pod_links::read_pod_links;
use crate::record::BondRecord;

/// Makes the bond of a configuration in the pod that `kernel` has open, and asks for its lease.
/// When anything fails, all is as it was, or the record tells DEL what is not.
pub(crate) fn add(
    mut kernel: Kernel,
    config: &Config,
    request: &Request,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<CniResult, Error> {
    let path = request.netns.as_deref().ok_or(KernelError::NoPodNamespace)?;
    let netns = kernel.netns_identity(path)?.ok_or(KernelError::NoPodNamespace)?;
    let _lock = records.lock(&request.attachment())?;
    let mut begun =
        records.begin(request, netns, |earlier| del::del_locked(earlier, delegates, records))?;
    let Prepared { plan, bond } = observe_and_plan(&mut kernel, config, request, records)?;
    for finding in &plan.findings {
        delegates.warn(Command::Add, request, finding.severity.as_str(), finding);
    }
    bond.put_into(&mut begun.record)?;
    records.write(&begun.record)?;
    let ipam = Ipam { request, delegates };
    let is_trusted = !plan.findings.iter().any(Finding::is_of_trust);
    let finish = |kernel: &mut Kernel, lease| {
        if !is_trusted {
            require_taken_macs(kernel, config, &request.ifname)
                .map_err(|error| error.into_failure(&request.config.name))?;
        }
        let result = answer(kernel, config, ipam, lease)?;
        records.write_result(
            &with_indices(kernel, config, &request.config.name, &bond, &begun.record)?,
            &result,
        )?;
        Ok(result)
    };
    attach(&mut kernel, plan.steps, Addresses::OnLink, ipam, finish).map_err(|failed| {
        let NotAttached { cause, pending } = failed;
        let again = observe_and_plan(&mut kernel, config, request, records);
        if again.is_ok_and(|again| again.bond == bond) {
            // Otherwise the DEL with which a runtime answers a failed ADD tries once more.
            records.end_failed_add(begun, pending.as_deref());
        }
        Error::Config(cause)
    })
}

/// Returns the record of an ADD with the indices that the links of the node have in the pod, before any program
/// of the pod can have put others in their place.
fn with_indices(
    kernel: &mut Kernel,
    config: &Config,
    network: &str,
    bond: &BondRecord,
    record: &Record,
) -> Result<Record, Failure> {
    let mut record = record.clone();
    if !bond.has_identities() {
        return Ok(record);
    }
    let mut view = View::default();
    read_pod_links(kernel, config.ports.iter().cloned(), &mut view)
        .map_err(|error| podbond_ipam::failure(network, &error))?;
    bond.clone().with_indices(&view).put_into(&mut record)?;
    Ok(record)
}

/// Returns the result: beside what the plugins before it in a chain made exactly one interface, the bond
/// or the VLAN's on it, since a meta-plugin writes one status entry for each interface that has a sandbox.
fn answer(
    kernel: &mut Kernel,
    config: &Config,
    ipam: Ipam<'_>,
    lease: Option<CniResult>,
) -> Result<CniResult, Failure> {
    let link = ipam.settle(kernel, lease.as_ref())?;
    let Ipam { request, delegates } = ipam;
    let joined = joined_routes_of_lease(kernel, &request.ifname, lease.as_ref())
        .map_err(|error| podbond_ipam::failure(&request.config.name, &error))?;
    for reason in joined {
        let object = Object::Interface(request.ifname.clone());
        let finding = Finding::new(&kind::ROUTE_JOINED, object, reason);
        delegates.warn(Command::Add, request, finding.severity.as_str(), &finding);
    }
    let mut own = lease.unwrap_or_default();
    own.dns = config.dns.clone().or(own.dns);
    Ok(ipam.result(Some(own), ipam.interface(link.as_ref())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use podbond_cni::{Args, Code, ContainerId, Lookup, NetConf};
    use podbond_kernel::NetnsIdentity;
    use podbond_record::Begun;
    use serde_json::json;

    use super::*;

    fn request(ipam: Option<&str>) -> Request {
        let mut config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond",
            "mode": "active-backup", "links": [{"name": "none1"}, {"name": "none2"}]});
        if let Some(ipam) = ipam {
            config["ipam"] = json!({ "type": ipam });
        }
        Request {
            container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
            netns: None,
            ifname: "net3".parse().unwrap(),
            args: Args::default(),
            path: Vec::new(),
            config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
        }
    }

    fn alive() -> NetnsIdentity {
        NetnsIdentity::of(Path::new("/proc/self/ns/net")).unwrap()
    }

    fn begin(delegates: &Delegates<'_>, records: &Records) -> Result<Begun, Error> {
        let del = |earlier: &Request| del::del_locked(earlier, delegates, records);
        records.begin(&request(None), alive(), del)
    }

    /// The room for an ADD beside the record of an earlier one, in whose namespace a key is changed.
    fn room((key, value): (&str, serde_json::Value), ipam: Option<&str>) -> Result<Begun, Error> {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
        let mut netns = serde_json::to_value(alive()).unwrap();
        netns[key] = value;
        let netns = serde_json::from_value(netns).unwrap();
        records.write(&Record::of_add(&request(ipam), netns)).unwrap();
        let delegates = Delegates::new(&[], Lookup::PathOnly);
        begin(&delegates, &records)
    }

    #[test]
    fn attachment_of_an_earlier_boot_makes_room() {
        let earlier = || ("boot", json!("earlier"));
        let Begun { record, of_chain } = room(earlier(), None).unwrap();
        assert_eq!((record.add, of_chain), (Record::of_add(&request(None), alive()).add, None));
        // By the configuration of its own ADD.
        let error = room(earlier(), Some("not-installed")).unwrap_err();
        assert_eq!(error.code(), Code::TRY_AGAIN);
        assert!(
            error.to_string().contains("the lease of net3 of container c1 is pending"),
            "{error}"
        );
    }

    /// Promise: namespace-unknown
    #[test]
    fn attachment_whose_namespace_is_unknown_is_added_already() {
        let dir = tempfile::tempdir().unwrap();
        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        let error = room(("path", json!(circle)), None).unwrap_err();
        assert_eq!(error.code(), Code::CONFLICT);
        assert!(error.to_string().contains("has been added already"), "{error}");
    }

    #[test]
    fn record_of_a_chain_is_filled_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
        let made = Record::of_add(&request(None), alive());
        let chain = json!({"position": 2, "nad": null, "configs": [], "args": {}, "called": 1});
        let chain = serde_json::from_value(chain).unwrap();
        let of_chain = Record { add: None, netns: None, chain: Some(chain), ..made.clone() };
        records.create(&of_chain).unwrap();
        let delegates = Delegates::new(&[], Lookup::PathOnly);
        let begun = begin(&delegates, &records).unwrap();
        assert_eq!(begun.of_chain, Some(of_chain.clone()));
        assert_eq!(begun.record, Record { add: made.add, netns: made.netns, ..of_chain });
    }
}
