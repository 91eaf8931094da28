//! Why a manifest cannot be used: where, which field, what is wrong, what to write instead.

use podbond_names::NameError;

/// Why manifests cannot be used. Each message begins with where they came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not YAML (JSON is YAML too).
    #[error("{origin}:{line}:{column}: the text is not YAML: {problem}; correct it there")]
    Syntax {
        /// File or stream.
        origin: String,
        /// Line in the text, from 1.
        line: usize,
        /// Column in the line, from 1.
        column: usize,
        /// What the parser met.
        problem: String,
    },
    /// A document is YAML, but not a Kubernetes object.
    #[error("{origin}: document {document}: {error}")]
    Document {
        /// File or stream.
        origin: String,
        /// Position in the stream, from 1; empty documents count.
        document: usize,
        /// The field, as `items[0].kind`.
        #[source]
        error: FieldError,
    },
    /// A field of an object is wrong.
    #[error("{origin}: {object}: {error}")]
    Field {
        /// File or stream.
        origin: String,
        /// Kind and name, as `SriovNetwork demo/sriovnet1`.
        object: String,
        /// The field.
        #[source]
        error: FieldError,
    },
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {reason}")]
pub struct FieldError {
    /// Path of the field, as `spec.nicSelector.pfNames[0]`.
    pub path: String,
    /// What is wrong with it.
    #[source]
    pub reason: Box<Reason>,
}

/// What is wrong with a field. Reads on from the field's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A required field is absent, null or empty.
    #[error("is missing: write {expected}")]
    Missing {
        /// What belongs there.
        expected: String,
    },
    /// Of the wrong type, or a value that is not possible.
    #[error("is {given}: write {expected}")]
    Unexpected {
        /// The value as given, in JSON.
        given: String,
        /// What belongs there.
        expected: String,
    },
    /// Not the name of an object, an interface name or a PCI address.
    #[error("is wrong: {0}")]
    Name(#[from] NameError),
    /// JSON inside of a text field does not parse. Line and column count in the field's text as
    /// YAML hands it over: in a quoted text YAML joins lines.
    #[error(
        "is not JSON: {problem} at line {line}, column {column}, near {near:?}; correct it there"
    )]
    Json {
        /// Line within the text, from 1.
        line: usize,
        /// Column within the line, from 1.
        column: usize,
        /// The text around that place.
        near: String,
        /// What the parser met.
        problem: String,
    },
    /// Good by itself, but not with another field.
    #[error("is {given}, but {other}: {help}")]
    Conflict {
        /// The value as given.
        given: String,
        /// The other field and its value.
        other: String,
        /// What to do.
        help: String,
    },
    /// The operator knows this, podbond does not do it.
    #[error("is {given}, which podbond does not support: {help}")]
    Unsupported {
        /// The value as given.
        given: String,
        /// What to do.
        help: String,
    },
}

impl Reason {
    pub(crate) fn missing(expected: impl Into<String>) -> Self {
        Self::Missing { expected: expected.into() }
    }

    pub(crate) fn unexpected(given: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Unexpected { given: given.into(), expected: expected.into() }
    }

    pub(crate) fn conflict(
        given: impl Into<String>,
        other: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Conflict { given: given.into(), other: other.into(), help: help.into() }
    }

    pub(crate) fn unsupported(given: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Unsupported { given: given.into(), help: help.into() }
    }
}
