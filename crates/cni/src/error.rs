//! The CNI error object and its codes (section "Error").

use std::fmt;

use podbond_names::OneLine;
use serde::{Deserialize, Serialize};

use crate::Version;

/// The code of an error: the specification reserves those up to 99 (section "Error"), podbond's own
/// begin at 100, and other plugins have theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u32);

impl Code {
    /// 1: the configuration's `cniVersion` is not one of ours.
    pub const INCOMPATIBLE_VERSION: Self = Self(1);
    /// 2: a field of the configuration is not supported.
    pub const UNSUPPORTED_FIELD: Self = Self(2);
    /// 3: the container is unknown or does not exist: no cleanup is needed.
    pub const CONTAINER_UNKNOWN: Self = Self(3);
    /// 4: an environment variable is missing or malformed.
    pub const INVALID_ENVIRONMENT: Self = Self(4);
    /// 5: input or output failed.
    pub const IO: Self = Self(5);
    /// 6: the configuration cannot be decoded.
    pub const DECODE: Self = Self(6);
    /// 7: the configuration is invalid.
    pub const INVALID_CONFIG: Self = Self(7);
    /// 11: the runtime should try again later.
    pub const TRY_AGAIN: Self = Self(11);
    /// 50: the plugin cannot serve ADD.
    pub const NOT_AVAILABLE: Self = Self(50);
    /// 51: as 50, and existing containers may have limited connectivity.
    pub const LIMITED_CONNECTIVITY: Self = Self(51);
    /// 100: the kernel refused a change; `details` holds its words.
    pub const KERNEL: Self = Self(100);
    /// 101: what is wanted conflicts with what is there: a name taken, a VF or port held.
    pub const CONFLICT: Self = Self(101);
    /// 102: nothing more to give: addresses, VFs.
    pub const EXHAUSTED: Self = Self(102);
    /// 103: CHECK reports a difference.
    pub const DIFFERS: Self = Self(103);
    /// 104: podbond itself is at fault.
    pub const DEFECT: Self = Self(104);

    /// Returns the number on the wire.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns the code of a number on the wire.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// A plugin's answer when an operation fails: what the runtime shows to the person who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of error.
    pub code: Code,
    /// One sentence: the object, the field, what is wrong, what to do.
    pub msg: String,
    /// More of it: the kernel's extended ack, a foreign plugin's stderr. May be empty.
    pub details: String,
}

impl Failure {
    /// Creates a failure without details.
    pub fn new(code: Code, msg: impl fmt::Display) -> Self {
        Self { code, msg: msg.to_string(), details: String::new() }
    }

    /// Returns the failure with these details.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }
}

impl fmt::Display for Failure {
    /// Writes message and details on one line: either may quote a configuration or another program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_on_one_line(f, &self.msg)?;
        if self.details.is_empty() {
            return Ok(());
        }
        f.write_str(" (")?;
        write_on_one_line(f, &self.details)?;
        f.write_str(")")
    }
}

/// How long a message, and how long its details may be, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// Writes the lines of a text with ` / ` between them, escaped and cut.
fn write_on_one_line(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    write!(f, "{}", OneLine(lines.join(" / ")).cut(MAX_TEXT))
}

/// Returns a text as [`write_on_one_line`] writes it.
fn on_one_line(text: &str) -> String {
    let mut line = String::new();
    // Writing to a String does not fail.
    let _ = write_on_one_line(&mut line, text);
    line
}

impl std::error::Error for Failure {}

impl AsRef<Self> for Failure {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// The error object on the wire (section "Error").
#[derive(Serialize, Deserialize)]
pub(crate) struct WireError {
    #[serde(rename = "cniVersion", default)]
    cni_version: String,
    /// Some plugins in use leave it out, or write 0.
    #[serde(default)]
    code: u32,
    msg: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    details: String,
}

impl WireError {
    /// Returns the error object as a plugin writes it in this version of the protocol. Who reads it takes
    /// message and details out of the JSON and shows them to people: they are escaped within it too.
    pub(crate) fn new(failure: &Failure, version: Version) -> Self {
        Self {
            cni_version: version.to_string(),
            code: failure.code.number(),
            msg: on_one_line(&failure.msg),
            details: on_one_line(&failure.details),
        }
    }
}

impl From<WireError> for Failure {
    fn from(wire: WireError) -> Self {
        Self { code: Code::from_number(wire.code), msg: wire.msg, details: wire.details }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn failure_is_the_specifications_error_object() {
        let failure = Failure::new(Code::KERNEL, "bond \"net3\": refused").with_details("EBUSY");
        let json = serde_json::to_value(WireError::new(&failure, Version::V0_3_1)).unwrap();
        let expected = serde_json::json!({
            "cniVersion": "0.3.1", "code": 100, "msg": "bond \"net3\": refused", "details": "EBUSY",
        });
        assert_eq!(json, expected);
    }

    proptest! {
        /// Promise: shown-text-escaped
        #[test]
        fn any_failure_is_safe_to_show(msg in any::<String>(), details in any::<String>()) {
            let failure = Failure::new(Code::IO, msg).with_details(details);
            let wire = WireError::new(&failure, Version::NEWEST);
            for shown in [wire.msg, wire.details, failure.to_string()] {
                prop_assert_eq!(OneLine(&shown).to_string(), shown);
            }
        }
    }

    #[test]
    fn endless_message_is_cut() {
        let failure = Failure::new(Code::IO, "a".repeat(1 << 20));
        let msg = WireError::new(&failure, Version::NEWEST).msg;
        assert!(msg.len() < MAX_TEXT + 4 && msg.ends_with('\u{2026}'), "{}", msg.len());
    }

    #[test]
    fn displayed_failure_is_one_line() {
        let failure = Failure::new(Code::IO, "a\u{1b}[2J").with_details("b\n\tc\n");
        assert_eq!(failure.to_string(), "a\\u001b[2J (b / c)");
    }
}
