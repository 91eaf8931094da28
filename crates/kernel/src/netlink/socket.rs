//! A netlink socket: requests, dumps, and buffers that grow as the kernel needs.

use std::fmt::Display;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;

use netlink_packet_core::{Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader};
use netlink_sys::{SocketAddr, protocols::NETLINK_ROUTE};

use podbond_names::{LinkName, PciAddress};

use super::bus_info;
use super::codec::Message;
use super::response::{End, Exchange, HEADER_BYTES};
use crate::{Error, Result};

/// What is read at once: the most that the kernel puts into one message of a dump
/// (`netlink_dump`), and more than any acknowledgement or link has.
const BUFFER_BYTES: usize = 32 * 1024;
/// How often a dump is asked for again that a change of the links interrupted.
const DUMP_ATTEMPTS: usize = 8;

/// The size of a u64, for getsockopt(2).
const U64_BYTES: u32 = u64::BITS / u8::BITS;

/// Flags of recv(2).
const MSG_PEEK: i32 = 0x02;
const MSG_TRUNC: i32 = 0x20;

/// `errno.h`
const ENOBUFS: i32 = 105;

/// A socket of the namespace in which it was opened. Only the kernel can write to it.
pub(crate) struct Socket {
    inner: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's namespace.
    pub(crate) fn open() -> Result<Self> {
        let inner = connect()
            .map_err(|source| Error::Socket { action: "open a netlink socket", source })?;
        Ok(Self { inner, sequence: 0, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Returns the cookie of the socket's namespace (`SO_NETNS_COOKIE`); none before kernel 5.14.
    pub(crate) fn netns_cookie(&self) -> Option<NonZeroU64> {
        let mut cookie = 0_u64;
        let mut length: libc::socklen_t = U64_BYTES;
        // SAFETY: the kernel writes up to `length` bytes to `cookie`, which is as long and outlives
        // the call, and the number of those that it wrote to `length`.
        #[allow(unsafe_code, reason = "no crate has SO_NETNS_COOKIE")]
        let status = unsafe {
            libc::getsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NETNS_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        NonZeroU64::new(cookie).filter(|_| status == 0)
    }

    /// Returns the PCI function of a link of the socket's namespace as ethtool tells it; none where it has
    /// none.
    pub(crate) fn function_of(&self, link: &LinkName) -> Option<PciAddress> {
        bus_info::function_of(self.inner.as_raw_fd(), link)
    }

    /// Sends a change and waits for its acknowledgement. `action` is what an error says was tried.
    pub(crate) fn change(
        &mut self,
        action: &dyn Display,
        message: &Message,
        flags: u16,
    ) -> Result<()> {
        self.exchange(action, message, NLM_F_ACK | flags, &mut |_| ()).map(|_| ())
    }

    /// Asks for one object and returns what `read` makes of its message.
    pub(crate) fn ask<T>(
        &mut self,
        action: &dyn Display,
        message: &Message,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T> {
        let mut object = None;
        let mut each = |payload: &[u8]| object = Some(read(payload));
        match self.exchange(action, message, 0, &mut each) {
            // The object may be among what was lost. Asking again does no harm.
            Err(error) if is_lost(&error) => self.exchange(action, message, 0, &mut each)?,
            end => end?,
        };
        object
            .unwrap_or_else(|| Err("there is none".to_owned()))
            .map_err(|reason| Error::Malformed { action: action.to_string(), reason })
    }

    /// Asks for all objects and returns what `read` makes of each; those that it returns none for
    /// are left out.
    pub(crate) fn dump<T>(
        &mut self,
        action: &dyn Display,
        message: &Message,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut objects = Vec::new();
            let end = self.exchange(action, message, NLM_F_DUMP, &mut |payload| {
                objects.extend(read(payload));
            });
            match end {
                Ok(End::Complete) => return Ok(objects),
                Ok(End::Interrupted) => {}
                Err(error) if is_lost(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let source = io::Error::from(io::ErrorKind::Interrupted);
        Err(Error::Refused { action: action.to_string(), source, extack: None })
    }

    fn exchange(
        &mut self,
        action: &dyn Display,
        message: &Message,
        flags: u16,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<End> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let request = serialize(message, NLM_F_REQUEST | flags, sequence);
        retry_interrupted(|| self.inner.send(&request, 0))
            .map_err(|source| Error::Socket { action: "send to the kernel", source })?;
        let acknowledged = flags & NLM_F_ACK != 0;
        let mut exchange =
            Exchange { action, request: &request, sequence, acknowledged, interrupted: false };
        let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
        loop {
            if is_dump { self.make_room() } else { Ok(()) }
                .and_then(|()| self.receive())
                .map_err(|source| Error::Socket { action: "receive from the kernel", source })?;
            if let Some(end) = exchange.read(&self.buffer, each)? {
                return Ok(end);
            }
        }
    }

    /// Makes room for a large response, in bytes.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.buffer.clear();
        self.buffer.reserve(bytes);
    }

    /// Makes room for the next datagram, however large it is. A part of a dump must not be lost: the kernel
    /// refuses another dump (`EBUSY`) while one is not read to its end. A pod may give a link 64 KiB of
    /// altnames.
    fn make_room(&mut self) -> io::Result<()> {
        self.buffer.clear();
        let room = self.buffer.capacity();
        let size = retry_interrupted(|| self.inner.recv(&mut self.buffer, MSG_PEEK | MSG_TRUNC))?;
        if size > room {
            self.expect(size);
        }
        Ok(())
    }

    /// Reads one datagram into the buffer. One that is too large for it is lost, and there is room
    /// for it when it is asked for again.
    fn receive(&mut self) -> io::Result<()> {
        self.buffer.clear();
        let room = self.buffer.capacity();
        // BufMut writes into the spare capacity and never beyond it.
        let size = retry_interrupted(|| self.inner.recv(&mut self.buffer, MSG_TRUNC))?;
        if size > room {
            self.expect(size);
            return Err(io::Error::from_raw_os_error(ENOBUFS));
        }
        Ok(())
    }
}

fn connect() -> io::Result<netlink_sys::Socket> {
    let socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
    // A connected socket takes nothing from other processes; the kernel binds it.
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_ext_ack(true)?;
    // A dump is filtered by what the request says, instead of ignoring it.
    socket.set_netlink_get_strict_chk(true)?;
    Ok(socket)
}

/// Returns whether a part of the response is lost: it did not fit the kernel's queue or our buffer.
fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Socket { source, .. } if source.raw_os_error() == Some(ENOBUFS))
}

fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn serialize(message: &Message, flags: u16, sequence: u32) -> Vec<u8> {
    let length = HEADER_BYTES + Emitable::buffer_len(message);
    let mut header = NetlinkHeader::default();
    // A request is built from names of 15 bytes and a few attributes: far below 4 GiB.
    header.length = u32::try_from(length).unwrap_or(u32::MAX);
    header.message_type = message.message_type();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut request = vec![0; length];
    header.emit(&mut request);
    message.emit(&mut request[HEADER_BYTES..]);
    request
}
