//! Who holds a leased address, as the content of its file says: a container ID and an interface.

use std::collections::BTreeSet;
use std::fmt;

use podbond_cni::{Attachment, ContainerId};

/// Who holds an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// An interface of a container.
    Attachment(Attachment),
    /// A container, as old versions of the reference plugin wrote it: without an interface.
    Container(ContainerId),
    /// Nobody: the file is empty. Files are written under the lock, so that the writer of one that is empty
    /// under the lock was killed before its ADD could return the address.
    Nobody,
    /// Not a lease as host-local writes it. The address is leased to nobody, and the file stays
    /// unchanged.
    Foreign,
}

impl Holder {
    /// Reads the content of a lease file.
    pub(crate) fn parse(content: &str) -> Self {
        let (container, ifname) = match content.trim().split_once('\n') {
            Some((container, ifname)) => (container.trim(), Some(ifname.trim())),
            None if content.trim().is_empty() => return Self::Nobody,
            None => (content.trim(), None),
        };
        let Ok(container_id) = ContainerId::try_from(container.to_owned()) else {
            return Self::Foreign;
        };
        match ifname.map(str::parse) {
            None => Self::Container(container_id),
            Some(Ok(ifname)) => Self::Attachment(Attachment { container_id, ifname }),
            Some(Err(_)) => Self::Foreign,
        }
    }

    /// Returns the attachment, where the file names one.
    pub fn attachment(&self) -> Option<&Attachment> {
        match self {
            Self::Attachment(attachment) => Some(attachment),
            Self::Container(_) | Self::Nobody | Self::Foreign => None,
        }
    }

    /// Returns whether it is this attachment, or its container where the file names no interface.
    pub(crate) fn is(&self, attachment: &Attachment) -> bool {
        match self {
            Self::Attachment(holder) => holder == attachment,
            Self::Container(container) => *container == attachment.container_id,
            Self::Nobody | Self::Foreign => false,
        }
    }

    /// Returns whether it is one of these attachments.
    pub(crate) fn is_one_of(&self, valid: &BTreeSet<Attachment>) -> bool {
        valid.iter().any(|attachment| self.is(attachment))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attachment(Attachment { container_id, ifname }) => {
                write!(f, "{ifname} of container {container_id}")
            }
            Self::Container(container) => write!(f, "container {container}"),
            Self::Nobody => f.write_str("nobody"),
            Self::Foreign => f.write_str("something that is no lease"),
        }
    }
}

/// Returns the content of an attachment's lease file.
pub(crate) fn content(Attachment { container_id, ifname }: &Attachment) -> String {
    format!("{container_id}\r\n{ifname}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(container: &str, ifname: &str) -> Attachment {
        Attachment {
            container_id: container.to_owned().try_into().unwrap(),
            ifname: ifname.parse().unwrap(),
        }
    }

    #[test]
    fn content_is_the_reference_plugins() {
        let (one, container) = (attachment("c1", "net3"), "c1".to_owned().try_into().unwrap());
        assert_eq!(content(&one), "c1\r\nnet3");
        for text in ["c1\r\nnet3", "c1\r\nnet3\n", "c1\nnet3"] {
            assert_eq!(Holder::parse(text), Holder::Attachment(one.clone()), "{text:?}");
        }
        assert_eq!(Holder::parse("c1\n"), Holder::Container(container));
        assert_eq!(Holder::parse(" \r\n"), Holder::Nobody);
    }

    #[test]
    fn other_content_is_foreign() {
        for text in [
            "precious, and no container",
            "<13>Nov 22 07:00:00 node app: started\n<13>Nov 22 07:00:01 node app\n",
            "c1\r\nnet/3",
            "c1\r\nnet3\r\nmore",
            "\u{fffd}",
        ] {
            assert_eq!(Holder::parse(text), Holder::Foreign, "{text:?}");
        }
    }

    #[test]
    fn a_lease_is_of_its_interface_or_of_its_container() {
        let valid = BTreeSet::from([attachment("c1", "net1")]);
        for holder in ["c1\r\nnet1", "c1"] {
            assert!(Holder::parse(holder).is_one_of(&valid), "{holder:?}");
        }
        for holder in ["c1\r\nnet2", "c2\r\nnet1", "c2", "", "no lease"] {
            assert!(!Holder::parse(holder).is_one_of(&valid), "{holder:?}");
        }
    }
}
