//! Frames: a length, then a JSON document that says its version. Pure.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::message::{Answer, Request, VERSION};

/// The bytes of a frame's length.
pub const HEADER_BYTES: usize = 4;

/// The longest request, in bytes: names, and what a configuration lists.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// The longest answer, in bytes: 64 NADs of the 1.5 MiB that the API's store takes of one object, escaped.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// What stands in a frame. Nesting is bounded by the parser (128).
#[derive(Debug, Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    #[serde(flatten)]
    message: T,
}

/// The version alone, which is readable in any version.
#[derive(Debug, Deserialize)]
struct Version {
    version: u32,
}

/// Returns the length in bytes of the request that follows a header.
///
/// # Errors
/// [`Error::TooLong`] above [`MAX_REQUEST_BYTES`].
pub fn request_length(header: [u8; HEADER_BYTES]) -> Result<usize, Error> {
    length(header, MAX_REQUEST_BYTES)
}

/// Returns the request of a frame without its header.
///
/// # Errors
/// [`Error::Newer`] for a version that is not understood, [`Error::Malformed`] for what is none.
pub fn decode_request(body: &[u8]) -> Result<Request, Error> {
    decode(body)
}

/// Returns an answer as a frame.
///
/// # Errors
/// [`Error::TooLong`] for one that nobody would read.
pub fn encode_answer(answer: &Answer) -> Result<Vec<u8>, Error> {
    encode(answer, MAX_ANSWER_BYTES)
}

/// Returns a request as a frame.
pub(crate) fn encode_request(request: &Request) -> Result<Vec<u8>, Error> {
    encode(request, MAX_REQUEST_BYTES)
}

/// Returns the length in bytes of the answer that follows a header.
pub(crate) fn answer_length(header: [u8; HEADER_BYTES]) -> Result<usize, Error> {
    length(header, MAX_ANSWER_BYTES)
}

/// Returns the answer of a frame without its header.
pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Error> {
    decode(body)
}

fn length(header: [u8; HEADER_BYTES], limit: usize) -> Result<usize, Error> {
    let bytes = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if bytes > limit { Err(Error::TooLong { bytes, limit }) } else { Ok(bytes) }
}

fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, Error> {
    let malformed = |source| Error::Malformed { source };
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, &Envelope { version: VERSION, message })
        .map_err(malformed)?;
    let bytes = frame.len() - HEADER_BYTES;
    let too_long = Error::TooLong { bytes, limit };
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= limit).ok_or(too_long)?;
    frame[..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

fn decode<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Error> {
    let malformed = |source| Error::Malformed { source };
    let Version { version } = serde_json::from_slice(body).map_err(malformed)?;
    if version > VERSION {
        return Err(Error::Newer { theirs: version });
    }
    let Envelope { message, .. } = serde_json::from_slice(body).map_err(malformed)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{PodId, Report};

    fn report() -> Request {
        let pod = PodId {
            namespace: "demo".parse().unwrap(),
            name: "bondpod1".parse().unwrap(),
            uid: Some("u-1".parse().unwrap()),
        };
        Request::Report(Report { pod, container_id: "c1".to_owned() })
    }

    #[test]
    fn request_is_a_length_and_json_with_a_version() {
        let frame = encode_request(&report()).unwrap();
        let (header, body) = frame.split_at(HEADER_BYTES);
        assert_eq!(request_length(header.try_into().unwrap()).unwrap(), body.len());
        assert_eq!(
            String::from_utf8_lossy(body),
            r#"{"version":1,"report":{"pod":{"namespace":"demo","name":"bondpod1","uid":"u-1"},"containerId":"c1"}}"#
        );
        assert_eq!(decode_request(body).unwrap(), report());
    }

    #[test]
    fn unknown_fields_are_passed_over_and_unknown_versions_named() {
        let later = r#"{"version":1,"report":{"pod":{"namespace":"demo","name":"bondpod1","uid":"u-1","node":"n"},"containerId":"c1","more":[1]},"also":{}}"#;
        assert_eq!(decode_request(later.as_bytes()).unwrap(), report());
        let newer = br#"{"version":2,"what":{}}"#;
        assert!(matches!(decode_request(newer), Err(Error::Newer { theirs: 2 })));
    }

    #[test]
    fn refusal_of_a_later_agent_is_one_of_another_kind() {
        let body = br#"{"version":1,"refused":{"reason":"moon-phase","message":"wait"}}"#;
        let Answer::Refused(refusal) = decode_answer(body).unwrap() else { panic!() };
        assert_eq!(refusal.message, "wait");
        assert_eq!(refusal.reason, crate::message::RefusalReason::Other);
    }

    #[test]
    fn what_is_too_long_too_deep_or_no_message_is_refused() {
        let header = u32::try_from(MAX_REQUEST_BYTES + 1).unwrap().to_be_bytes();
        assert!(matches!(request_length(header), Err(Error::TooLong { .. })));
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let deep = format!(r#"{{"version":1,"more":{deep},"report":{{}}}}"#);
        for body in [deep.as_str(), "", "[]", "{}", r#"{"version":1}"#, r#"{"version":-1}"#] {
            assert!(
                matches!(decode_request(body.as_bytes()), Err(Error::Malformed { .. })),
                "{body}"
            );
        }
    }

    /// A message of each kind as the first version writes it. Files are added when messages grow, and none is
    /// changed: an executable of any version may be on the other side.
    #[test]
    fn messages_of_the_first_version_are_read_and_written_unchanged() {
        for text in [include_str!("../v1/resolve.json"), include_str!("../v1/report.json")] {
            let message = decode_request(text.as_bytes()).unwrap();
            assert_eq!(encode_request(&message).unwrap()[HEADER_BYTES..], *text.trim().as_bytes());
        }
        for text in [
            include_str!("../v1/resolved.json"),
            include_str!("../v1/reported.json"),
            include_str!("../v1/refused.json"),
        ] {
            let message = decode_answer(text.as_bytes()).unwrap();
            assert_eq!(encode_answer(&message).unwrap()[HEADER_BYTES..], *text.trim().as_bytes());
        }
    }
}
