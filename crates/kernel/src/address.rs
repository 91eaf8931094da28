use std::thread::sleep;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::netlink::{self, NLM_F_CREATE, NLM_F_EXCL};
use crate::sysfs::write;
use crate::{At, Error, Kernel, Result, Step, netns};

/// How often addresses are looked at that are not settled.
const PAUSE: Duration = Duration::from_millis(50);

/// Duplicate address detection (RFC 4862, section 5.4): whether the kernel asks the network if it
/// knows an IPv6 address already, before it uses it. It takes a second or two. IPv4 has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dad {
    /// `IFA_F_NODAD`: the address is usable at once.
    #[default]
    Off,
    /// The address is tentative until nobody has answered.
    On,
}

impl Dad {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(crate) fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// How far duplicate address detection has come with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressState {
    /// It can be used.
    Usable,
    /// `IFA_F_TENTATIVE`: it is being looked for, or will be once the link has carrier.
    Tentative,
    /// `IFA_F_DADFAILED`: another host has it, and it is not used here.
    Duplicate,
}

/// How [`Kernel::settle`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// All addresses can be used.
    Usable,
    /// The link has no carrier, so that the network cannot be asked. The kernel does it as soon as
    /// there is one.
    NoCarrier,
}

impl Kernel {
    /// The addresses of a link with the state of each, link-local ones included.
    pub fn address_states(&mut self, at: &At) -> Result<Vec<(IpNet, AddressState)>> {
        self.side(at.netns)?.addresses(&at.name)
    }

    /// Waits until none of these addresses of a link is tentative, at most `patience` from when the
    /// link has carrier. One that another host has is an error.
    pub fn settle(&mut self, at: &At, wanted: &[IpNet], patience: Duration) -> Result<Settled> {
        let mut carrier = false;
        let mut end = Instant::now() + patience;
        loop {
            if !carrier && self.side(at.netns)?.must_have(&at.name)?.carrier {
                carrier = true;
                end = Instant::now() + patience;
            }
            let states = self.address_states(at)?;
            let first = |state| {
                let is = |of: &&(IpNet, AddressState)| wanted.contains(&of.0) && of.1 == state;
                states.iter().find(is).map(|(address, _)| *address)
            };
            if let Some(address) = first(AddressState::Duplicate) {
                return Err(Error::DuplicateAddress { address, at: at.clone() });
            }
            let Some(address) = first(AddressState::Tentative) else {
                return Ok(Settled::Usable);
            };
            if Instant::now() >= end {
                let tentative = Error::TentativeAddress { address, at: at.clone(), patience };
                return if carrier { Err(tentative) } else { Ok(Settled::NoCarrier) };
            }
            sleep(PAUSE);
        }
    }

    pub(crate) fn add_address(
        &mut self,
        step: &Step,
        at: &At,
        address: IpNet,
        dad: Dad,
    ) -> Result<()> {
        let side = self.side(at.netns)?;
        let message = netlink::new_address(side.index(&at.name)?, address, dad);
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        match side.change(step, &at.name, &message, flags) {
            // IPv6 is switched off for the link, as some runtimes do for a whole pod. An address
            // that IPAM gave is a wish to have it, so it is switched on, as the reference plugins
            // do.
            Err(error) if error.errno() == Some(Errno::ACCESS) && address.addr().is_ipv6() => {
                let name = at.name.clone();
                let switched = netns::within(side.namespace(), move || {
                    let switch = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
                    write(switch.into(), "0")
                });
                // The kernel's refusal says more than that there is no such switch.
                if matches!(switched, Ok(Ok(()))) {
                    side.change(step, &at.name, &message, flags)
                } else {
                    Err(error)
                }
            }
            result => result,
        }
    }
}
