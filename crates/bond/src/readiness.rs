use podbond_cni::{Args, Code, Delegates, Failure, NodeRequest};
use podbond_ipam::readiness;
use podbond_kernel::{Module, release};

use crate::{Bond, Config};

/// Why no bond can be made at this moment, whatever it is asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unready {
    #[error(
        "kernel {release} has no bonding driver, neither loaded nor as a module: install the modules \
         of this kernel, or start one that has it (CONFIG_BONDING)"
    )]
    NoBonding { release: String },
    #[error(
        "what ADD does cannot be recorded: {0}: make room, or mount the filesystem for writing"
    )]
    Unrecorded(podbond_state::Error),
}

/// What the node shows.
struct Seen {
    bonding: Module,
    release: String,
    records: Result<(), podbond_state::Error>,
}

/// Every reason that what is seen gives. Pure.
fn reasons(seen: Seen) -> Vec<Unready> {
    let bonding = match seen.bonding {
        Module::Missing => Some(Unready::NoBonding { release: seen.release }),
        // In a container the modules of the node may not be seen, and yet the kernel loads them.
        Module::BuiltIn | Module::Loaded | Module::Loadable | Module::Unknown => None,
    };
    bonding.into_iter().chain(seen.records.err().map(Unready::Unrecorded)).collect()
}

impl Bond {
    /// STATUS. A configuration that no ADD would take is refused as by ADD.
    pub(crate) fn readiness(
        &self,
        request: &NodeRequest,
        delegates: &Delegates<'_>,
    ) -> Result<(), Failure> {
        Config::parse(&request.config, &Args::default())
            .map_err(|error| error.into_failure(&request.config.name))?;
        let release = release();
        let bonding = Module::find("bonding", &release, "/".as_ref());
        let records = podbond_state::writable(&self.state);
        let reasons = reasons(Seen { bonding, release, records });
        let own = reasons.into_iter().map(|reason| Failure::new(Code::NotAvailable, reason));
        readiness(own.collect(), request, delegates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_with_its_mend() {
        let full = || podbond_state::writable("/proc/none".as_ref());
        let fine = || Ok(());
        let no_bonding = "kernel 6.12 has no bonding driver, neither loaded nor as a module: ";
        let unrecorded = "what ADD does cannot be recorded: cannot make the directory /proc/none: ";
        let table: [(Module, Result<(), podbond_state::Error>, &[&str]); 7] = [
            (Module::BuiltIn, fine(), &[]),
            (Module::Loaded, fine(), &[]),
            (Module::Loadable, fine(), &[]),
            (Module::Unknown, fine(), &[]),
            (Module::Missing, fine(), &[no_bonding]),
            (Module::Loaded, full(), &[unrecorded]),
            (Module::Missing, full(), &[no_bonding, unrecorded]),
        ];
        for (bonding, records, expected) in table {
            let told = reasons(Seen { bonding, release: "6.12".to_owned(), records });
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.to_string().starts_with(expected), "{told}");
            }
        }
    }
}
