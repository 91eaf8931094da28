//! GC: deletes the attachments of a network that are not valid any more, by their records.

use podbond_cni::{Delegates, NodeRequest};
use podbond_record::{Record, Records};

use crate::del;
use crate::error::Error;
use crate::record::is_of_bond;

/// Deletes the network's attachments that are not valid any more, and has the IPAM plugin do the
/// same. Goes on past errors. A lease that is pending after it is one.
pub(crate) fn gc(
    request: &NodeRequest,
    delegates: &Delegates<'_>,
    records: &Records,
) -> Result<(), Error> {
    let mut errors: Vec<Error> = Vec::new();
    let (all, _) = records.all().unwrap_or_else(|error| {
        errors.push(error.into());
        Default::default()
    });
    for record in all.iter().filter(|record| is_stale(record, request)) {
        let Some(stale) = record.del(&request.path) else { continue };
        let deleted = del::del(&stale, delegates, records)
            .and_then(|()| del::lease_is_released(record, records));
        errors.extend(deleted.err());
    }
    errors.extend(delegates.ipam_gc(request).err().map(Error::Config));
    Error::all(errors)
}

/// Returns whether a record is of a bond of this network that is not valid any more. One of a chain
/// is for its maker to delete.
fn is_stale(record: &Record, request: &NodeRequest) -> bool {
    is_of_bond(record)
        && record.chain.is_none()
        && record.network == request.config.name
        && !request.valid_attachments.contains(&record.attachment())
}
