use std::path::{Path, PathBuf};

use crate::Result;

/// A named network namespace as iproute2 keeps them: a mount at `/run/netns/<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNetns {
    path: PathBuf,
}

impl NamedNetns {
    /// Makes the namespace, with its loopback up; it is an error when the name is taken.
    pub fn create(_name: &str) -> Result<Self> {
        todo!()
    }

    /// The namespace of this name, if it is there.
    pub fn find(_name: &str) -> Result<Option<Self>> {
        todo!()
    }

    /// The path to give as `CNI_NETNS`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the name, and with its last user the namespace. Success when it is already gone.
    pub fn remove(self) -> Result<()> {
        todo!()
    }
}

/// Whether a path is a network namespace that is alive.
pub fn is_netns(_path: &Path) -> bool {
    todo!()
}

/// Moves the calling thread into a namespace for good: for `podbond exec`, just before exec.
pub fn enter(_path: &Path) -> Result<()> {
    todo!()
}
