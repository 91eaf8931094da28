//! What a foreign plugin answers: a result of any version.

use podbond_cni::{CniResult, Version};

/// Reads a CNI result, and writes it in every version.
///
/// # Panics
/// When a result is another once it is written and read again.
pub(crate) fn read(json: &[u8]) {
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
}
