//! The plugin's side of the socket: synchronous, one exchange for each connection, each wait with an end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::frame::{HEADER_BYTES, answer_length, decode_answer, encode_request};
use crate::message::{Answer, Report, Reported, Request, Resolve, Resolved};

/// How long an agent that does not listen is waited for: it may be starting anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two attempts to connect.
const CONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// How long the agent may look for a pod, its NADs and its devices.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the agent may take to write a status: it answers within 2 s, written or not.
const REPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// The agent of this node, as a plugin sees it.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Returns the agent that listens at a socket; it need not be there yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Returns what a pod's networks are made of.
    ///
    /// # Errors
    /// [`Error::NoAgent`] after 3 s without one, [`Error::Refused`] with the agent's reason.
    pub fn resolve(&self, resolve: Resolve) -> Result<Resolved, Error> {
        match self.exchange(&Request::Resolve(resolve), RESOLVE_TIMEOUT)? {
            Answer::Resolved(resolved) => Ok(*resolved),
            Answer::Refused(refusal) => Err(Error::Refused(refusal)),
            Answer::Reported(_) => Err(Error::Unexpected),
        }
    }

    /// Has a pod's status written from its records.
    ///
    /// # Errors
    /// As [`Self::resolve`]. The agent writes the status later also where it did not hear of this.
    pub fn report(&self, report: Report) -> Result<Reported, Error> {
        match self.exchange(&Request::Report(report), REPORT_TIMEOUT)? {
            Answer::Reported(reported) => Ok(reported),
            Answer::Refused(refusal) => Err(Error::Refused(refusal)),
            Answer::Resolved(_) => Err(Error::Unexpected),
        }
    }

    fn exchange(&self, request: &Request, timeout: Duration) -> Result<Answer, Error> {
        let frame = encode_request(request)?;
        let mut stream = connect(&self.socket)?;
        let end = Instant::now() + timeout;
        let mut header = [0; HEADER_BYTES];
        let broken = |source| Error::Broken { source };
        stream.set_write_timeout(Some(timeout)).map_err(broken)?;
        stream.write_all(&frame).map_err(broken)?;
        read(&mut stream, &mut header, end).map_err(broken)?;
        let mut body = vec![0; answer_length(header)?];
        read(&mut stream, &mut body, end).map_err(broken)?;
        decode_answer(&body)
    }
}

fn connect(socket: &Path) -> Result<UnixStream, Error> {
    let end = Instant::now() + CONNECT_TIMEOUT;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(source) if Instant::now() >= end => {
                let socket = socket.to_owned();
                return Err(Error::NoAgent { socket, waited: CONNECT_TIMEOUT, source });
            }
            Err(_) => sleep(CONNECT_INTERVAL),
        }
    }
}

/// Fills the buffer before the end: an agent that sends byte after byte gains no time by it.
fn read(stream: &mut UnixStream, buffer: &mut [u8], end: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::frame::{decode_request, encode_answer, request_length};
    use crate::message::{PodId, Refusal, RefusalReason, Written};

    /// An agent that reads one request and answers with these bytes.
    fn agent(socket: &Path, answer: Vec<u8>) -> JoinHandle<Request> {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut header = [0; HEADER_BYTES];
            stream.read_exact(&mut header).unwrap();
            let mut body = vec![0; request_length(header).unwrap()];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(&answer).unwrap();
            decode_request(&body).unwrap()
        })
    }

    fn report() -> Report {
        let pod =
            PodId { namespace: "demo".parse().unwrap(), name: "p".parse().unwrap(), uid: None };
        Report { pod, container_id: "c1".to_owned() }
    }

    #[test]
    fn report_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let reported = Reported { written: Written::Deferred, reason: Some("API".to_owned()) };
        let agent = agent(&socket, encode_answer(&Answer::Reported(reported.clone())).unwrap());
        assert_eq!(Client::new(&socket).report(report()).unwrap(), reported);
        assert_eq!(agent.join().unwrap(), Request::Report(report()));
    }

    #[test]
    fn refusal_is_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let message = "pod demo/p is not in the API".to_owned();
        let refusal = Refusal { reason: RefusalReason::NoPod, message: message.clone() };
        agent(&socket, encode_answer(&Answer::Refused(refusal)).unwrap());
        let error = Client::new(&socket).report(report()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn answer_that_ends_early_or_is_none_is_an_error() {
        for answer in [vec![], vec![0, 0], vec![0, 0, 0, 9, b'{'], vec![0, 0, 0, 2, b'{', b'}']] {
            let dir = tempfile::tempdir().unwrap();
            let socket = dir.path().join("agent.sock");
            agent(&socket, answer);
            let error = Client::new(&socket).report(report()).unwrap_err();
            assert!(matches!(error, Error::Broken { .. } | Error::Malformed { .. }), "{error:?}");
        }
    }

    #[test]
    fn agent_that_starts_late_is_waited_for_and_one_that_does_not_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let late = socket.clone();
        let starting = thread::spawn(move || {
            sleep(Duration::from_millis(200));
            let reported = Reported { written: Written::Written, reason: None };
            agent(&late, encode_answer(&Answer::Reported(reported)).unwrap())
        });
        assert!(Client::new(&socket).report(report()).is_ok());
        starting.join().unwrap().join().unwrap();
        let error = Client::new(dir.path().join("nobody.sock")).report(report()).unwrap_err();
        assert!(error.to_string().contains("nobody.sock within 3 s"), "{error}");
    }
}
