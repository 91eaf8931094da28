//! Changes of links in the network namespaces of pods as the kernel tells of them, by one netlink socket that keeps
//! none of these namespaces alive.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::netlink::{LinkNotifications, Notification};
use crate::{Error, Result};

/// The number of a network namespace in the one of this process (`nsid`). The kernel uses it again when the
/// namespace is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetnsNumber(i32);

impl NetnsNumber {
    /// Returns the number as the kernel has it.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }
}

impl fmt::Display for NetnsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the kernel tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkEvent {
    /// A link of another namespace changed, came or went: its state, its carrier, its ports, anything.
    Changed(NetnsNumber),
    /// A namespace is over, and its number free.
    NamespaceOver(NetnsNumber),
    /// There was more than could be kept: anything may have changed.
    Lost,
}

/// Hears of the links of all network namespaces that have a number in its own
/// ([`NetnsIdentity::number`](crate::NetnsIdentity::number) gives them one). The kernel tells nothing of others, and
/// nothing to a process without `CAP_NET_BROADCAST`.
///
/// A socket in a namespace keeps that alive, and the VFs in it from the node, for as long as the socket is open; this
/// one is in the namespace of the process.
pub struct LinkMonitor {
    notifications: LinkNotifications,
}

impl LinkMonitor {
    /// Opens a monitor in the calling thread's namespace. What happens from now on is told.
    pub fn open() -> Result<Self> {
        let notifications = LinkNotifications::open()
            .map_err(|source| Error::Socket { action: "listen for changes of links", source })?;
        Ok(Self { notifications })
    }

    /// Returns the next of what the kernel has told, without waiting; none when all is read. The descriptor is
    /// readable when there is more.
    pub fn next_event(&mut self) -> io::Result<Option<LinkEvent>> {
        while let Some(notification) = self.notifications.next()? {
            let event = match notification {
                Notification::Link(Some(netns)) => LinkEvent::Changed(NetnsNumber::new(netns)),
                Notification::NamespaceOver(netns) => {
                    LinkEvent::NamespaceOver(NetnsNumber::new(netns))
                }
                Notification::Lost => LinkEvent::Lost,
                // What happens in its own namespace is not asked for.
                Notification::Link(None) | Notification::Other => continue,
            };
            return Ok(Some(event));
        }
        Ok(None)
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}

/// For runtimes that wait for descriptors by number.
impl AsRawFd for LinkMonitor {
    fn as_raw_fd(&self) -> RawFd {
        self.notifications.as_fd().as_raw_fd()
    }
}
