use std::ops::{Deref, DerefMut};
use std::process::Command;

use podbond_kernel::{Apply, Error, Kernel, Link, LinkRef, NamedNetns, Step};
use podbond_names::LinkName;

/// A namespace with a kernel that sees it as the pod's. It goes with its links at the end.
pub(crate) struct Pod {
    netns: String,
    kernel: Kernel,
}

impl Pod {
    pub(crate) fn new(netns: &str) -> Self {
        if let Some(stale) = NamedNetns::find(netns).unwrap() {
            stale.remove().unwrap();
        }
        let named = NamedNetns::create(netns).unwrap();
        Self { netns: netns.to_owned(), kernel: Kernel::with_pod(named.path()).unwrap() }
    }

    /// iproute2's `ip`, in the pod.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.netns))
    }

    pub(crate) fn must(&mut self, step: &Step) {
        self.kernel.apply(step).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Applies a step that the kernel must refuse.
    pub(crate) fn refused(&mut self, step: &Step) -> Error {
        self.kernel.apply(step).expect_err(&step.to_string())
    }

    pub(crate) fn shown(&mut self, at: &LinkRef) -> Link {
        self.kernel.link(at).unwrap().unwrap_or_else(|| panic!("there is no {at}"))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Ok(Some(netns)) = NamedNetns::find(&self.netns) {
            netns.remove().unwrap();
        }
    }
}

impl Deref for Pod {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl DerefMut for Pod {
    fn deref_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }
}

/// iproute2's `ip`: its output, and a panic when it fails.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {words}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

pub(crate) fn host(text: &str) -> LinkRef {
    LinkRef::host(name(text))
}

pub(crate) fn pod(text: &str) -> LinkRef {
    LinkRef::pod(name(text))
}

pub(crate) fn errno(error: &Error) -> Option<i32> {
    match error {
        Error::Refused { source, .. } => source.raw_os_error(),
        _ => None,
    }
}
