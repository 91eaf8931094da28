//! Entries for fuzzing: ranges that anybody may have configured, and lease files that anybody may
//! have written.

use std::collections::BTreeSet;

use podbond_cni::NetConf;

use crate::config::Config;
use crate::holder::{Holder, content};

/// Reads the content of a lease file.
///
/// # Panics
/// When it names another attachment once it is written again.
pub fn lease(text: &str) {
    let holder = Holder::parse(text);
    if let Some(attachment) = holder.attachment() {
        assert_eq!(Holder::parse(&content(attachment)), holder);
    }
}

/// Reads the ranges of a configuration and the first addresses that they give.
///
/// # Panics
/// When an address is not of its range set, is a gateway's, or comes twice.
pub fn ranges(config: &NetConf) {
    let Ok(config) = Config::new(config) else { return };
    for set in &config.sets {
        let mut given = BTreeSet::new();
        for address in config.candidates(set, None).take(4) {
            assert!(set.range_of(address).is_some(), "{address} is of no range");
            assert!(!config.is_gateway(address), "{address} is a gateway's");
            assert!(given.insert(address), "{address} comes twice");
        }
        let last = given.last().copied();
        let after = config.candidates(set, last).take(4).collect::<BTreeSet<_>>();
        assert_eq!(after.is_empty(), given.is_empty(), "there are none after the last one");
    }
}
