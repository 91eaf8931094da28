//! Why host-local cannot serve a command, and with which CNI error code.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use podbond_cni::{Code, Failure, Version};
use podbond_names::LinkName;

use crate::holder::Holder;
use crate::range::Problem;

/// Why a command could not be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The protocol's own complaint about the request.
    #[error(transparent)]
    Request(#[from] Failure),
    #[error("network {network:?}: field {field} {problem}")]
    Field { network: String, field: String, problem: Problem },
    #[error(
        "network {network:?}: cniVersion {version} allows one address of each family, and there \
         are more range sets: use 0.3.0 or newer"
    )]
    OnePerFamily { network: String, version: Version },
    #[error("network {network:?}: ipam has {count} {what}: at most {max} are possible")]
    TooMany { network: String, count: usize, max: usize, what: &'static str },
    #[error(
        "network {network:?}: no address is left in {field}, {ranges} ({held} leases): delete pods \
         that use the network, or widen the range; who holds an address is in the file named after \
         it in {}", dir.display()
    )]
    Exhausted { network: String, field: String, ranges: String, held: usize, dir: PathBuf },
    #[error(
        "network {network:?}: container {container} has {address} for {ifname} already: an \
         interface is added once, delete it first"
    )]
    Duplicate { network: String, container: String, ifname: LinkName, address: IpAddr },
    #[error(
        "network {network:?}: the requested address {address} is held by {holder}: request \
         another, or delete its holder"
    )]
    Taken { network: String, address: IpAddr, holder: Holder },
    #[error(
        "network {network:?}: the requested address {address} is the gateway's: request another"
    )]
    Gateway { network: String, address: IpAddr },
    #[error(
        "network {network:?}: the requested address {address} cannot be given: request at most \
         one address of each range set, here {ranges}"
    )]
    NotInRanges { network: String, address: IpAddr, ranges: String },
    #[error(
        "network {network:?}: prevResult has no address of the ranges {ranges}: CHECK needs the \
         configuration and the result of the ADD"
    )]
    NoLease { network: String, ranges: String },
    #[error(
        "network {network:?}: {address} of prevResult is not leased to container {container} for \
         {ifname}: its file in {} is missing or another's", dir.display()
    )]
    Lost { network: String, container: String, ifname: LinkName, address: IpAddr, dir: PathBuf },
    #[error("{} is not a file: podbond replaces nothing else, move it away", path.display())]
    NotAFile { path: PathBuf },
    /// STATUS: the disk is full, or read-only.
    #[error(
        "network {network:?}: no lease can be recorded: {source}: make room, or mount the \
         filesystem for writing"
    )]
    NotWritable { network: String, source: podbond_state::Error },
    /// STATUS: a range set is exhausted.
    #[error(
        "network {network:?}: no address is left in {field}, {ranges}: delete pods that use the \
         network, or widen the range"
    )]
    Full { network: String, field: String, ranges: String },
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{}", joined(.0, "; "))]
    Several(Vec<Error>),
}

/// Returns the texts of some things, one after the other.
pub(crate) fn joined(items: &[impl ToString], separator: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

impl Error {
    /// Returns what makes an error of a failed file operation.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl Fn(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// Returns no error, the only one, or all of them as one.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Request(failure) => failure.code,
            Self::Field { .. }
            | Self::OnePerFamily { .. }
            | Self::TooMany { .. }
            | Self::Gateway { .. }
            | Self::NotInRanges { .. } => Code::INVALID_CONFIG,
            Self::Exhausted { .. } => Code::EXHAUSTED,
            Self::Duplicate { .. } | Self::Taken { .. } => Code::CONFLICT,
            Self::NoLease { .. } | Self::Lost { .. } => Code::DIFFERS,
            Self::State(podbond_state::Error::Locked { .. }) => Code::TRY_AGAIN,
            Self::NotWritable { .. } | Self::Full { .. } => Code::NOT_AVAILABLE,
            Self::State(_) | Self::Io { .. } | Self::NotAFile { .. } => Code::IO,
            Self::Several(errors) => errors.first().map_or(Code::IO, Self::code),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(failure) => failure,
            error => Self::new(error.code(), &error),
        }
    }
}
