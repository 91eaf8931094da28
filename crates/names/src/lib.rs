//! Interface names, MAC addresses and PCI addresses: each a type whose constructor validates, so
//! that a wrong one cannot exist past the place where it was read.
//!
//! [`OneLine`] shows any other text from outside.
//!
//! Pure, and the lowest crate: every other one may use it, it uses none.

// They panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod key;
mod link_name;
mod mac;
mod one_line;
mod pci;

pub use error::NameError;
pub use key::{Namespace, ObjectKey, ObjectName, ObjectUid, ResourceName};
pub use link_name::{LinkName, NewLinkName};
pub use mac::Mac;
pub use one_line::OneLine;
pub use pci::PciAddress;

/// Implements string conversions, serde and `Debug` of a name type by way of `FromStr` and
/// `Display`.
macro_rules! string_type {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = $crate::NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}
pub(crate) use string_type;
