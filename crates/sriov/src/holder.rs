//! Who holds a VF, for messages.

use std::fmt;
use std::path::PathBuf;

/// The pod that holds a VF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The attachment, as a record of ours shows it: `net1 of pod demo/bondpod1`; none where only
    /// sriov-cni's claim is there.
    pub attachment: Option<String>,
    /// The path of its network namespace.
    pub netns: PathBuf,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let netns = self.netns.display();
        match &self.attachment {
            Some(attachment) => write!(f, "{attachment} (network namespace {netns})"),
            None => write!(f, "the pod whose network namespace is {netns}"),
        }
    }
}
