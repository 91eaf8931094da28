//! Files of the state directories, whoever wrote them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    podbond_bond::fuzzing::record(bytes);
    podbond_sriov::fuzzing::record(bytes);
    podbond_attach::fuzzing::record(bytes);
    podbond_ipam::fuzzing::debt(bytes);
    let text = String::from_utf8_lossy(bytes);
    podbond_inventory::fuzzing::record(&text);
    podbond_host_local::fuzzing::lease(&text);
});
