//! Files of the state directories, as anybody may have written them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    podbond_record::fuzzing::record(bytes);
    podbond_sriov::fuzzing::record(bytes);
    let text = String::from_utf8_lossy(bytes);
    podbond_inventory::fuzzing::record(&text);
    podbond_host_local::fuzzing::lease(&text);
});
