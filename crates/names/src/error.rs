//! Why a text is not a name or an address.

/// Why a text is not a name. The message quotes the text, so that it can stand alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An interface name of no characters.
    #[error("the interface name is empty: give 1 to 15 characters")]
    LinkEmpty,
    /// The kernel's IFNAMSIZ is 16 with the closing NUL.
    #[error("interface name {text:?} has {} bytes: at most 15 are possible", text.len())]
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
    /// `.` and `..` are directories of sysfs.
    #[error("interface name {text:?} is reserved: choose another")]
    LinkReserved {
        /// The text as given.
        text: String,
    },
    /// Not six pairs of hexadecimal digits.
    #[error(
        "MAC address {text:?} is malformed: write six pairs of hexadecimal digits, like 02:00:00:00:00:01"
    )]
    Mac {
        /// The text as given.
        text: String,
    },
    /// Not `domain:bus:device.function`.
    #[error(
        "PCI address {text:?} is malformed: write domain:bus:device.function, like 0000:03:10.1"
    )]
    Pci {
        /// The text as given.
        text: String,
    },
    /// Not a DNS-1123 label.
    #[error(
        "namespace {text:?} is malformed: write at most 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit"
    )]
    Namespace {
        /// The text as given.
        text: String,
    },
    /// Not a DNS-1123 subdomain.
    #[error(
        "object name {text:?} is malformed: write at most 253 lower-case letters, digits, `-` and `.`, each part between dots beginning and ending with a letter or digit"
    )]
    Object {
        /// The text as given.
        text: String,
    },
    /// Not a DNS-1123 label.
    #[error(
        "UID {text:?} is malformed: write at most 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit"
    )]
    Uid {
        /// The text as given.
        text: String,
    },
    /// Not `namespace/name`.
    #[error("{text:?} does not name an object: write namespace/name")]
    Pair {
        /// The text as given.
        text: String,
    },
    /// Not a resource name.
    #[error(
        "resource name {text:?} is malformed: write at most 63 letters, digits, `-` and `_`, beginning and ending with a letter or digit"
    )]
    Resource {
        /// The text as given.
        text: String,
    },
}
