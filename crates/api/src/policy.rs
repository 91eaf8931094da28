//! `SriovNetworkNodePolicy`: how many VFs which PFs get, and the resource that they belong to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fields::Fields;
use crate::{FieldError, NicSelector, ObjectKey, Reason, ResourceName};

/// A `SriovNetworkNodePolicy` (`sriovnetwork.openshift.io/v1`): how many VFs the selected PFs get,
/// and the resource that they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SriovNetworkNodePolicy {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The pool that the VFs go into.
    pub resource_name: ResourceName,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// 0..=99. Where policies disagree, the lower number wins.
    pub priority: u8,
    /// VFs on each selected PF, 1 at least.
    pub num_vfs: u16,
    /// In bytes; a PF's own is raised to it, never lowered.
    pub mtu: Option<u32>,
    /// The PFs meant.
    pub nic_selector: NicSelector,
    /// The driver of the VFs.
    pub device_type: DeviceType,
    /// The kind of link that a PF must have; absent: any.
    pub link_type: Option<LinkType>,
    /// Who makes the VFs.
    pub management: Management,
    /// Whether RDMA is wanted.
    pub is_rdma: bool,
    /// Whether pods get `/dev/vhost-net`.
    pub need_vhost_net: bool,
    /// Whether a device's NUMA node is kept from the scheduler.
    pub exclude_topology: bool,
}

/// The driver of a policy's VFs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceType {
    /// The card's own driver: a VF is a network interface.
    #[default]
    Netdevice,
    /// vfio-pci: a VF is handed to user space whole and has no interface.
    VfioPci,
}

/// The kind of a PF's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkType {
    /// `eth`
    #[serde(rename = "eth", alias = "ETH")]
    Ethernet,
    /// `ib`
    #[serde(rename = "ib", alias = "IB")]
    InfiniBand,
}

/// Who makes a policy's VFs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Management {
    /// The policy does.
    #[default]
    Managed,
    /// They exist already and are only put into the pool (`externallyManaged: true`).
    External,
}

impl SriovNetworkNodePolicy {
    pub(crate) fn read(key: ObjectKey, spec: &Fields<'_>) -> Result<Self, FieldError> {
        let resource_name =
            spec.required("resourceName", "the name of the pool that the VFs go into")?;
        refuse_switchdev(spec)?;
        let policy = Self {
            key,
            resource_name,
            node_selector: spec.text_map("nodeSelector")?,
            priority: spec.integer("priority", 0..=99)?.unwrap_or(0),
            num_vfs: spec.integer("numVfs", 1..=u32::from(u16::MAX))?.ok_or_else(|| {
                spec.error("numVfs", Reason::missing("how many VFs each PF gets, 1 at least"))
            })?,
            mtu: spec.integer("mtu", 1..=u32::from(u16::MAX))?,
            nic_selector: NicSelector::read(spec)?,
            device_type: spec.choice("deviceType")?.unwrap_or_default(),
            link_type: spec.choice("linkType")?,
            management: if spec.flag("externallyManaged")? {
                Management::External
            } else {
                Management::Managed
            },
            is_rdma: spec.flag("isRdma")?,
            need_vhost_net: spec.flag("needVhostNet")?,
            exclude_topology: spec.flag("excludeTopology")?,
        };
        policy.check_ranges(spec)?;
        policy.check_rdma(spec)?;
        Ok(policy)
    }

    fn check_ranges(&self, spec: &Fields<'_>) -> Result<(), FieldError> {
        for (position, pf) in self.nic_selector.pf_names.iter().enumerate() {
            if pf.vfs.is_some_and(|vfs| vfs.last() >= self.num_vfs) {
                let (num_vfs, last) = (self.num_vfs, self.num_vfs - 1);
                let reason = Reason::conflict(
                    format!("\"{pf}\""),
                    format!("spec.numVfs is {num_vfs}, so that the last VF is {last}"),
                    "raise spec.numVfs, or end the range earlier",
                );
                return Err(spec.error(&format!("nicSelector.pfNames[{position}]"), reason));
            }
        }
        Ok(())
    }

    fn check_rdma(&self, spec: &Fields<'_>) -> Result<(), FieldError> {
        if self.is_rdma && self.device_type == DeviceType::VfioPci {
            let help = "set spec.deviceType to netdevice, or leave isRdma out";
            let reason = Reason::conflict("true", "spec.deviceType is vfio-pci", help);
            return Err(spec.error("isRdma", reason));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum EswitchMode {
    Legacy,
    Switchdev,
}

/// Refuses the modes that give VFs of another kind than podbond attaches.
fn refuse_switchdev(spec: &Fields<'_>) -> Result<(), FieldError> {
    if let Some(EswitchMode::Switchdev) = spec.choice("eSwitchMode")? {
        let reason = Reason::unsupported("switchdev", "write legacy, or leave it out");
        return Err(spec.error("eSwitchMode", reason));
    }
    if let Some(vdpa) = spec.text("vdpaType")? {
        let reason = Reason::unsupported(format!("{vdpa:?}"), "leave it out");
        return Err(spec.error("vdpaType", reason));
    }
    Ok(())
}
