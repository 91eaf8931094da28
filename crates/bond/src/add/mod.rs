//! ADD: observes the pod, plans, records the plan, and applies it with the lease in one
//! transaction.

pub(crate) mod host_link_policy;
pub(crate) mod observe;
pub(crate) mod plan;

use podbond_cni::{CniResult, Code, Command, Delegates, Failure, Interface, Request};
use podbond_ipam::{Addresses, Ipam, NotAttached, attach};
use podbond_kernel::{Error as KernelError, Kernel, LinkRef, NetnsIdentity};
use podbond_record::{Record, Records, Room, State};

use self::observe::{Prepared, observe_and_plan};
use crate::config::Config;
use crate::del;
use crate::error::Error;
use crate::record::is_of_bond;

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
    // What stands recorded by the maker of a chain, to be put back when this ADD leaves nothing.
    let (mut record, chain) = make_room(netns, request, delegates, records)?;
    let Prepared { plan, bond } = observe_and_plan(&mut kernel, config, request, records)?;
    for finding in &plan.findings {
        delegates.warn(Command::Add, request, finding.severity.as_str(), finding);
    }
    bond.put_into(&mut record, records)?;
    records.write(&record)?;
    let ipam = Ipam { request, delegates };
    let finish = |kernel: &mut Kernel, lease| {
        let result = answer(kernel, ipam, lease)?;
        record_success(records, &record, &result)?;
        Ok(result)
    };
    attach(&mut kernel, plan.steps, Addresses::OnLink, ipam, finish).map_err(|failed| {
        let NotAttached { cause, pending } = failed;
        let again = observe_and_plan(&mut kernel, config, request, records);
        if again.is_ok_and(|again| again.bond == bond) {
            // Otherwise the DEL with which a runtime answers a failed ADD tries once more.
            end_without_trace(records, record.clone(), chain, pending.as_deref());
        }
        Error::Config(cause)
    })
}

/// Returns the record with which an ADD in this namespace begins, and the one that the maker of a chain
/// has written. An earlier attachment of the same key whose namespace is over is deleted first; one that
/// may be there is an error, as its record says what its ports were like.
fn make_room(
    netns: NetnsIdentity,
    request: &Request,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<(Record, Option<Record>), Error> {
    let new = Record::of_add(request, netns);
    match records.room(&request.attachment())? {
        Room::Free => Ok((new, None)),
        Room::InChain(chain) => {
            let record = Record { add: new.add, netns: new.netns, ..(*chain).clone() };
            Ok((record, Some(*chain)))
        }
        Room::AfterDel(old) if is_of_bond(&old) => {
            del::del_recorded(&old, &request.path, delegates, records)?;
            Ok((new, None))
        }
        Room::AfterDel(record) | Room::Taken(record) => {
            let path = records.path(&record);
            Err(Error::AlreadyAdded { record, path })
        }
    }
}

/// Records what ADD answers. That the attachment is active is for the maker of a chain to record,
/// once all its plugins have succeeded.
fn record_success(records: &Records, record: &Record, result: &CniResult) -> Result<(), Failure> {
    let mut record = record.clone();
    if let Some(add) = &mut record.add {
        add.result = Some(result.clone());
    }
    if record.chain.is_none() {
        record.state = State::Active;
    }
    records.write(&record).map_err(|error| Failure::new(Code::IO, error))
}

/// Ends the record of a failed ADD that has left every link as it was. What cannot be written is
/// left to the DEL that follows.
fn end_without_trace(
    records: &Records,
    record: Record,
    chain: Option<Record>,
    pending: Option<&str>,
) {
    let _ = match (pending, chain) {
        (None, Some(chain)) => records.write(&chain),
        (pending, _) => records.end_plugin(record, pending),
    };
}

/// Announces the addresses and returns the result: beside what the plugins before it in a chain
/// made exactly one interface, the bond or the VLAN's on it, since a meta-plugin writes one status
/// entry for each interface that has a sandbox.
fn answer(
    kernel: &mut Kernel,
    ipam: Ipam<'_>,
    lease: Option<CniResult>,
) -> Result<CniResult, Failure> {
    let request = ipam.request;
    // First, since the bond may take another port's address while it waits for its carrier.
    if let Some(result) = &lease {
        ipam.settle(kernel, result)?;
        podbond_ipam::announce(kernel, &request.ifname, result);
    }
    let link = kernel
        .link(&LinkRef::pod(request.ifname.clone()))
        .map_err(|error| podbond_ipam::failure(&request.config.name, &error))?;
    let interface = Interface {
        name: request.ifname.clone(),
        mac: link.as_ref().and_then(|link| link.mac),
        mtu: link.as_ref().map(|link| link.mtu),
        sandbox: request.netns.as_ref().map(|path| path.display().to_string()),
        socket_path: None,
        pci_id: None,
    };
    Ok(podbond_ipam::result(request.config.prev_result.as_ref(), lease, interface))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use podbond_cni::{Args, ContainerId, Lookup, NetConf};
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

    /// The room for an ADD beside the record of an earlier one, in whose namespace a key is changed.
    fn room(
        (key, value): (&str, serde_json::Value),
        ipam: Option<&str>,
    ) -> Result<(Record, Option<Record>), Error> {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("lib"), &dir.path().join("run"));
        let mut netns = serde_json::to_value(alive()).unwrap();
        netns[key] = value;
        let netns = serde_json::from_value(netns).unwrap();
        records.write(&Record::of_add(&request(ipam), netns)).unwrap();
        let delegates = Delegates::new(&[], Lookup::PathOnly);
        make_room(alive(), &request(None), &delegates, &records)
    }

    #[test]
    fn attachment_of_an_earlier_boot_makes_room() {
        let earlier = || ("boot", json!("earlier"));
        let (record, chain) = room(earlier(), None).unwrap();
        assert_eq!((record.add, chain), (Record::of_add(&request(None), alive()).add, None));
        // By the configuration of its own ADD.
        let error = room(earlier(), Some("not-installed")).unwrap_err();
        assert!(matches!(error, Error::LeasePending { .. }), "{error}");
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
        assert!(matches!(error, Error::AlreadyAdded { .. }), "{error}");
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
        let (record, kept) = make_room(alive(), &request(None), &delegates, &records).unwrap();
        assert_eq!(kept, Some(of_chain.clone()));
        assert_eq!(record, Record { add: made.add, netns: made.netns, ..of_chain });
    }
}
