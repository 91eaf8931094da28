use std::fmt;

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

    /// The number on the wire.
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

    /// The code of a number on the wire.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::IncompatibleVersion,
            2 => Self::UnsupportedField,
            3 => Self::ContainerUnknown,
            4 => Self::InvalidEnvironment,
            5 => Self::Io,
            6 => Self::Decode,
            7 => Self::InvalidConfig,
            11 => Self::TryAgain,
            50 => Self::NotAvailable,
            51 => Self::LimitedConnectivity,
            other => Self::Other(other),
        }
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
    /// A failure without details.
    pub fn new(code: Code, msg: impl fmt::Display) -> Self {
        Self { code, msg: msg.to_string(), details: String::new() }
    }

    /// The same failure with details.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)?;
        if self.details.is_empty() { Ok(()) } else { write!(f, " ({})", self.details) }
    }
}

impl std::error::Error for Failure {}

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
    /// The failure as a process of this protocol version writes it.
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
    fn a_failure_is_the_specifications_error_object() {
        let failure = Failure::new(Code::KERNEL, "bond \"net3\": refused").with_details("EBUSY");
        let json = serde_json::to_value(WireError::new(failure, Version::V0_3_1)).unwrap();
        let expected = serde_json::json!({
            "cniVersion": "0.3.1", "code": 100, "msg": "bond \"net3\": refused", "details": "EBUSY",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn every_code_survives_the_wire() {
        for number in 0..120 {
            assert_eq!(Code::from_number(number).number(), number);
        }
    }
}
