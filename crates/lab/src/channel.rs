//! The host's ends of the channels to the guest.
//!
//! Each channel is a virtio-serial port of the guest and a socket here. The guest's kernel does
//! not tell when a port's data has reached the host, so the guest ends a stream with a marker.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    os::{fd::AsFd, fd::AsRawFd, fd::RawFd, unix::net::UnixStream},
};

use rustix::io::{FdFlags, fcntl_setfd};

/// A socket whose other end QEMU inherits.
pub(crate) struct Channel {
    /// Our end.
    pub(crate) ours: UnixStream,
    theirs: UnixStream,
}

impl Channel {
    pub(crate) fn open() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        inherit(&theirs)?;
        Ok(Self { ours, theirs })
    }

    /// The file descriptor for QEMU's command line.
    pub(crate) fn fd(&self) -> RawFd {
        self.theirs.as_raw_fd()
    }

    /// Keeps our end only: once QEMU is gone too, reading from it ends.
    pub(crate) fn into_ours(self) -> UnixStream {
        self.ours
    }
}

/// Lets children of this process have the file.
pub(crate) fn inherit(file: impl AsFd) -> io::Result<()> {
    Ok(fcntl_setfd(file, FdFlags::empty())?)
}

/// What no command writes by chance: a NUL (not part of the text: a shell cannot hold it) and 128
/// random bits in hexadecimal.
pub(crate) fn random_end() -> String {
    let word = || RandomState::new().hash_one(0);
    format!("{:016x}{:016x}", word(), word())
}

/// How a stream of the guest ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the marker: everything was read.
    Marked,
    /// With the machine.
    Lost,
}

/// Copies a stream up to its end marker, each byte as soon as it cannot be part of the marker.
pub(crate) fn copy(mut from: impl Read, to: &mut (dyn Write + Send), end: &str) -> io::Result<End> {
    let marker = [b"\0", end.as_bytes()].concat();
    let mut pending = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A socket whose peer was killed with data unread.
            Err(_) => 0,
        };
        if read == 0 {
            to.write_all(&pending)?;
            to.flush()?;
            return Ok(End::Lost);
        }
        pending.extend_from_slice(&buffer[..read]);
        let held = held_back(&pending, &marker);
        let sure = pending.len() - held;
        to.write_all(&pending[..sure])?;
        to.flush()?;
        pending.drain(..sure);
        if held == marker.len() {
            return Ok(End::Marked);
        }
    }
}

/// How many of the last bytes could be the marker, or its beginning.
fn held_back(bytes: &[u8], marker: &[u8]) -> usize {
    let most = marker.len().min(bytes.len());
    (1..=most).rev().find(|&n| bytes.ends_with(&marker[..n])).unwrap_or(0)
}

/// The end of a text that grows: the guest's console, shown when the machine dies.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    const KEPT: usize = 4096;

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let surplus = self.0.len().saturating_sub(Self::KEPT);
        self.0.drain(..surplus);
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).replace('\r', "").trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its parts one by one.
    struct Parts<'a>(&'a [&'a [u8]]);

    impl Read for Parts<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            self.0 = rest;
            buffer[..first.len()].copy_from_slice(first);
            Ok(first.len())
        }
    }

    fn copied(parts: &[&[u8]]) -> (End, Vec<u8>) {
        let mut out = Vec::new();
        let end = copy(Parts(parts), &mut out, "END").unwrap();
        (end, out)
    }

    #[test]
    fn marker_is_not_copied() {
        assert_eq!(copied(&[b"hello\0END"]), (End::Marked, b"hello".to_vec()));
        assert_eq!(copied(&[b"hello\0", b"E", b"ND"]), (End::Marked, b"hello".to_vec()));
        assert_eq!(copied(&[b"\0END"]), (End::Marked, b"".to_vec()));
    }

    #[test]
    fn partial_marker_is_data() {
        assert_eq!(copied(&[b"a\0EN", b"x\0", b"\0END"]), (End::Marked, b"a\0ENx\0".to_vec()));
    }

    #[test]
    fn data_before_a_lost_end_is_copied() {
        assert_eq!(copied(&[b"half\0EN"]), (End::Lost, b"half\0EN".to_vec()));
    }

    #[test]
    fn the_tail_keeps_the_end() {
        let mut tail = Tail::default();
        tail.extend(&[b'a'; Tail::KEPT]);
        tail.extend(b"the end\r\n");
        assert!(tail.text().ends_with("aathe end"));
        assert_eq!(tail.0.len(), Tail::KEPT);
    }
}
