//! Why a VF cannot be given to a pod, checked or taken back.

use podbond_cni::{Code, Failure, MacError};
use podbond_names::{LinkName, NameError, PciAddress};

use podbond_record::Holder;

/// Why a VF cannot be given to a pod, checked or taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `deviceID`.
    #[error("deviceID is missing: give the VF's PCI address, or name a resource that has VFs")]
    DeviceMissing,
    /// `deviceID` is no PCI address.
    #[error("deviceID: {0}")]
    Device(NameError),
    /// A value that should be text.
    #[error("{field}: {given} is no text: put it in quotes")]
    NotText {
        /// The key.
        field: &'static str,
        /// The value as written.
        given: String,
    },
    /// A number too large or too small, or no number.
    #[error("{field}: {given} is out of range: give a whole number from {min} to {max}")]
    OutOfRange {
        /// The key.
        field: &'static str,
        /// The value as written.
        given: String,
        /// The smallest possible.
        min: u32,
        /// The largest possible.
        max: u32,
    },
    /// A word that is none of those possible.
    #[error("{field}: {given} is unknown: give {}", .choices.join(" or "))]
    NoChoice {
        /// The key.
        field: &'static str,
        /// The value as written.
        given: String,
        /// The words that are possible.
        choices: Vec<&'static str>,
    },
    /// A part of a VLAN tag without the tag.
    #[error("{field} needs a vlan: give vlan too")]
    NeedsVlan {
        /// The key.
        field: &'static str,
    },
    /// VLAN 0 is no tag, so that nothing can be said about it.
    #[error("{field} needs a tag: vlan is 0, give one from 1 to 4094 or leave {field} out")]
    NeedsTag {
        /// The key.
        field: &'static str,
    },
    /// A guaranteed rate above the limit.
    #[error("min_tx_rate {min} is above max_tx_rate {max} (Mbit/s): lower one or raise the other")]
    Rates {
        /// Mbit/s.
        min: u32,
        /// Mbit/s.
        max: u32,
    },
    /// A MAC address that no interface can have.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// `CNI_NETNS` is missing, which ADD and CHECK need.
    #[error("CNI_NETNS is missing: give the path of the pod's network namespace")]
    NetnsMissing,
    /// There is no such PCI function, or it is no VF.
    #[error(
        "deviceID: {pci} is no SR-IOV VF of this node: list the VFs with \
         `ls -d /sys/bus/pci/devices/*/physfn`"
    )]
    NotAVf {
        /// The address.
        pci: PciAddress,
    },
    /// The driver of the card does not keep this setting.
    #[error(
        "{setting}: the driver of {pf} keeps none for VF {vf}: leave it out, or use another card"
    )]
    NotKept {
        /// The key.
        setting: &'static str,
        /// The PF's link.
        pf: LinkName,
        /// The VF's number.
        vf: u16,
    },
    /// The VF has no network interface to give to the pod.
    #[error("deviceID: VF {pci} {}", missing_link(.driver.as_deref()))]
    NoLink {
        /// The VF.
        pci: PciAddress,
        /// The driver bound to it.
        driver: Option<String>,
    },
    /// The VF serves something on the node.
    #[error(
        "deviceID: VF {pci} is {link}, a port of a bond or bridge of the node: take it out of there, or use another VF"
    )]
    Enslaved {
        /// The VF.
        pci: PciAddress,
        /// Its link.
        link: LinkName,
    },
    /// Another pod has the VF, or may have it.
    #[error("deviceID: VF {pci} is held by {}: use another VF, or delete that pod", .holder.with_netns())]
    Held {
        /// The VF.
        pci: PciAddress,
        /// That pod.
        holder: Holder,
    },
    /// The name is in use in the pod.
    #[error("the pod has a link {name} already: choose another name for this attachment")]
    NameTaken {
        /// The name.
        name: LinkName,
    },
    /// The VF could not be restored.
    #[error("VF {pci} is not yet as it was before: {}", .problems.join("; "))]
    NotRestored {
        /// The VF.
        pci: PciAddress,
        /// What is to be done, and why it was not done.
        problems: Vec<String>,
    },
    /// CHECK without the result that it is about.
    #[error("prevResult is missing: CHECK needs the result of the ADD")]
    PrevResultMissing,
    /// What the IPAM plugin said, or what went wrong while the VF was given to the pod.
    #[error(transparent)]
    Attaching(#[from] Failure),
    /// The record, or its lock; or the record does not let the attachment be added.
    #[error(transparent)]
    Record(#[from] podbond_record::Error),
    /// A file of sriov-cni.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// Several things went wrong, all of them reported.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] podbond_kernel::Error),
}

fn missing_link(driver: Option<&str>) -> String {
    match driver {
        None => {
            "has no driver, and so no network interface: bind it to its network driver".to_owned()
        }
        Some(driver) => format!(
            "(driver {driver}) has no network interface on the node: it is held by a network \
             namespace that is not in any record; look for it with `ip -all netns exec ip link`"
        ),
    }
}

impl Error {
    /// Returns success when nothing went wrong, one error as it is, and several in one.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// Returns the answer to the runtime, naming the network.
    pub fn into_failure(self, network: &str) -> Failure {
        let code = match &self {
            Self::Attaching(failure) => return failure.clone(),
            Self::Kernel(error) => return podbond_ipam::failure(network, error),
            Self::NoLink { .. }
            | Self::Enslaved { .. }
            | Self::Held { .. }
            | Self::NameTaken { .. } => Code::CONFLICT,
            Self::NotRestored { .. } | Self::Several(_) => Code::KERNEL,
            Self::State(_) => Code::IO,
            Self::Record(error) => error.code(),
            Self::NetnsMissing => Code::INVALID_ENVIRONMENT,
            _ => Code::INVALID_CONFIG,
        };
        Failure::new(code, format_args!("network {network}: {self}"))
    }
}
