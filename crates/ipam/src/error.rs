use podbond_cni::{Code, Failure};
use podbond_kernel::Error;

/// A kernel error as CNI reports it: its own sentence, and the kernel's words in `details`.
pub fn failure(error: &Error) -> Failure {
    let code = match error {
        Error::Refused { .. } | Error::NotTaken { .. } => Code::KERNEL,
        Error::NoSuchLink { .. } => Code::CONFLICT,
        Error::NoPodNamespace | Error::Namespace { .. } => Code::ContainerUnknown,
        _ => Code::Io,
    };
    Failure::new(code, error).with_details(error.extack().unwrap_or_default())
}
