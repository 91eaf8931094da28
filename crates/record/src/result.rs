//! A CNI result as a part of a record, in the version that can say everything.

use podbond_cni::{CniResult, Version};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

const VERSION: Version = Version::V1_1_0;

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
pub(crate) fn serialize<S: Serializer>(
    result: &Option<CniResult>,
    to: S,
) -> Result<S::Ok, S::Error> {
    result.as_ref().map(|result| result.to_value(VERSION)).serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<CniResult>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None => Ok(None),
        Some(value) => CniResult::from_value(&value, VERSION).map(Some).map_err(D::Error::custom),
    }
}
