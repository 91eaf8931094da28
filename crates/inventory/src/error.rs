//! Why VFs cannot be pooled, created, restored or given to a pod.

use std::path::PathBuf;

use podbond_api::{ObjectKey, ResourceName, VfRange};
use podbond_names::PciAddress;

use crate::holder::Occupant;

/// Why VFs cannot be pooled, created, restored or given to a pod.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A policy's `nicSelector` matches no PF.
    #[error(
        "SriovNetworkNodePolicy {policy}: spec.nicSelector matches no PF of this node ({}): {}",
        list(present, "none has SR-IOV"),
        if present.is_empty() {
            "insert the card, or switch SR-IOV on in its firmware"
        } else {
            "select one of these, or insert the card"
        }
    )]
    NoMatchingPf {
        /// The policy.
        policy: ObjectKey,
        /// The PFs that there are.
        present: Vec<String>,
    },
    /// A policy asks for more VFs than a PF can have.
    #[error(
        "SriovNetworkNodePolicy {policy}: spec.numVfs is {asked}, but {pf} can have {total} VFs: lower it"
    )]
    TooManyVfs {
        /// The policy.
        policy: ObjectKey,
        /// The PF.
        pf: String,
        /// `spec.numVfs`.
        asked: u16,
        /// `sriov_totalvfs`.
        total: u16,
    },
    /// A policy with `externallyManaged` asks for more VFs than exist.
    #[error(
        "SriovNetworkNodePolicy {policy}: spec.numVfs is {asked}, but {pf} has {present} VFs and spec.externallyManaged is set: create them, or lower it"
    )]
    TooFewExternalVfs {
        /// The policy.
        policy: ObjectKey,
        /// The PF.
        pf: String,
        /// `spec.numVfs`.
        asked: u16,
        /// `sriov_numvfs`.
        present: u16,
    },
    /// A policy with `externallyManaged` asks for a larger MTU than the PF has.
    #[error(
        "SriovNetworkNodePolicy {policy}: spec.mtu is {asked}, but {pf} has {present} and spec.externallyManaged is set: raise it, or lower spec.mtu"
    )]
    ExternalMtu {
        /// The policy.
        policy: ObjectKey,
        /// The PF.
        pf: String,
        /// `spec.mtu` in bytes.
        asked: u32,
        /// The PF's MTU in bytes.
        present: u32,
    },
    /// A PF's link is not of the policy's `linkType`.
    #[error(
        "SriovNetworkNodePolicy {policy}: spec.linkType is {asked}, but the link of {pf} is of another type: correct it, or select another PF"
    )]
    LinkType {
        /// The policy.
        policy: ObjectKey,
        /// The PF.
        pf: String,
        /// `eth` or `ib`.
        asked: &'static str,
    },
    /// Two policies want the same VFs.
    #[error(
        "SriovNetworkNodePolicy {policy}: spec.nicSelector takes VFs {vfs} of {pf}, which overlap VFs {other_vfs} of policy {other}: give each its own range in pfNames, as {pf}#0-3{}", priority_hint(*.same_priority)
    )]
    Overlap {
        /// The policy.
        policy: ObjectKey,
        /// Its VFs.
        vfs: VfRange,
        /// The other policy; the same where it overlaps itself.
        other: Box<ObjectKey>,
        /// The other's VFs.
        other_vfs: VfRange,
        /// The PF.
        pf: String,
        /// Whether a different priority would settle it.
        same_priority: bool,
    },
    /// Two policies of a PF differ in `externallyManaged`.
    #[error(
        "SriovNetworkNodePolicy {policy}: spec.externallyManaged differs from that of policy {other}, which selects {pf} too: make both the same"
    )]
    MixedManagement {
        /// The policy.
        policy: ObjectKey,
        /// The other.
        other: ObjectKey,
        /// The PF.
        pf: String,
    },
    /// A change would take a VF from a pod.
    #[error(
        "{what} is not possible while {occupant} holds VF {index} ({vf}): delete the pod first"
    )]
    InUse {
        /// The change, with the policy and field that ask for it.
        what: String,
        /// The VF's number.
        index: u16,
        /// The VF.
        vf: PciAddress,
        /// Who holds it.
        occupant: Box<Occupant>,
    },
    /// Another process works on a VF that is to change, as an ADD or DEL of its pod.
    #[error("VF {index} of {pf} ({vf}) cannot be changed: {source}")]
    VfLocked {
        /// The PF.
        pf: String,
        /// The VF's number.
        index: u16,
        /// The VF.
        vf: PciAddress,
        /// Who holds the lock, or why it cannot be taken.
        source: Box<podbond_record::Error>,
    },
    /// VFs were created, but no driver gave them a link.
    #[error(
        "VF {index} of {pf} ({vf}) has no network interface after it was created (driver: {}): load the card's VF driver, as igbvf, iavf or ixgbevf", driver.as_deref().unwrap_or("none")
    )]
    NoVfLink {
        /// The PF.
        pf: String,
        /// The VF's number.
        index: u16,
        /// The VF.
        vf: PciAddress,
        /// The driver bound to it.
        driver: Option<String>,
    },
    /// The cards do not become what the policies ask for.
    #[error("the cards do not settle: after {rounds} rounds the next step is: {next}")]
    Unsettled {
        /// How often the plan was applied.
        rounds: usize,
        /// The first step that remains.
        next: String,
    },
    /// No policy has this resource.
    #[error(
        "no policy of this node has resource {resource} (there is {}): apply a SriovNetworkNodePolicy with this spec.resourceName",
        list(present, "none")
    )]
    UnknownResource {
        /// The resource asked for.
        resource: ResourceName,
        /// Those that there are.
        present: Vec<String>,
    },
    /// A policy has the resource, but its VFs do not exist, as after a reboot.
    #[error("resource {resource} has no VFs at present: apply its SriovNetworkNodePolicy again")]
    NoVfs {
        /// The resource asked for.
        resource: ResourceName,
    },
    /// All VFs of a resource are held.
    #[error(
        "resource {resource} has no free VF ({}): delete one of these, or raise spec.numVfs of its policy",
        occupants(held)
    )]
    NoFreeVf {
        /// The resource asked for.
        resource: ResourceName,
        /// Each VF of the pool, and who holds it.
        held: Vec<(PciAddress, Occupant)>,
    },
    /// A VF that is asked for by address is held by another.
    #[error("VF {vf} is held by {occupant}: delete that pod, or name another VF as deviceID")]
    Held {
        /// The VF.
        vf: PciAddress,
        /// Who holds it.
        occupant: Box<Occupant>,
    },
    /// An address that is asked for is no VF.
    #[error(
        "deviceID {pci} is no virtual function of this node: name one, or leave it out and give the NAD a resource"
    )]
    NotAVf {
        /// The address.
        pci: PciAddress,
    },
    /// Observing the cards failed, or changing them did and everything was undone.
    #[error(transparent)]
    Kernel(#[from] podbond_kernel::Error),
    /// A change failed, and a change before it could not be undone.
    #[error("{cause}; could not be undone: {}", not_undone.join("; "))]
    NotUndone {
        /// Why the change failed.
        #[source]
        cause: Box<Error>,
        /// What could not be undone, and why.
        not_undone: Vec<String>,
    },
    /// A record of an attachment cannot be read.
    #[error(transparent)]
    Record(#[from] podbond_record::Error),
    /// A file cannot be read or written, or another process holds the lock.
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    /// A policy's file or a PF's record cannot be read.
    #[error("{} cannot be read: {problem}: {}", path.display(), remedy(policies))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// Every policy that cannot be read; none for a PF's record.
        policies: Vec<String>,
    },
}

fn list(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}

fn remedy(policies: &[String]) -> String {
    match policies {
        [] => "apply the SriovNetworkNodePolicy of this PF again".to_owned(),
        [policy] => format!("apply or delete SriovNetworkNodePolicy {policy}"),
        several => {
            format!("apply or delete SriovNetworkNodePolicy {} in one command", several.join(", "))
        }
    }
}

fn occupants(held: &[(PciAddress, Occupant)]) -> String {
    let held = held.iter().map(|(vf, occupant)| format!("{vf}: {occupant}"));
    held.collect::<Vec<_>>().join(", ")
}

fn priority_hint(same_priority: bool) -> &'static str {
    if same_priority { ", or different priorities" } else { "" }
}
