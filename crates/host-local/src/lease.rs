use std::fmt;
use std::net::IpAddr;

use podbond_cni::{Attachment, ContainerId};
use podbond_names::LinkName;

/// One lease: a file, named after the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) address: IpAddr,
    pub(crate) holder: Holder,
}

/// Who holds an address, as the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// An interface of a container.
    Interface { container: String, ifname: String },
    /// A container, by a version of the reference plugin that wrote no interface.
    Container(String),
    /// Nobody: the file is empty. It is written under the lock, so whoever reads it under the lock
    /// knows that its writer died before it could give the address away.
    Nobody,
}

impl Holder {
    pub(crate) fn new(container: &ContainerId, ifname: &LinkName) -> Self {
        Self::Interface { container: container.to_string(), ifname: ifname.to_string() }
    }

    /// Reads the content of a lease file.
    pub(crate) fn parse(content: &str) -> Self {
        match content.trim().split_once('\n') {
            Some((container, ifname)) => Self::Interface {
                container: container.trim().to_owned(),
                ifname: ifname.trim().to_owned(),
            },
            None if content.trim().is_empty() => Self::Nobody,
            None => Self::Container(content.trim().to_owned()),
        }
    }

    /// Writes the content of a lease file.
    pub(crate) fn content(&self) -> String {
        match self {
            Self::Interface { container, ifname } => format!("{container}\r\n{ifname}"),
            Self::Container(container) => container.clone(),
            Self::Nobody => String::new(),
        }
    }

    /// Whether host-local, ours or the reference plugin's, has left this: a file of somebody else may
    /// be named like an address, too.
    pub(crate) fn is_of_a_lease(&self) -> bool {
        let is_id = |id: &str| ContainerId::try_from(id.to_owned()).is_ok();
        match self {
            Self::Interface { container, ifname } => {
                is_id(container) && ifname.parse::<LinkName>().is_ok()
            }
            Self::Container(container) => is_id(container),
            Self::Nobody => true,
        }
    }

    /// Whether it is one of these attachments.
    pub(crate) fn is_among<'a>(&self, valid: impl IntoIterator<Item = &'a Attachment>) -> bool {
        valid.into_iter().any(|attachment| match self {
            Self::Interface { container, ifname } => {
                container == attachment.container_id.as_str()
                    && ifname == attachment.ifname.as_str()
            }
            Self::Container(container) => container == attachment.container_id.as_str(),
            Self::Nobody => false,
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface { container, ifname } => write!(f, "{ifname} of container {container}"),
            Self::Container(container) => write!(f, "container {container}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// The leases that an interface of a container holds. Those of the container without an interface
/// count when there are no others, as for the reference plugin.
pub(crate) fn held_by<'l>(
    leases: &'l [Lease],
    container: &ContainerId,
    ifname: &LinkName,
) -> Vec<&'l Lease> {
    let of = |holder: Holder| leases.iter().filter(move |lease| lease.holder == holder);
    let held: Vec<&Lease> = of(Holder::new(container, ifname)).collect();
    if held.is_empty() { of(Holder::Container(container.to_string())).collect() } else { held }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(container: &str, ifname: &str) -> Holder {
        Holder::Interface { container: container.to_owned(), ifname: ifname.to_owned() }
    }

    #[test]
    fn the_reference_plugins_content_is_read_and_written() {
        assert_eq!(Holder::parse("c1\r\nnet3"), interface("c1", "net3"));
        assert_eq!(interface("c1", "net3").content(), "c1\r\nnet3");
        assert_eq!(Holder::parse("c1\r\nnet3\n"), interface("c1", "net3"));
        assert_eq!(Holder::parse("c1\n"), Holder::Container("c1".to_owned()));
        assert_eq!(Holder::parse(" \r\n"), Holder::Nobody);
    }

    #[test]
    fn leases_without_an_interface_count_when_there_are_no_others() {
        let lease =
            |address: &str, holder: Holder| Lease { address: address.parse().unwrap(), holder };
        let old = lease("10.0.0.2", Holder::Container("c1".to_owned()));
        let new = lease("10.0.0.3", interface("c1", "net1"));
        let other = lease("10.0.0.4", interface("c1", "net2"));
        let leases = [old.clone(), new.clone(), other];
        let c1 = ContainerId::try_from("c1".to_owned()).unwrap();
        assert_eq!(held_by(&leases, &c1, &"net1".parse().unwrap()), [&new]);
        assert_eq!(held_by(&leases, &c1, &"net9".parse().unwrap()), [&old]);
    }

    #[test]
    fn only_a_valid_attachment_keeps_its_lease() {
        let valid = [Attachment {
            container_id: "c1".to_owned().try_into().unwrap(),
            ifname: "net1".parse().unwrap(),
        }];
        assert!(interface("c1", "net1").is_among(&valid));
        assert!(Holder::Container("c1".to_owned()).is_among(&valid));
        for stale in [interface("c1", "net2"), interface("c2", "net1"), Holder::Nobody] {
            assert!(!stale.is_among(&valid), "{stale}");
        }
    }
}
