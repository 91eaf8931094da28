//! What a runtime is told of an error.

use podbond_cni::{Code, Failure};

use super::Error;

impl Error {
    /// The answer to the runtime, naming the network.
    pub fn into_failure(self, network: &str) -> Failure {
        let code = match &self {
            Self::Config(failure) => return failure.clone(),
            Self::Kernel(error) => return podbond_ipam::failure(network, error),
            Self::NoSuchPort { .. }
            | Self::PortTaken { .. }
            | Self::NameTaken { .. }
            | Self::BeneathTaken { .. }
            | Self::AlreadyAdded { .. } => Code::CONFLICT,
            Self::NotBack { .. } => Code::TryAgain,
            Self::State(error) if error.is_locked() => Code::TryAgain,
            Self::Differs { .. } => Code::DIFFERS,
            Self::State(_)
            | Self::Unwritten { .. }
            | Self::Rules(podbond_settings::Error::Unread { .. }) => Code::Io,
            Self::Rules(podbond_settings::Error::Malformed { .. }) => Code::Decode,
            Self::Several(_) => Code::KERNEL,
            _ => Code::InvalidConfig,
        };
        Failure::new(code, format_args!("network {network}: {self}"))
    }
}
