use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use podbond_cni::{Code, Failure, Version};
use podbond_names::LinkName;

use crate::lease::Holder;
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
    #[error("network {network:?}: container {container} holds no address for {ifname} in {}", dir.display())]
    NoLease { network: String, container: String, ifname: LinkName, dir: PathBuf },
    #[error(
        "network {network:?}: {address} of prevResult is not leased to container {container} for \
         {ifname}: its file in {} is missing or another's", dir.display()
    )]
    Lost { network: String, container: String, ifname: LinkName, address: IpAddr, dir: PathBuf },
    #[error(transparent)]
    State(#[from] podbond_state::Error),
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{}", Several(.0))]
    Several(Vec<Error>),
}

/// Errors one after the other.
struct Several<'e>(&'e [Error]);

impl fmt::Display for Several<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if position == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl Error {
    /// The same for an error of a file operation.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl Fn(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// No error, the only one, or all of them.
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
            | Self::Gateway { .. }
            | Self::NotInRanges { .. } => Code::InvalidConfig,
            Self::Exhausted { .. } => Code::EXHAUSTED,
            Self::Duplicate { .. } | Self::Taken { .. } => Code::CONFLICT,
            Self::NoLease { .. } | Self::Lost { .. } => Code::DIFFERS,
            Self::State(podbond_state::Error::Locked { .. }) => Code::TryAgain,
            Self::State(_) | Self::Io { .. } => Code::Io,
            Self::Several(errors) => errors.first().map_or(Code::Io, Self::code),
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
