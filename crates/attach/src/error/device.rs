//! Why a network of a pod has no device of the resource that it needs.

use podbond_api::ObjectKey;
use podbond_names::{LinkName, OneLine};

/// The pod has no device for a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod {pod}: {ifname} ({nad}) needs a device of {}, {missing}", OneLine(resource))]
pub struct NoDevice {
    /// The pod.
    pub pod: ObjectKey,
    /// The interface.
    pub ifname: LinkName,
    /// The network.
    pub nad: String,
    /// The resource, with its prefix.
    pub resource: String,
    /// Why there is none.
    pub missing: MissingDevice,
}

/// Why a pod has no device for a network, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingDevice {
    /// No container requests the resource.
    #[error(
        "and the pod has no {0}: was the injector there when it was created? Create the pod anew, \
         or give a container `resources` with {0} in requests and limits",
        OneLine(resource)
    )]
    NotRequested {
        /// The resource.
        resource: String,
    },
    /// Only init containers that end do, whose devices the kubelet does not tell.
    #[error(
        "which only init containers of the pod request, and the kubelet does not tell whose devices those \
         are: request it in a container that runs as long as the pod"
    )]
    InitOnly,
    /// The kubelet has given it none.
    #[error(
        "which the pod requests, and the kubelet shows none that it has been given: look for the device \
         plugin of the resource on this node, and create the pod anew"
    )]
    NotGiven,
    /// More networks need one than there are.
    #[error(
        "the pod has {given} of it and its annotation names {mentions} networks of it: request {mentions}"
    )]
    TooFew {
        /// How many the pod has.
        given: usize,
        /// How many networks need one.
        mentions: usize,
    },
}
