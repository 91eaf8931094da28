//! What stands in a record's file.

use serde::{Deserialize, Serialize};

use crate::made::Made;

/// The version of the record's form that this code writes and reads.
pub(crate) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    #[serde(flatten)]
    made: Made,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// What is in a record's place.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    Whole(Box<Made>),
    /// Somebody else's form.
    Of {
        version: u32,
    },
    Damaged,
}

pub(crate) fn parse(bytes: &[u8]) -> Content {
    let version = serde_json::from_slice::<Version>(bytes).ok().map(|of| of.version);
    match (version, serde_json::from_slice::<Record>(bytes)) {
        (Some(VERSION), Ok(record)) => Content::Whole(Box::new(record.made)),
        (Some(version), _) if version != VERSION => Content::Of { version },
        _ => Content::Damaged,
    }
}

pub(crate) fn to_bytes(made: &Made) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Record { version: VERSION, made: made.clone() })
}
