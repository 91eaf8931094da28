//! Notifications about the links of all network namespaces that have a number in the socket's own
//! (`NETLINK_LISTEN_ALL_NSID`).

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use super::nsid::read_id;
use super::response::HEADER_BYTES;

/// The groups of `rtnetlink.h`: `RTNLGRP_LINK` and `RTNLGRP_NSID`.
const GROUPS: [u32; 2] = [libc::RTNLGRP_LINK, libc::RTNLGRP_NSID];

/// The type of what stands beside a message and says of which namespace it is. libc names it for Android alone.
const NETLINK_LISTEN_ALL_NSID: i32 = 8;

/// What the kernel may keep for us until it is read, in bytes: some hundred links of pods that start at once.
const QUEUE_BYTES: usize = 1024 * 1024;

/// What is read of a message, in bytes: its header, and all of an `RTM_DELNSID`. Of a link nothing else is wanted.
const HEAD_BYTES: usize = 64;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_DELNSID: u16 = 89;

/// What one message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notification {
    /// A link changed, came or went in the namespace of this number; none is the socket's own.
    Link(Option<i32>),
    /// The namespace of this number is over, and its number free.
    NamespaceOver(i32),
    /// Something else.
    Other,
    /// Messages are lost: the queue was full.
    Lost,
}

/// A socket in the namespace in which it was opened. It holds no other namespace.
pub(crate) struct LinkNotifications {
    inner: netlink_sys::Socket,
}

impl LinkNotifications {
    /// Opens the socket in the calling thread's namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let mut inner = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        inner.bind_auto()?;
        inner.set_listen_all_namespaces(true)?;
        // It needs CAP_NET_ADMIN; with a smaller queue more is lost, and that is told.
        let _ = set_socket_recv_buffer_size_force(&inner, QUEUE_BYTES);
        for group in GROUPS {
            inner.add_membership(group)?;
        }
        Ok(Self { inner })
    }

    /// Returns what the next message says; none where no message waits.
    pub(crate) fn next(&mut self) -> io::Result<Option<Notification>> {
        let mut head = [0; HEAD_BYTES];
        loop {
            match receive(self.inner.as_fd(), &mut head) {
                Ok((size, netns)) => {
                    return Ok(Some(read(head.get(..size).unwrap_or(&head), netns)));
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) => return Ok(None),
                    Some(libc::ENOBUFS) => return Ok(Some(Notification::Lost)),
                    _ => return Err(error),
                },
            }
        }
    }
}

impl AsFd for LinkNotifications {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// Reads the beginning of a message of the namespace of this number. The kernel sends one message at a time.
fn read(head: &[u8], netns: Option<i32>) -> Notification {
    let Some((header, payload)) = head.split_at_checked(HEADER_BYTES) else {
        return Notification::Other;
    };
    // `nlmsg_type` of `struct nlmsghdr`.
    match u16::from_ne_bytes([header[4], header[5]]) {
        RTM_NEWLINK | RTM_DELLINK => Notification::Link(netns),
        // Other namespaces tell of their own numbers.
        RTM_DELNSID if netns.is_none() => match read_id(payload) {
            Ok(Some(id)) => Notification::NamespaceOver(id),
            _ => Notification::Other,
        },
        _ => Notification::Other,
    }
}

/// Receives the beginning of a message without waiting. Returns how many bytes were written, and the number of the
/// namespace that it is from; none where that is the socket's own.
#[allow(unsafe_code, reason = "no crate reads what stands beside a netlink message")]
fn receive(socket: BorrowedFd<'_>, head: &mut [u8]) -> io::Result<(usize, Option<i32>)> {
    let mut beside = [0_u64; 8];
    let mut part = libc::iovec { iov_base: head.as_mut_ptr().cast(), iov_len: head.len() };
    // SAFETY: zeros are a msghdr without address, parts and control data.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = beside.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&beside);
    // SAFETY: `header` points to `head` and to `beside` with their lengths, and both outlive the call.
    let size = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let size = usize::try_from(size).map_err(|_| io::Error::last_os_error())?;
    let mut netns = None;
    // SAFETY: the kernel has filled `msg_control` up to the length in `header`; the macros stay within that.
    let mut item = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !item.is_null() {
        // SAFETY: `item` is one of the kernel's in `beside`, which is aligned for it.
        let libc::cmsghdr { cmsg_level, cmsg_type, .. } = unsafe { *item };
        if (cmsg_level, cmsg_type) == (libc::SOL_NETLINK, NETLINK_LISTEN_ALL_NSID) {
            // SAFETY: the data of such an item is an int.
            netns = Some(unsafe { libc::CMSG_DATA(item).cast::<i32>().read_unaligned() });
        }
        // SAFETY: as above.
        item = unsafe { libc::CMSG_NXTHDR(&raw const header, item) };
    }
    Ok((size, netns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u16, payload: &[u8]) -> Vec<u8> {
        // A length beyond what is read, as of a link.
        let mut head = 1400_u32.to_ne_bytes().to_vec();
        head.extend(kind.to_ne_bytes());
        head.resize(HEADER_BYTES, 0);
        head.extend(payload);
        head
    }

    /// `rtgenmsg`, padded, and `NETNSA_NSID`.
    fn nsid(id: i32) -> Vec<u8> {
        let mut payload = vec![0; 4];
        payload.extend(8_u16.to_ne_bytes());
        payload.extend(1_u16.to_ne_bytes());
        payload.extend(id.to_ne_bytes());
        payload
    }

    #[test]
    fn kind_and_namespace_of_a_message_are_read() {
        for (kind, payload, netns, expected) in [
            (RTM_NEWLINK, vec![0; 48], Some(7), Notification::Link(Some(7))),
            (RTM_DELLINK, vec![], None, Notification::Link(None)),
            (RTM_DELNSID, nsid(7), None, Notification::NamespaceOver(7)),
            (RTM_DELNSID, nsid(7), Some(3), Notification::Other),
            (RTM_DELNSID, vec![], None, Notification::Other),
            (24, vec![], None, Notification::Other),
        ] {
            assert_eq!(read(&head(kind, &payload), netns), expected, "{kind}");
        }
        assert_eq!(read(&[0; 5], None), Notification::Other);
    }
}
