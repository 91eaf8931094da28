//! Fuzz target: records that no ADD has written are read or treated as missing.

/// Reads a record.
///
/// # Panics
/// When one that can be read is not the same once it is written again.
pub fn record(bytes: &[u8]) {
    let Ok(record) = crate::records::parse(bytes) else { return };
    let _ = (record.to_string(), record.del(&[]), record.has_ipam());
    let again = crate::records::to_bytes(&record);
    assert_eq!(again.ok().map(|bytes| crate::records::parse(&bytes)), Some(Ok(record)));
}
