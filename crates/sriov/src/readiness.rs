use std::path::PathBuf;

use podbond_cni::{Args, Code, Delegates, Failure, NetConf, NodeRequest};
use podbond_ipam::readiness;
use podbond_kernel::{Sysfs, is_userspace_driver, no_netns};
use podbond_names::PciAddress;

use crate::{Config, Error, Sriov};

/// Why no VF can be given to a pod at this moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
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
    Gone { pci: PciAddress },
    #[error(
        "deviceID: VF {pci} is held by the pod whose network namespace is {}: use another VF, or \
         delete that pod", netns.display()
    )]
    Held { pci: PciAddress, netns: PathBuf },
    #[error(
        "VF {pci} is gone, which the pod with the network namespace {} was given: bring its card or \
         its PF's VFs back, or delete the pod", netns.display()
    )]
    Lost { pci: PciAddress, netns: PathBuf },
    #[error(
        "what ADD does cannot be recorded: {0}: make room, or mount the filesystem for writing"
    )]
    Unrecorded(podbond_state::Error),
}

impl Unready {
    /// "51: The plugin is not available, and existing containers in the network may have limited
    /// connectivity" (section "STATUS"); 50 else.
    fn code(&self) -> Code {
        match self {
            Self::Lost { .. } => Code::LimitedConnectivity,
            _ => Code::NotAvailable,
        }
    }
}

/// What the node shows.
#[derive(Default)]
struct Seen {
    /// `deviceID`, where the configuration names one.
    device: Option<PciAddress>,
    /// The VFs that are there.
    vfs: Vec<Function>,
    /// VFs of this network's pods that are alive, with their namespaces.
    given: Vec<(PciAddress, PathBuf)>,
    records: Option<podbond_state::Error>,
}

struct Function {
    pci: PciAddress,
    /// The namespace of the pod that has it.
    holder: Option<PathBuf>,
    /// Whether it is on the node: with a link, or with a driver that gives it none.
    on_node: bool,
}

/// Every reason that what is seen gives. Pure.
fn reasons(seen: Seen) -> Vec<Unready> {
    let Seen { device, vfs, given, records } = seen;
    let find = |pci| vfs.iter().find(|vf| vf.pci == pci);
    let device = match (device, device.and_then(find)) {
        (Some(pci), None) => Some(Unready::Gone { pci }),
        (Some(pci), Some(vf)) => vf.holder.clone().map(|netns| Unready::Held { pci, netns }),
        (None, _) if vfs.is_empty() => Some(Unready::NoVf),
        (None, _) if vfs.iter().any(|vf| vf.holder.is_none() && vf.on_node) => None,
        (None, _) => Some(Unready::NoneFree { vfs: vfs.len() }),
    };
    let lost = given.iter().filter(|(pci, _)| find(*pci).is_none());
    let lost = lost.map(|(pci, netns)| Unready::Lost { pci: *pci, netns: netns.clone() });
    device.into_iter().chain(lost).chain(records.map(Unready::Unrecorded)).collect()
}

impl Sriov {
    /// STATUS. A configuration that no ADD would take is refused as by ADD, but for a `deviceID`,
    /// which whoever calls ADD may put in.
    pub(crate) fn readiness(
        &self,
        request: &NodeRequest,
        delegates: &Delegates<'_>,
    ) -> Result<(), Failure> {
        let refused = |error: Error| error.into_failure(&request.config.name);
        let device = device(&request.config).map_err(refused)?;
        let seen = self.see(device, &request.config.name).map_err(refused)?;
        let own = reasons(seen).into_iter().map(|reason| Failure::new(reason.code(), reason));
        readiness(own.collect(), request, delegates)
    }

    fn see(&self, device: Option<PciAddress>, network: &str) -> Result<Seen, Error> {
        let sysfs = Sysfs::new("/sys");
        let mut vfs = Vec::new();
        for pf in sysfs.network_functions()? {
            for (_, pci) in sysfs.vfs_of(pf)? {
                let driver = sysfs.driver(pci)?;
                let is_userspace = driver.as_deref().is_some_and(is_userspace_driver);
                let on_node = is_userspace || !sysfs.links_of(pci)?.is_empty();
                vfs.push(Function { pci, holder: self.store.holder(pci)?, on_node });
            }
        }
        let records = self.store.records()?.into_iter();
        let given = records
            .filter(|(_, record)| record.network() == Some(network))
            .filter_map(|(_, record)| Some((record.device, record.netns?)))
            .filter(|(_, netns)| !no_netns(netns));
        let given = given.collect();
        Ok(Seen { device, vfs, given, records: self.store.writable().err() })
    }
}

/// The `deviceID` of a configuration, all of which is checked.
fn device(config: &NetConf) -> Result<Option<PciAddress>, Error> {
    match Config::parse(config, &Args::default()) {
        Err(Error::DeviceMissing) => {
            let mut config = config.clone();
            config.raw.insert("deviceID".to_owned(), "0000:00:00.0".into());
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
    fn a_configuration_without_device_is_checked_as_one_with() {
        let of = |keys| device(&net_conf(&keys)).map_err(|error| error.to_string());
        assert_eq!(of(json!({"deviceID": "0000:02:10.1"})), Ok(Some(pci(1))));
        assert_eq!(of(json!({"deviceID": null, "vlan": 7})), Ok(None));
        assert!(of(json!({"deviceID": null, "vlan": 9999})).unwrap_err().contains("vlan: 9999"));
    }

    fn pci(function: u8) -> PciAddress {
        format!("0000:02:10.{function}").parse().unwrap()
    }

    fn vf(function: u8, holder: Option<&str>, on_node: bool) -> Function {
        Function { pci: pci(function), holder: holder.map(PathBuf::from), on_node }
    }

    #[test]
    fn each_reason_is_told_with_its_code_and_its_mend() {
        let free = || vf(0, None, true);
        let held = || vf(1, Some("/run/netns/p"), false);
        let elsewhere = || vf(2, None, false);
        let given = |function| vec![(pci(function), PathBuf::from("/run/netns/p"))];
        let full = podbond_state::writable("/proc/none".as_ref()).err();
        let of = |device: Option<u8>, vfs| Seen { device: device.map(pci), vfs, ..Seen::default() };
        let table: Vec<(Seen, &[(u32, &str)])> = vec![
            (of(None, vec![free(), held()]), &[]),
            (of(Some(0), vec![free(), held()]), &[]),
            (of(None, vec![]), &[(50, "this node has no VF: ")]),
            (of(None, vec![held(), elsewhere()]), &[(50, "none of the node's 2 VFs is free: ")]),
            (of(Some(7), vec![free()]), &[(50, "deviceID: 0000:02:10.7 is no VF of this node: ")]),
            (
                of(Some(1), vec![free(), held()]),
                &[(
                    50,
                    "deviceID: VF 0000:02:10.1 is held by the pod whose network namespace is /run/netns/p: ",
                )],
            ),
            (Seen { given: given(0), ..of(None, vec![free()]) }, &[]),
            (
                Seen { given: given(7), records: full, ..of(None, vec![free()]) },
                &[
                    (
                        51,
                        "VF 0000:02:10.7 is gone, which the pod with the network namespace /run/netns/p was given: ",
                    ),
                    (
                        50,
                        "what ADD does cannot be recorded: cannot make the directory /proc/none: ",
                    ),
                ],
            ),
        ];
        for (seen, expected) in table {
            let told = reasons(seen);
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, (code, start)) in told.iter().zip(expected) {
                assert_eq!(told.code().number(), *code);
                assert!(told.to_string().starts_with(start), "{told}");
            }
        }
    }
}
