//! STATUS: whether a VF can be given to a pod, with every reason against it.

use podbond_cni::{Args, Code, Delegates, Failure, NetConf, NodeRequest, set_field};
use podbond_ipam::readiness;
use podbond_kernel::{Sysfs, is_userspace_driver};
use podbond_names::PciAddress;
use podbond_record::Holder;

use crate::{Config, Error, Sriov};

/// Why no VF can be given to a pod.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Unready {
    #[error("this node has no VF: make some with a policy, or write sriov_numvfs of a PF")]
    NoVf,
    #[error(
        "none of the node's {vfs} VFs is free: delete pods that have one, or make more; who holds a \
         VF is in the file named after it in /var/lib/cni/sriov/pci"
    )]
    NoneFree { vfs: usize },
    #[error(
        "deviceID: {pci} is no VF of this node: bring its card or its PF's VFs back, or name another"
    )]
    NoSuchVf { pci: PciAddress },
    #[error("deviceID: VF {pci} is held by {}: use another VF, or delete that pod", .holder.with_netns())]
    Held { pci: PciAddress, holder: Holder },
    #[error(
        "VF {pci} is gone, which was given to {}: bring its card or its PF's VFs back, or delete that pod",
        .holder.with_netns()
    )]
    Gone { pci: PciAddress, holder: Holder },
    #[error(transparent)]
    Unrecorded(podbond_record::Error),
}

impl Unready {
    /// "51: The plugin is not available, and existing containers in the network may have limited
    /// connectivity" (section "STATUS"); 50 else.
    fn code(&self) -> Code {
        match self {
            Self::Gone { .. } => Code::LIMITED_CONNECTIVITY,
            _ => Code::NOT_AVAILABLE,
        }
    }
}

/// What the node shows.
#[derive(Default)]
struct NodeState {
    /// `deviceID`, where the configuration names one.
    device: Option<PciAddress>,
    /// The VFs that are there.
    vfs: Vec<Function>,
    /// VFs of this network's pods that are alive.
    given: Vec<(PciAddress, Holder)>,
    /// Why what ADD does cannot be recorded.
    unwritable: Option<podbond_record::Error>,
}

struct Function {
    pci: PciAddress,
    /// The pod that has it.
    holder: Option<Holder>,
    /// Whether it is on the node: with a link, or with a driver that gives it none.
    on_node: bool,
}

/// Returns every reason that the node gives. Pure.
fn reasons(node: NodeState) -> Vec<Unready> {
    let NodeState { device, vfs, given, unwritable } = node;
    let find = |pci| vfs.iter().find(|vf| vf.pci == pci);
    let device = match (device, device.and_then(find)) {
        (Some(pci), None) => Some(Unready::NoSuchVf { pci }),
        (Some(pci), Some(vf)) => vf.holder.clone().map(|holder| Unready::Held { pci, holder }),
        (None, _) if vfs.is_empty() => Some(Unready::NoVf),
        (None, _) if vfs.iter().any(|vf| vf.holder.is_none() && vf.on_node) => None,
        (None, _) => Some(Unready::NoneFree { vfs: vfs.len() }),
    };
    let gone = given.iter().filter(|(pci, _)| find(*pci).is_none());
    let gone = gone.map(|(pci, holder)| Unready::Gone { pci: *pci, holder: holder.clone() });
    device.into_iter().chain(gone).chain(unwritable.map(Unready::Unrecorded)).collect()
}

impl Sriov {
    /// STATUS. A configuration that no ADD would take is refused as by ADD, but for a `deviceID`,
    /// which the caller of ADD may put in.
    pub(crate) fn readiness(
        &self,
        request: &NodeRequest,
        delegates: &Delegates<'_>,
    ) -> Result<(), Failure> {
        let refused = |error: Error| error.into_failure(&request.config.name);
        let device = device(&request.config).map_err(refused)?;
        let node = self.look_at_node(device, &request.config.name).map_err(refused)?;
        let own = reasons(node).into_iter().map(|reason| Failure::new(reason.code(), reason));
        readiness(own.collect(), request, delegates)
    }

    fn look_at_node(&self, device: Option<PciAddress>, network: &str) -> Result<NodeState, Error> {
        let sysfs = Sysfs::new("/sys");
        let (records, _) = self.records.all()?;
        let mut vfs = Vec::new();
        for pf in sysfs.network_functions()? {
            for (_, pci) in sysfs.vfs_of(pf)? {
                let driver = sysfs.driver(pci)?;
                let is_userspace = driver.as_deref().is_some_and(is_userspace_driver);
                let on_node = is_userspace || !sysfs.links_of(pci)?.is_empty();
                let claim = self.files.claim(pci)?;
                let holder = Holder::among(&records, pci, claim.as_deref());
                vfs.push(Function { pci, holder, on_node });
            }
        }
        let of_network = records.iter().filter(|record| {
            record.claims_its_vf() && record.network == network && !record.netns_state().is_over()
        });
        let given = of_network
            .filter_map(|record| {
                let holder = Holder::Attachment(Box::new(record.clone()));
                Some((*record.devices.first()?, holder))
            })
            .collect();
        let unwritable = self.records.writable().and_then(|()| self.files.writable()).err();
        Ok(NodeState { device, vfs, given, unwritable })
    }
}

/// Returns the `deviceID` of a configuration, all of which is checked.
fn device(config: &NetConf) -> Result<Option<PciAddress>, Error> {
    match Config::parse(config, &Args::default()) {
        Err(Error::DeviceMissing) => {
            let mut config = config.clone();
            set_field(&mut config.raw, "deviceID", Some("0000:00:00.0".into()));
            Config::parse(&config, &Args::default()).map(|_| None)
        }
        parsed => parsed.map(|config| Some(config.device)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::net_conf;

    #[test]
    fn configuration_without_device_is_checked_as_one_with() {
        let of = |keys| device(&net_conf(&keys)).map_err(|error| error.to_string());
        assert_eq!(of(json!({"deviceID": "0000:02:10.1"})), Ok(Some(pci(1))));
        assert_eq!(of(json!({"deviceID": null, "vlan": 7})), Ok(None));
        assert!(of(json!({"deviceID": null, "vlan": 9999})).unwrap_err().contains("vlan: 9999"));
    }

    fn pci(function: u8) -> PciAddress {
        format!("0000:02:10.{function}").parse().unwrap()
    }

    fn by_claim(netns: &str) -> Holder {
        Holder::Netns(netns.into())
    }

    fn vf(function: u8, holder: Option<&str>, on_node: bool) -> Function {
        Function { pci: pci(function), holder: holder.map(by_claim), on_node }
    }

    #[test]
    fn each_reason_has_its_code_and_remedy() {
        let free = || vf(0, None, true);
        let held = || vf(1, Some("/run/netns/p"), false);
        let elsewhere = || vf(2, None, false);
        let given = |function| vec![(pci(function), by_claim("/run/netns/p"))];
        let full = podbond_state::writable("/proc/none".as_ref()).err();
        let full = full.map(podbond_record::Error::Unwritable);
        let of = |device: Option<u8>, vfs| NodeState {
            device: device.map(pci),
            vfs,
            ..NodeState::default()
        };
        let table: Vec<(NodeState, &[(u32, &str)])> = vec![
            (of(None, vec![free(), held()]), &[]),
            (of(Some(0), vec![free(), held()]), &[]),
            (of(None, vec![]), &[(50, "this node has no VF: ")]),
            (of(None, vec![held(), elsewhere()]), &[(50, "none of the node's 2 VFs is free: ")]),
            (of(Some(7), vec![free()]), &[(50, "deviceID: 0000:02:10.7 is no VF of this node: ")]),
            (
                of(Some(1), vec![free(), held()]),
                &[(
                    50,
                    "deviceID: VF 0000:02:10.1 is held by the pod with network namespace /run/netns/p: ",
                )],
            ),
            (NodeState { given: given(0), ..of(None, vec![free()]) }, &[]),
            (
                NodeState { given: given(7), unwritable: full, ..of(None, vec![free()]) },
                &[
                    (
                        51,
                        "VF 0000:02:10.7 is gone, which was given to the pod with network namespace /run/netns/p: ",
                    ),
                    (
                        50,
                        "what ADD does cannot be recorded: cannot make the directory /proc/none: ",
                    ),
                ],
            ),
        ];
        for (node, expected) in table {
            let texts = reasons(node);
            assert_eq!(texts.len(), expected.len(), "{texts:?}");
            for (text, (code, start)) in texts.iter().zip(expected) {
                assert_eq!(text.code().number(), *code);
                assert!(text.to_string().starts_with(start), "{text}");
            }
        }
    }
}
