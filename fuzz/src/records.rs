//! Files of the state directories, as anybody may have written them.

/// Reads the files of the state directories.
///
/// # Panics
/// When a record is another once it is written and read again.
pub(crate) fn read(bytes: &[u8]) {
    podbond_record::fuzzing::record(bytes);
    podbond_sriov::fuzzing::record(bytes);
    let text = String::from_utf8_lossy(bytes);
    podbond_inventory::fuzzing::record(&text);
    podbond_host_local::fuzzing::lease(&text);
}
