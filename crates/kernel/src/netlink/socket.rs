use std::fmt::Display;
use std::io;

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR,
    NLM_F_MULTIPART, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NetlinkBuffer, NetlinkHeader, parse_i32, parse_string, parse_u32,
};
use netlink_sys::{SocketAddr, protocols::NETLINK_ROUTE};

use super::{Message, attributes};
use crate::{Error, Result};

/// `sizeof(struct nlmsghdr)`.
const HEADER_BYTES: usize = 16;
/// What is read at once at first. It grows to the size of any message that is larger.
const BUFFER_BYTES: usize = 32 * 1024;
/// What the kernel may queue for us. The list of 256 VFs has about 60 KiB, and is accounted with
/// overhead.
const QUEUE_BYTES: u32 = 1024 * 1024;
/// How often a dump is asked for again that a change of the links interrupted.
const DUMP_ATTEMPTS: usize = 8;

/// `enum nlmsgerr_attrs`.
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// `errno.h`
const ENOBUFS: i32 = 105;

/// A socket of the namespace in which it was opened. Only the kernel can write to it.
pub(crate) struct Socket {
    inner: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// How an exchange ended that did not fail.
#[derive(PartialEq, Eq)]
enum End {
    Complete,
    /// `NLM_F_DUMP_INTR`: what was dumped changed meanwhile, parts may be missing or twice there.
    Interrupted,
}

impl Socket {
    /// Opens a socket in the calling thread's namespace.
    pub(crate) fn open() -> Result<Self> {
        let open = || {
            let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            // A connected socket takes nothing from other processes.
            socket.connect(&SocketAddr::new(0, 0))?;
            socket.set_ext_ack(true)?;
            // Errors need not carry the whole request back.
            socket.set_cap_ack(true)?;
            // Dumps are filtered by what the request says, instead of ignoring it.
            socket.set_netlink_get_strict_chk(true)?;
            socket.set_rx_buf_sz(QUEUE_BYTES)?;
            Ok(socket)
        };
        let inner =
            open().map_err(|source| Error::Socket { action: "open a netlink socket", source })?;
        Ok(Self { inner, sequence: 0, buffer: Vec::with_capacity(BUFFER_BYTES) })
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

    /// Asks for one object and hands its message to `read`.
    pub(crate) fn ask<T>(
        &mut self,
        action: &dyn Display,
        message: &Message,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T> {
        let mut answer = None;
        self.exchange(action, message, 0, &mut |payload| answer = Some(read(payload)))?;
        answer
            .unwrap_or_else(|| Err("there is none".to_owned()))
            .map_err(|reason| Error::Malformed { action: action.to_string(), reason })
    }

    /// Asks for all objects; those that `read` gives none for are left out.
    pub(crate) fn dump<T>(
        &mut self,
        action: &dyn Display,
        message: &Message,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut answers = Vec::new();
            let end = self.exchange(action, message, NLM_F_DUMP, &mut |payload| {
                answers.extend(read(payload));
            });
            match end {
                Ok(End::Complete) => return Ok(answers),
                Ok(End::Interrupted) => {}
                Err(Error::Socket { source, .. }) if source.raw_os_error() == Some(ENOBUFS) => {}
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
        let mut end = End::Complete;
        loop {
            self.receive()
                .map_err(|source| Error::Socket { action: "receive from the kernel", source })?;
            let mut rest = self.buffer.as_slice();
            while !rest.is_empty() {
                let answer = NetlinkBuffer::new_checked(rest).map_err(|error| {
                    Error::Malformed { action: action.to_string(), reason: error.to_string() }
                })?;
                let length = answer.length() as usize;
                rest =
                    rest.get(length.next_multiple_of(usize::from(NLMSG_ALIGNTO))..).unwrap_or(&[]);
                // The rest of an earlier exchange that ended in an error.
                if answer.sequence_number() != sequence {
                    continue;
                }
                if answer.flags() & NLM_F_DUMP_INTR != 0 {
                    end = End::Interrupted;
                }
                match answer.message_type() {
                    NLMSG_NOOP => {}
                    NLMSG_ERROR | NLMSG_DONE => {
                        return refusal(action, &request, &answer).map_or(Ok(end), Err);
                    }
                    _ => {
                        each(answer.payload());
                        if answer.flags() & NLM_F_MULTIPART == 0 && flags & NLM_F_ACK == 0 {
                            return Ok(end);
                        }
                    }
                }
            }
        }
    }

    /// Reads one datagram into the buffer, whatever its size.
    fn receive(&mut self) -> io::Result<()> {
        self.buffer.clear();
        let size = retry_interrupted(|| {
            self.inner.recv(&mut self.buffer, libc_flags::MSG_PEEK | libc_flags::MSG_TRUNC)
        })?;
        self.buffer.clear();
        // BufMut writes into the spare capacity and never beyond it.
        self.buffer.reserve(size);
        retry_interrupted(|| self.inner.recv(&mut self.buffer, 0)).map(|_| ())
    }
}

/// Flags of recv(2).
mod libc_flags {
    pub(super) const MSG_PEEK: i32 = 0x2;
    pub(super) const MSG_TRUNC: i32 = 0x20;
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

/// The error that `NLMSG_ERROR` or `NLMSG_DONE` carries, or none: both begin with a negative
/// errno or 0, and end with attributes where `NLM_F_ACK_TLVS` says so.
fn refusal(action: &dyn Display, request: &[u8], answer: &NetlinkBuffer<&[u8]>) -> Option<Error> {
    let payload = answer.payload();
    let code = payload.get(..4).and_then(|code| parse_i32(code).ok()).unwrap_or(0);
    if code == 0 {
        return None;
    }
    // An error repeats the request: its header alone when capped.
    let echoed = match answer.message_type() {
        NLMSG_DONE => 0,
        _ if answer.flags() & NLM_F_CAPPED != 0 => HEADER_BYTES,
        _ => request.len(),
    };
    let attributes = payload.get(4 + echoed..).unwrap_or(&[]);
    let extack =
        if answer.flags() & NLM_F_ACK_TLVS != 0 { extack(request, attributes) } else { None };
    let source = io::Error::from_raw_os_error(code.saturating_neg());
    Some(Error::Refused { action: action.to_string(), source, extack })
}

/// The kernel's own words, or at least which attribute it objects to.
fn extack(request: &[u8], tlvs: &[u8]) -> Option<String> {
    let mut text = None;
    let mut offset = None;
    for tlv in attributes(tlvs) {
        match tlv.kind() {
            NLMSGERR_ATTR_MSG => text = parse_string(tlv.value()).ok(),
            NLMSGERR_ATTR_OFFS => offset = parse_u32(tlv.value()).ok(),
            _ => {}
        }
    }
    text.or_else(|| {
        let offset = usize::try_from(offset?).ok()?;
        let attribute = attributes(request.get(offset..)?).next()?;
        Some(format!("the kernel objects to attribute {} of the request", attribute.kind()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Which, get_link};

    fn request() -> Vec<u8> {
        let message = get_link(Which::Name(&"net1".parse().unwrap()), crate::netlink::Props::Link);
        serialize(&message, NLM_F_REQUEST, 7)
    }

    /// An `NLMSG_ERROR` as the kernel writes it for a capped acknowledgement.
    fn error_answer(code: i32, tlvs: &[u8]) -> Vec<u8> {
        let mut answer = vec![0; HEADER_BYTES];
        answer.extend(code.to_ne_bytes());
        answer.extend(&request()[..HEADER_BYTES]);
        answer.extend(tlvs);
        let mut header = NetlinkHeader::default();
        header.length = u32::try_from(answer.len()).unwrap();
        header.message_type = NLMSG_ERROR;
        header.flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        header.sequence_number = 7;
        header.emit(&mut answer);
        answer
    }

    fn read(answer: &[u8]) -> Option<Error> {
        refusal(&"do it", &request(), &NetlinkBuffer::new_checked(answer).unwrap())
    }

    #[test]
    fn an_error_carries_the_kernels_words() {
        let mut tlvs = 10_u16.to_ne_bytes().to_vec();
        tlvs.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        tlvs.extend(b"no so\0\0\0");
        let error = read(&error_answer(-17, &tlvs)).unwrap();
        assert_eq!(error.extack(), Some("no so"));
        assert_eq!(error.to_string(), "do it: File exists (os error 17) (kernel: no so)");
    }

    #[test]
    fn an_error_without_words_names_the_attribute() {
        let mut tlvs = 8_u16.to_ne_bytes().to_vec();
        tlvs.extend(NLMSGERR_ATTR_OFFS.to_ne_bytes());
        // The first attribute follows nlmsghdr and ifinfomsg, 16 bytes each.
        tlvs.extend(32_u32.to_ne_bytes());
        let error = read(&error_answer(-22, &tlvs)).unwrap();
        assert_eq!(error.extack(), Some("the kernel objects to attribute 29 of the request"));
    }

    #[test]
    fn an_acknowledgement_is_no_error() {
        assert!(read(&error_answer(0, &[])).is_none());
    }
}
