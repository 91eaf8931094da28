//! The two ends: network namespaces, and the addresses that they have.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic::resume_unwind;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Error;

/// One end of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Pod,
    Switch,
}

/// The name of the pod's namespace.
pub(crate) const POD: &str = "traffic";

/// The name of the switch's namespace.
pub(crate) const SWITCH: &str = "switch";

/// The bond's name in the pod.
pub(crate) const BOND: &str = "bond0";

impl Place {
    pub(crate) const BOTH: [Self; 2] = [Self::Pod, Self::Switch];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Pod => Self::Switch,
            Self::Switch => Self::Pod,
        }
    }

    /// Its place in [`Place::BOTH`].
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Pod => 0,
            Self::Switch => 1,
        }
    }

    fn netns(self) -> String {
        format!(
            "/run/netns/{}",
            match self {
                Self::Pod => POD,
                Self::Switch => SWITCH,
            }
        )
    }

    pub(crate) fn v4(self) -> Ipv4Addr {
        match self {
            Self::Pod => Ipv4Addr::new(10, 56, 217, 2),
            Self::Switch => Ipv4Addr::new(10, 56, 217, 1),
        }
    }

    pub(crate) fn v6(self) -> Ipv6Addr {
        let host = match self {
            Self::Pod => 2,
            Self::Switch => 1,
        };
        Ipv6Addr::new(0xfd00, 0x56, 0, 0, 0, 0, 0, host)
    }

    pub(crate) fn address(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4().into(),
            Family::V6 => self.v6().into(),
        }
    }

    /// Does something in the namespace, in a thread of its own. A socket that is made there, or a
    /// command that is started there, stays in the namespace.
    pub(crate) fn enter<T: Send>(
        self,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let path = self.netns();
        let entered = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let failed = || Error::io(format!("enter {path}"));
                let netns = File::open(&path).map_err(failed())?;
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&netns),
                    Some(LinkNameSpaceType::Network),
                )
                .map_err(|errno| failed()(errno.into()))?;
                work()
            });
            thread.join()
        });
        entered.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The length of the IP header without options, in bytes.
    pub(crate) fn header(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }
}
