//! The CNI error object and its codes (section "Error").

use std::fmt;

use podbond_names::OneLine;
use serde::{Deserialize, Serialize};

use crate::Version;

/// The error codes that the specification reserves (section "Error"), and podbond's own from 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1: the configuration's `cniVersion` is not one of ours.
    IncompatibleVersion,
    /// 2: a field of the configuration is not supported.
    UnsupportedField,
    /// 3: the container is unknown or does not exist: no cleanup is needed.
    ContainerUnknown,
    /// 4: an environment variable is missing or malformed.
    InvalidEnvironment,
    /// 5: input or output failed.
    Io,
    /// 6: the configuration cannot be decoded.
    Decode,
    /// 7: the configuration is invalid.
    InvalidConfig,
    /// 11: the runtime should try again later.
    TryAgain,
    /// 50: the plugin cannot serve ADD.
    NotAvailable,
    /// 51: as 50, and existing containers may have limited connectivity.
    LimitedConnectivity,
    /// Any other number: a foreign plugin's, or podbond's own from 100.
    Other(u32),
}

impl Code {
    const RESERVED: [Self; 10] = [
        Self::IncompatibleVersion,
        Self::UnsupportedField,
        Self::ContainerUnknown,
        Self::InvalidEnvironment,
        Self::Io,
        Self::Decode,
        Self::InvalidConfig,
        Self::TryAgain,
        Self::NotAvailable,
        Self::LimitedConnectivity,
    ];

    /// 100: the kernel refused a change; `details` holds its words.
    pub const KERNEL: Self = Self::Other(100);
    /// 101: what is wanted conflicts with what is there: a name taken, a VF or port held.
    pub const CONFLICT: Self = Self::Other(101);
    /// 102: nothing left to give: addresses, VFs.
    pub const EXHAUSTED: Self = Self::Other(102);
    /// 103: CHECK found a difference.
    pub const DIFFERS: Self = Self::Other(103);
    /// 104: podbond itself is at fault.
    pub const DEFECT: Self = Self::Other(104);

    /// Returns the number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnsupportedField => 2,
            Self::ContainerUnknown => 3,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decode => 6,
            Self::InvalidConfig => 7,
            Self::TryAgain => 11,
            Self::NotAvailable => 50,
            Self::LimitedConnectivity => 51,
            Self::Other(number) => number,
        }
    }

    /// Returns the code of a number on the wire.
    pub fn from_number(number: u32) -> Self {
        let mut reserved = Self::RESERVED.into_iter();
        reserved.find(|code| code.number() == number).unwrap_or(Self::Other(number))
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

/// Writes the lines of a text with ` / ` between them, escaped.
fn write_on_one_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for (position, line) in lines.enumerate() {
        let separator = if position == 0 { "" } else { " / " };
        write!(f, "{separator}{}", OneLine(line))?;
    }
    Ok(())
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
    /// Returns the error object as a plugin writes it in this version of the protocol.
    pub(crate) fn new(failure: Failure, version: Version) -> Self {
        let Failure { code, msg, details } = failure;
        Self { cni_version: version.to_string(), code: code.number(), msg, details }
    }
}

impl From<WireError> for Failure {
    fn from(wire: WireError) -> Self {
        Self { code: Code::from_number(wire.code), msg: wire.msg, details: wire.details }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_the_specifications_error_object() {
        let failure = Failure::new(Code::KERNEL, "bond \"net3\": refused").with_details("EBUSY");
        let json = serde_json::to_value(WireError::new(failure, Version::V0_3_1)).unwrap();
        let expected = serde_json::json!({
            "cniVersion": "0.3.1", "code": 100, "msg": "bond \"net3\": refused", "details": "EBUSY",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn codes_have_the_specifications_numbers() {
        for (number, code) in [
            (1, Code::IncompatibleVersion),
            (2, Code::UnsupportedField),
            (3, Code::ContainerUnknown),
            (4, Code::InvalidEnvironment),
            (5, Code::Io),
            (6, Code::Decode),
            (7, Code::InvalidConfig),
            (8, Code::Other(8)),
            (11, Code::TryAgain),
            (50, Code::NotAvailable),
            (51, Code::LimitedConnectivity),
            (100, Code::KERNEL),
        ] {
            assert_eq!((Code::from_number(number), code.number()), (code, number));
        }
    }

    #[test]
    fn displayed_failure_is_one_line() {
        let failure = Failure::new(Code::Io, "a\u{1b}[2J").with_details("b\n\tc\n");
        assert_eq!(failure.to_string(), "a\\u001b[2J (b / c)");
    }
}
