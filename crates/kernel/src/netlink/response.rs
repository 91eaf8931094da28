//! Reading of what the kernel answers: objects, the end of a dump, errors with their extended ack.

use std::fmt::Display;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_ALIGNTO, NLMSG_DONE,
    NLMSG_ERROR, NLMSG_NOOP, NetlinkBuffer, parse_i32, parse_string, parse_u32,
};

use super::codec::attributes;
use crate::{Error, Result};

/// `sizeof(struct nlmsghdr)`.
pub(super) const HEADER_BYTES: usize = 16;

/// `enum nlmsgerr_attrs`.
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// How an exchange that did not fail ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// `NLM_F_DUMP_INTR`: what was dumped changed meanwhile, parts may be missing or twice there.
    Interrupted,
}

/// One request and what is expected in response to it.
pub(super) struct Exchange<'a> {
    /// What an error says was tried.
    pub(super) action: &'a dyn Display,
    /// The request as it was sent.
    pub(super) request: &'a [u8],
    /// Its sequence number.
    pub(super) sequence: u32,
    /// Whether the request asked for an acknowledgement (`NLM_F_ACK`).
    pub(super) acknowledged: bool,
    /// Whether a part of a dump was marked as interrupted.
    pub(super) interrupted: bool,
}

impl Exchange<'_> {
    /// Reads one datagram, handing the payload of each object to `each`. Returns none as long as
    /// more responses are to come.
    pub(super) fn read(
        &mut self,
        datagram: &[u8],
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<End>> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let answer = NetlinkBuffer::new_checked(rest).map_err(|error| Error::Malformed {
                action: self.action.to_string(),
                reason: error.to_string(),
            })?;
            let length = (answer.length() as usize).next_multiple_of(usize::from(NLMSG_ALIGNTO));
            rest = rest.get(length..).unwrap_or(&[]);
            // The rest of an earlier exchange that ended in an error.
            if answer.sequence_number() != self.sequence {
                continue;
            }
            self.interrupted |= answer.flags() & NLM_F_DUMP_INTR != 0;
            match answer.message_type() {
                NLMSG_NOOP => {}
                NLMSG_ERROR | NLMSG_DONE => {
                    let refusal = refusal(self.action, self.request, &answer);
                    return refusal.map_or(Ok(Some(self.end())), Err);
                }
                _ => {
                    each(answer.payload());
                    if answer.flags() & NLM_F_MULTIPART == 0 && !self.acknowledged {
                        return Ok(Some(self.end()));
                    }
                }
            }
        }
        Ok(None)
    }

    fn end(&self) -> End {
        if self.interrupted { End::Interrupted } else { End::Complete }
    }
}

/// Returns the error that `NLMSG_ERROR` or `NLMSG_DONE` carries, or none: both begin with a
/// negative errno or 0, and end with attributes where `NLM_F_ACK_TLVS` says so.
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

/// Returns the text of the extended ack, or at least which attribute the kernel objects to.
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
        Some(format!("it objects to attribute {} of the request", attribute.kind()))
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{Emitable, NetlinkHeader};

    use super::*;

    const RTM_NEWLINK: u16 = 16;
    const SEQUENCE: u32 = 7;

    /// `nlmsghdr`, `ifinfomsg` and the attribute `IFLA_EXT_MASK`.
    fn request() -> Vec<u8> {
        let mut request = answer(18, 0, SEQUENCE, &[0; 16]);
        request.extend([8, 0, 29, 0, 8, 0, 0, 0]);
        request
    }

    fn answer(message_type: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.length = u32::try_from(HEADER_BYTES + payload.len()).unwrap();
        header.message_type = message_type;
        header.flags = flags;
        header.sequence_number = sequence;
        let mut answer = vec![0; HEADER_BYTES];
        header.emit(&mut answer);
        answer.extend(payload);
        answer
    }

    /// `NLMSG_ERROR` as the kernel writes it with `NETLINK_CAP_ACK` and `NETLINK_EXT_ACK`.
    fn error(code: i32, tlvs: &[u8]) -> Vec<u8> {
        let mut payload = code.to_ne_bytes().to_vec();
        payload.extend(&request()[..HEADER_BYTES]);
        payload.extend(tlvs);
        answer(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, SEQUENCE, &payload)
    }

    /// Reads one datagram: how it ends, and the first byte of each object.
    fn read(acknowledged: bool, datagram: &[u8]) -> (Result<Option<End>>, Vec<u8>) {
        let request = request();
        let mut exchange = Exchange {
            action: &"do it",
            request: &request,
            sequence: SEQUENCE,
            acknowledged,
            interrupted: false,
        };
        let mut objects = Vec::new();
        let end = exchange.read(datagram, &mut |payload| objects.push(payload[0]));
        (end, objects)
    }

    #[test]
    fn stale_responses_are_skipped() {
        let mut datagram = answer(RTM_NEWLINK, 0, SEQUENCE - 1, &[1, 0, 0, 0]);
        datagram.extend(answer(NLMSG_ERROR, 0, SEQUENCE - 1, &(-1_i32).to_ne_bytes()));
        // A length that is no multiple of 4 is followed by padding.
        datagram.extend(answer(RTM_NEWLINK, 0, SEQUENCE - 1, &[1]));
        datagram.extend([0; 3]);
        assert_eq!(read(false, &datagram).0.unwrap(), None);
        datagram.extend(answer(RTM_NEWLINK, 0, SEQUENCE, &[2, 0, 0, 0]));
        let (end, objects) = read(false, &datagram);
        assert_eq!((end.unwrap(), objects), (Some(End::Complete), vec![2]));
    }

    #[test]
    fn interrupted_dump_is_noticed() {
        let part = |flags, first| {
            answer(RTM_NEWLINK, NLM_F_MULTIPART | flags, SEQUENCE, &[first, 0, 0, 0])
        };
        let done = answer(NLMSG_DONE, NLM_F_MULTIPART, SEQUENCE, &[0; 4]);
        let (end, objects) = read(false, &[part(0, 1), part(0, 2)].concat());
        assert_eq!((end.unwrap(), objects), (None, vec![1, 2]));
        let (end, _) = read(false, &[part(0, 1), done.clone()].concat());
        assert_eq!(end.unwrap(), Some(End::Complete));
        let (end, _) = read(false, &[part(NLM_F_DUMP_INTR, 1), part(0, 2), done].concat());
        assert_eq!(end.unwrap(), Some(End::Interrupted));
    }

    #[test]
    fn dump_may_end_in_an_error() {
        let done = answer(NLMSG_DONE, NLM_F_MULTIPART, SEQUENCE, &(-19_i32).to_ne_bytes());
        assert!(read(false, &done).0.unwrap_err().is_gone());
    }

    #[test]
    fn change_ends_with_its_acknowledgement() {
        let object = answer(RTM_NEWLINK, 0, SEQUENCE, &[1, 0, 0, 0]);
        assert_eq!(read(true, &object).0.unwrap(), None);
        assert_eq!(read(true, &error(0, &[])).0.unwrap(), Some(End::Complete));
    }

    #[test]
    fn error_carries_the_extended_ack() {
        let mut tlvs = 10_u16.to_ne_bytes().to_vec();
        tlvs.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        tlvs.extend(b"no so\0\0\0");
        let error = read(true, &error(-17, &tlvs)).0.unwrap_err();
        assert_eq!(error.extack(), Some("no so"));
        assert_eq!(error.to_string(), "do it: File exists (os error 17) (kernel: no so)");
    }

    #[test]
    fn error_without_text_names_the_attribute() {
        let mut tlvs = 8_u16.to_ne_bytes().to_vec();
        tlvs.extend(NLMSGERR_ATTR_OFFS.to_ne_bytes());
        // The first attribute follows nlmsghdr and ifinfomsg, 16 bytes each.
        tlvs.extend(32_u32.to_ne_bytes());
        let error = read(true, &error(-22, &tlvs)).0.unwrap_err();
        assert_eq!(error.extack(), Some("it objects to attribute 29 of the request"));
    }

    #[test]
    fn truncated_response_is_an_error() {
        let cut = &error(0, &[])[..20];
        assert!(matches!(read(true, cut).0, Err(Error::Malformed { .. })));
    }
}
