//! STATUS: whether a bond could be made at this moment.

use podbond_cni::{Args, Code, Delegates, Failure, NodeRequest};
use podbond_ipam::readiness;
use podbond_kernel::{Module, release};
use podbond_record::Records;

use crate::config::Config;

/// Reports why no ADD could succeed. A configuration that no ADD would take is refused as by ADD.
pub(crate) fn status(
    request: &NodeRequest,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<(), Failure> {
    Config::parse(&request.config, &Args::default())
        .map_err(|error| error.into_failure(&request.config.name))?;
    let release = release();
    let bonding = Module::find("bonding", &release, "/".as_ref());
    let reasons = reasons(bonding, &release, records.writable());
    let own = reasons.into_iter().map(|reason| Failure::new(Code::NOT_AVAILABLE, reason));
    readiness(own.collect(), request, delegates)
}

/// Returns every reason against an ADD. Pure.
fn reasons(
    bonding: Module,
    release: &str,
    records: Result<(), podbond_record::Error>,
) -> Vec<String> {
    let no_bonding = match bonding {
        Module::Missing => Some(format!(
            "kernel {release} has no bonding driver, neither loaded nor as a module: install the modules of \
             this kernel, or start one that has it (CONFIG_BONDING)"
        )),
        // In a container the modules of the node may not be seen, and yet the kernel loads them.
        Module::BuiltIn | Module::Loaded | Module::Loadable | Module::Unknown => None,
    };
    no_bonding.into_iter().chain(records.err().map(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_reason_is_reported_with_its_remedy() {
        let writable = |dir| Records::new(Path::new(dir), Path::new("/proc/none")).writable();
        let temporary = tempfile::tempdir().unwrap();
        let fine = || writable(temporary.path().to_str().unwrap());
        let full = || writable("/proc/none");
        let no_bonding = "kernel 6.12 has no bonding driver, neither loaded nor as a module: ";
        let unrecorded = "what ADD does cannot be recorded: cannot make the directory /proc/none";
        let table: [(Module, Result<(), podbond_record::Error>, &[&str]); 7] = [
            (Module::BuiltIn, fine(), &[]),
            (Module::Loaded, fine(), &[]),
            (Module::Loadable, fine(), &[]),
            (Module::Unknown, fine(), &[]),
            (Module::Missing, fine(), &[no_bonding]),
            (Module::Loaded, full(), &[unrecorded]),
            (Module::Missing, full(), &[no_bonding, unrecorded]),
        ];
        for (bonding, records, expected) in table {
            let reasons = reasons(bonding, "6.12", records);
            assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
            for (reason, expected) in reasons.iter().zip(expected) {
                assert!(reason.starts_with(expected), "{reason}");
            }
        }
    }
}
