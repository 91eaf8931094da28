//! What a foreign plugin answers: a result of any version.

#![no_main]

use libfuzzer_sys::fuzz_target;
use podbond_cni::{CniResult, Version};

fuzz_target!(|json: &[u8]| {
    let Ok(value) = serde_json::from_slice(json) else { return };
    for assumed in [Version::V0_2_0, Version::V1_0_0] {
        let result = match CniResult::from_value(&value, assumed) {
            Ok(result) => result,
            Err(failure) => {
                let _ = failure.to_string();
                continue;
            }
        };
        let newest = result.to_value(Version::NEWEST);
        assert_eq!(CniResult::from_value(&newest, assumed), Ok(result.clone()));
        for version in Version::ALL {
            // What a version can say of it, it says again.
            let written = result.to_value(version);
            let read = CniResult::from_value(&written, version).expect("what was written");
            assert_eq!(read.to_value(version), written);
        }
    }
});
