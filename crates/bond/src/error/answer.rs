//! What a runtime is told of an error.

use podbond_cni::{Code, Failure};

use super::Error;

impl Error {
    /// The answer to the runtime, naming the network.
    pub fn into_failure(self, network: &str) -> Failure {
        match &self {
            Self::Config(failure) => failure.clone(),
            Self::Kernel(error) => podbond_ipam::failure(network, error),
            _ => Failure::new(self.code(), format_args!("network {network}: {self}")),
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Config(failure) => failure.code,
            Self::Kernel(error) => podbond_ipam::failure("", error).code,
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
            | Self::Rules(podbond_state::settings::Error::Unread { .. }) => Code::Io,
            Self::Rules(podbond_state::settings::Error::Malformed { .. }) => Code::Decode,
            Self::Several(errors) => of_several(errors),
            _ => Code::InvalidConfig,
        }
    }
}

/// The code that errors share. Of those that differ the kernel's tells most, and where it is not
/// among them, what they have in common is that something could not be read or written.
fn of_several(errors: &[Error]) -> Code {
    let mut codes: Vec<Code> = errors.iter().map(Error::code).collect();
    codes.dedup();
    match codes.as_slice() {
        [code] => *code,
        codes if codes.contains(&Code::KERNEL) => Code::KERNEL,
        _ => Code::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_interface_and_the_mend() {
        let (ifname, differences) =
            ("bond0".parse().unwrap(), vec!["miimon is 50, not 100".into()]);
        let failure = Error::Differs { ifname, differences }.into_failure("n");
        let told = "network n: interface bond0 is not as ADD left it: miimon is 50, not 100: put that \
                    right in the pod, or make the pod anew";
        assert_eq!((failure.code, failure.msg.as_str()), (Code::DIFFERS, told));
    }

    #[test]
    fn several_errors_have_the_code_that_they_share_and_the_kernels_only_where_it_is_among_them() {
        let file = || Error::Unwritten { path: "/f".into(), problem: "full".to_owned() };
        let of = |code| Error::Config(Failure::new(code, "no"));
        let told = |errors| Error::Several(errors).into_failure("n").code;
        assert_eq!(told(vec![file(), file()]), Code::Io);
        assert_eq!(told(vec![of(Code::TryAgain), of(Code::TryAgain)]), Code::TryAgain);
        assert_eq!(told(vec![file(), of(Code::EXHAUSTED)]), Code::Io);
        assert_eq!(told(vec![file(), of(Code::KERNEL)]), Code::KERNEL);
    }
}
