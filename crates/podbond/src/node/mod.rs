//! This node as the commands see it: its records, pods, VFs and CNI plugins.

mod applied;
mod attachments;
mod pending_lease;
mod pods;
mod this_node;
mod unreadable;

pub(crate) use applied::AppliedPod;
pub(crate) use attachments::{Nads, device_failure};
pub(crate) use pending_lease::PendingLease;
pub(crate) use pods::{Pod, in_order_of_removal, read_pods};
pub(crate) use this_node::{Node, require_root};
pub(crate) use unreadable::{unreadable_file, unreadable_files};
