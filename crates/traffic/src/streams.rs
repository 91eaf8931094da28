//! TCP, and SCTP in its one-to-one style, which takes the same calls.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_reuseaddr, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, SocketType, bind, connect, ipproto, listen, socket};

use crate::Error;
use crate::count::Count;
use crate::place::{Family, Place};

/// How long a connection may take to be made, and how long it may be silent: SCTP asks again after
/// 3 s, and then after 6.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long everything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Sctp,
}

impl Kind {
    fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => ipproto::TCP,
            Self::Sctp => ipproto::SCTP,
        }
    }

    /// What goes before the data in a full packet: for TCP its header with timestamps, for SCTP
    /// its header and that of one DATA chunk; in bytes.
    fn header(self) -> usize {
        match self {
            Self::Tcp => 32,
            Self::Sctp => 28,
        }
    }
}

/// A connection and messages in one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    pub(crate) from: Place,
    pub(crate) family: Family,
    /// The length of the packets, headers included, in bytes: each message fills one.
    pub(crate) mtu: u32,
    /// How many messages.
    pub(crate) count: u32,
}

impl Stream {
    /// Connects and sends them all; a message that is not there in time is lost.
    pub(crate) fn run(self) -> Result<Count, Error> {
        let listener: TcpListener = self.from.other().enter(|| self.listener())?.into();
        let sender = self.from.enter(|| self.opened(self.from, 0))?;
        let bytes = thread::scope(|scope| {
            scope.spawn(|| self.send(sender));
            self.receive(&listener)
        });
        let arrived = u32::try_from(bytes / self.message()).unwrap_or(self.count);
        Ok(Count { sent: self.count, arrived: arrived.min(self.count), copies: 0 })
    }

    /// A multiple of four, to which SCTP fills its chunks.
    fn message(self) -> usize {
        (self.mtu as usize - self.family.header() - self.kind.header()) / 4 * 4
    }

    fn port(self) -> u16 {
        6000 + self.family.number() * 10 + self.from.number()
    }

    /// Bound to one address: an SCTP endpoint offers every one that it has.
    fn opened(self, place: Place, port: u16) -> Result<OwnedFd, Error> {
        let failed = |errno: rustix::io::Errno| {
            Error::io(format!("open a {:?} socket", self.kind))(errno.into())
        };
        let family = match self.family {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        };
        let socket = socket(family, SocketType::STREAM, Some(self.kind.protocol()));
        let socket = socket.map_err(failed)?;
        // They limit connect and accept too.
        for timeout in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&socket, timeout, Some(PATIENCE)).map_err(failed)?;
        }
        set_socket_reuseaddr(&socket, true).map_err(failed)?;
        let address: IpAddr = place.address(self.family);
        bind(&socket, &SocketAddr::new(address, port)).map_err(failed)?;
        Ok(socket)
    }

    fn listener(self) -> Result<OwnedFd, Error> {
        let socket = self.opened(self.from.other(), self.port())?;
        listen(&socket, 1).map_err(|errno| Error::io("listen")(errno.into()))?;
        Ok(socket)
    }

    /// What cannot be sent does not arrive, and is counted there.
    fn send(self, socket: OwnedFd) {
        let to = SocketAddr::new(self.from.other().address(self.family), self.port());
        if connect(&socket, &to).is_err() {
            return;
        }
        let mut stream = TcpStream::from(socket);
        let message = vec![0x5a; self.message()];
        for _ in 0..self.count {
            if stream.write_all(&message).is_err() {
                return;
            }
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Until the other end has read everything, or has given up.
        let _ = stream.read(&mut [0]);
    }

    /// How many bytes arrived in time.
    fn receive(self, listener: &TcpListener) -> usize {
        let end = Instant::now() + LIMIT;
        let Ok((mut stream, _)) = listener.accept() else { return 0 };
        let wanted = self.message() * self.count as usize;
        let mut bytes = 0;
        let mut buffer = vec![0; 65_536];
        let limited = stream.set_read_timeout(Some(PATIENCE));
        while limited.is_ok() && bytes < wanted && Instant::now() < end {
            match stream.read(&mut buffer) {
                Ok(read @ 1..) => bytes += read,
                _ => break,
            }
        }
        bytes
    }
}
