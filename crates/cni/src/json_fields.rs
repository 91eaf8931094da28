//! Reads keys of a JSON object, with an error that names the field.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::go_json::Fields;
use crate::{Code, Failure};

/// Deserializes some keys of an object; the error names `whose` and the path to the field.
pub(crate) fn fields<T: DeserializeOwned>(
    whose: impl fmt::Display,
    object: &Map<String, Value>,
) -> Result<T, Failure> {
    serde_path_to_error::deserialize(Fields::Object(object)).map_err(|error| {
        let path = error.path().to_string();
        let msg = match path.as_str() {
            "." => format!("{whose}: {}", error.inner()),
            path => format!("{whose}: field {path}: {}", error.inner()),
        };
        Failure::new(Code::INVALID_CONFIG, msg)
    })
}
