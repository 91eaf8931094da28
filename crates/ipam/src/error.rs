//! Errors of the kernel as CNI errors.

use podbond_cni::{Code, Failure};
use podbond_kernel::Error;

/// Returns the CNI error for an error of the kernel, with the kernel's extended-ack text in `details`.
pub fn failure(network: &str, error: &Error) -> Failure {
    let code = match error {
        Error::Refused { .. }
        | Error::NotTaken { .. }
        | Error::UnknownOptions { .. }
        | Error::LaterValue { .. }
        | Error::NoDriver { .. }
        | Error::NoQueue { .. } => Code::KERNEL,
        Error::NoSuchLink { .. } | Error::HasMaster { .. } | Error::DuplicateAddress { .. } => {
            Code::CONFLICT
        }
        Error::GatewayUnreachable { .. } | Error::MtuBelowIpv6 { .. } => Code::INVALID_CONFIG,
        Error::UnknownNamespace { .. } => Code::TRY_AGAIN,
        Error::NoPodNamespace | Error::Namespace { .. } | Error::OwnNamespace { .. } => {
            Code::CONTAINER_UNKNOWN
        }
        _ => Code::IO,
    };
    let msg = format!("network {network}: {}", error.sentence());
    Failure::new(code, msg).with_details(error.extack().unwrap_or_default())
}
