//! A Kubernetes cluster for tests and trying things: the control plane on this machine, in a network
//! namespace of its own, nodes with SR-IOV cards in virtual machines of the lab.
//!
//! Everything is as Kubernetes and Debian make it, unmodified, with the certificates and rights that a
//! cluster has. All of it ends with the process that asked for it: see [`namespaces`].

mod certificates;
mod cluster;
mod control_plane;
mod disk;
mod error;
mod forward;
mod go;
mod image;
pub mod kubectl;
mod kubernetes;
pub mod namespaces;
mod network;
mod node;
mod podbond;
mod process;
mod state;

pub use cluster::{Cluster, Description, NodeFile};
pub use error::Error;
pub use image::Image;
pub use podbond::{Applied, Podbond, agent_image, image_name};
