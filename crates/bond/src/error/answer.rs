//! Errors as CNI reports them.

use podbond_cni::{Code, Failure};

use super::Error;

impl Error {
    /// Returns the answer to the runtime, naming the network.
    pub fn into_failure(self, network: &str) -> Failure {
        match &self {
            Self::Config(failure) => failure.clone(),
            Self::Kernel(error) => podbond_ipam::failure(network, error),
            _ => Failure::new(self.code(), format_args!("network {network}: {self}")),
        }
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Config(failure) => failure.code,
            Self::Kernel(error) => podbond_ipam::failure("", error).code,
            Self::NoSuchPort { .. }
            | Self::PortTaken { .. }
            | Self::NameTaken { .. }
            | Self::BondNameTaken { .. } => Code::CONFLICT,
            Self::MacNotTaken { .. } => Code::KERNEL,
            Self::Record(error) => error.code(),
            Self::Rules(podbond_state::settings::Error::Unread { .. }) => Code::IO,
            Self::Rules(podbond_state::settings::Error::Malformed { .. }) => Code::DECODE,
            Self::Several(errors) => of_several(errors),
            _ => Code::INVALID_CONFIG,
        }
    }
}

/// Returns the code that errors share. Of those that differ the kernel's says most, and where it is
/// not among them, what they have in common is that something could not be read or written.
fn of_several(errors: &[Error]) -> Code {
    let mut codes: Vec<Code> = errors.iter().map(Error::code).collect();
    codes.dedup();
    match codes.as_slice() {
        [code] => *code,
        codes if codes.contains(&Code::KERNEL) => Code::KERNEL,
        _ => Code::IO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_errors_share_a_code() {
        let file = || Error::Record(podbond_record::Error::Unwritten("full".to_owned()));
        let of = |code| Error::Config(Failure::new(code, "no"));
        let code = |errors| Error::Several(errors).into_failure("n").code;
        assert_eq!(code(vec![file(), file()]), Code::IO);
        assert_eq!(code(vec![of(Code::TRY_AGAIN), of(Code::TRY_AGAIN)]), Code::TRY_AGAIN);
        assert_eq!(code(vec![file(), of(Code::EXHAUSTED)]), Code::IO);
        assert_eq!(code(vec![file(), of(Code::KERNEL)]), Code::KERNEL);
    }
}
