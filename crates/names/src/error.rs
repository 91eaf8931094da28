//! Why a text is not a name or an address.

/// Why a text is not a name. The message quotes the text, so that it can stand alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An interface name of no characters.
    #[error("the interface name is empty: give 1 to 15 characters")]
    LinkEmpty,
    /// The kernel's IFNAMSIZ is 16 with the closing NUL.
    #[error("interface name {} has {} bytes: at most 15 are possible", quoted(text), text.len())]
    LinkTooLong {
        /// The text as given.
        text: String,
    },
    /// A character that the kernel refuses in a link's name.
    #[error(
        "interface name {text:?} holds {character:?}: `/`, `:` and white space are not allowed"
    )]
    LinkCharacter {
        /// The text as given.
        text: String,
        /// The first character that is refused.
        character: char,
    },
    /// A pattern, of which the kernel makes another name.
    #[error("interface name {text:?} holds `%`, for which the kernel puts a number: leave it out")]
    LinkPattern {
        /// The text as given.
        text: String,
    },
    /// `.` and `..` are directories of sysfs, `all` and `default` of the kernel's settings.
    #[error("interface name {text:?} is reserved: choose another")]
    LinkReserved {
        /// The text as given.
        text: String,
    },
    /// An address, or a name of Kubernetes, that is not of the form that all of its kind have.
    #[error("{kind} {} is malformed: write {form}", quoted(text))]
    Malformed {
        /// What it was to be: `MAC address`.
        kind: &'static str,
        /// The text as given.
        text: String,
        /// The form, in words.
        form: &'static str,
    },
    /// Not `namespace/name`.
    #[error("{} does not name an object: write namespace/name", quoted(text))]
    Pair {
        /// The text as given.
        text: String,
    },
}

impl NameError {
    pub(crate) fn malformed(kind: &'static str, text: &str, form: &'static str) -> Self {
        Self::Malformed { kind, text: text.to_owned(), form }
    }
}

/// How much of a text is quoted, in characters: more than any name has.
const MAX_QUOTED: usize = 260;

/// Returns a text in quotes, cut with a mark if it is longer than any name.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{:?}\u{2026}", &text[..end]),
        None => format!("{text:?}"),
    }
}
