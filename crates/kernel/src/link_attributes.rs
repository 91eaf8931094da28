//! What else can be set of a link: flags, the length of its queue, alias, group.

use std::collections::BTreeSet;
use std::fmt;

use podbond_names::OneLine;
use serde::{Deserialize, Serialize};

/// A flag that `ip link set` turns on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkFlag {
    /// `IFF_PROMISC` as somebody has set it; a bond or bridge that needs it does not show here.
    Promisc,
    /// `IFF_ALLMULTI`, likewise.
    Allmulticast,
    /// That `IFF_NOARP` is not set.
    Arp,
    /// `IFF_MULTICAST`
    Multicast,
}

impl LinkFlag {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Promisc, Self::Allmulticast, Self::Arp, Self::Multicast];

    fn name(self) -> &'static str {
        match self {
            Self::Promisc => "promisc",
            Self::Allmulticast => "allmulticast",
            Self::Arp => "arp",
            Self::Multicast => "multicast",
        }
    }
}

/// What `ip link set` changes of a link beside its name, state, MTU and address, and a link keeps when it is
/// moved to another namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAttributes {
    /// Those of [`LinkFlag::ALL`] that are on.
    pub flags: BTreeSet<LinkFlag>,
    /// `IFLA_TXQLEN`, in packets.
    pub queue_length: u32,
    /// `IFLA_IFALIAS`; empty where there is none.
    pub alias: String,
    /// `IFLA_GROUP`
    pub group: u32,
}

impl Default for LinkAttributes {
    /// Returns those of a new Ethernet link.
    fn default() -> Self {
        Self {
            flags: [LinkFlag::Arp, LinkFlag::Multicast].into(),
            queue_length: 1000,
            alias: String::new(),
            group: 0,
        }
    }
}

impl LinkAttributes {
    /// Returns in words, as `ip link set` has them, what these have that others have not.
    pub(crate) fn differing_from(&self, other: &Self) -> String {
        let state = |flag| if self.flags.contains(flag) { "on" } else { "off" };
        let differing = self.flags.symmetric_difference(&other.flags);
        let mut words: Vec<String> =
            differing.map(|flag| format!("{} {}", flag.name(), state(flag))).collect();
        if self.queue_length != other.queue_length {
            words.push(format!("txqueuelen {}", self.queue_length));
        }
        if self.alias != other.alias {
            words.push(format!("alias \"{}\"", OneLine(&self.alias)));
        }
        if self.group != other.group {
            words.push(format!("group {}", self.group));
        }
        words.join(", ")
    }
}

/// What a [`Step`](crate::Step) changes, as the end of a sentence.
pub(crate) struct Changed<'t>(pub(crate) &'t LinkAttributes, pub(crate) &'t LinkAttributes);

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(from, to) = self;
        write!(f, "{} (was {})", to.differing_from(from), from.differing_from(to))
    }
}
