//! Addresses and routes of a link: listed, added, removed; duplicate address detection awaited.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::io::Errno;

use super::Kernel;
use crate::netlink::{self, NLM_F_CREATE, NLM_F_EXCL};
use crate::{
    AddressState, Dad, DadOutcome, Error, JoinedRoute, LinkRef, LinkSysctl, Result, Route, Step,
};

/// The smallest MTU of a link that carries IPv6, in bytes (RFC 8200, section 5).
const IPV6_MIN_MTU: u32 = 1280;

/// How often addresses are looked at that are tentative.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

impl Kernel {
    /// Returns the addresses of a link, link-local ones included.
    pub fn addresses(&mut self, at: &LinkRef) -> Result<Vec<IpNet>> {
        let states = self.address_states(at)?;
        Ok(states.into_iter().map(|(address, _)| address).collect())
    }

    /// Returns the addresses of a link with the state of each, link-local ones included.
    pub fn address_states(&mut self, at: &LinkRef) -> Result<Vec<(IpNet, AddressState)>> {
        self.handle(at.netns)?.addresses(&at.name)
    }

    /// Returns the routes that leave through a link, from every table but `local`. IPv6 routes show
    /// the metric that the kernel gave them, 1024 where none was wanted.
    pub fn routes(&mut self, at: &LinkRef) -> Result<Vec<Route>> {
        self.handle(at.netns)?.routes(&at.name)
    }

    /// Returns the IPv6 routes through a link that the kernel has joined with routes through others: of one
    /// destination and metric it makes one route, and sends each flow through one of its links.
    pub fn joined_routes(&mut self, at: &LinkRef) -> Result<Vec<JoinedRoute>> {
        let mut joined = Vec::new();
        for (route, indices) in self.handle(at.netns)?.joined_routes(&at.name)? {
            let mut others = Vec::new();
            for index in indices {
                others.extend(self.link_by_index(at.netns, index)?.map(|link| link.name));
            }
            joined.push(JoinedRoute { route, others });
        }
        Ok(joined)
    }

    /// Waits until none of these addresses of a link is tentative, for at most `timeout`. An address that
    /// another host has is an error.
    pub fn wait_for_dad(
        &mut self,
        at: &LinkRef,
        wanted: &[IpNet],
        timeout: Duration,
    ) -> Result<DadOutcome> {
        let end = Instant::now() + timeout;
        loop {
            let mut states = self.address_states(at)?;
            states.retain(|(address, _)| wanted.contains(address));
            if let Some(address) = first_in(AddressState::Duplicate, &states) {
                return Err(Error::DuplicateAddress { address, at: at.clone() });
            }
            if first_in(AddressState::Tentative, &states).is_none() {
                return Ok(DadOutcome::Usable);
            }
            if Instant::now() >= end {
                return Ok(DadOutcome::Tentative);
            }
            sleep(POLL_INTERVAL);
        }
    }

    pub(super) fn add_address(
        &mut self,
        step: &Step,
        at: &LinkRef,
        address: IpNet,
        dad: Dad,
    ) -> Result<()> {
        let handle = self.handle(at.netns)?;
        let message = netlink::new_address(handle.index(&at.name)?, address, dad);
        if address.addr().is_ipv6() {
            // As the reference plugins do: some runtimes switch IPv6 off for a whole pod, and an address
            // that IPAM gave is a wish to have it; and it stays when somebody brings the link down. What
            // cannot be written is shown by the kernel's refusal of the address.
            handle.try_sysctls(&[
                ("lo", LinkSysctl::DisableIpv6, false),
                (at.name.as_str(), LinkSysctl::DisableIpv6, false),
                (at.name.as_str(), LinkSysctl::KeepAddrOnDown, true),
            ]);
        }
        handle.change(step, &at.name, &message, NLM_F_CREATE | NLM_F_EXCL).map_err(|error| {
            let is_ipv6 = address.addr().is_ipv6();
            match handle.must_have(&at.name) {
                Ok(link) if is_ipv6 && link.mtu < IPV6_MIN_MTU => {
                    Error::MtuBelowIpv6 { action: step.to_string(), at: at.clone(), mtu: link.mtu }
                }
                _ => error,
            }
        })
    }

    pub(super) fn add_route(&mut self, step: &Step, at: &LinkRef, route: &Route) -> Result<()> {
        let handle = self.handle(at.netns)?;
        let message = netlink::new_route(handle.index(&at.name)?, route);
        // Without NLM_F_EXCL and NLM_F_APPEND, as the reference plugins do: it takes precedence over an
        // IPv4 route to the same destination with the same metric. An IPv6 route is joined with it into
        // one route with several next hops.
        let added = handle.change(step, &at.name, &message, NLM_F_CREATE);
        added.or_else(|error| match (error.errno(), route.gateway) {
            // The very same is there: the kernel made it with an address, or a router advertised
            // it.
            (Some(Errno::EXIST), _) => {
                let shown = handle.routes(&at.name)?;
                let mut mismatches = shown.iter().filter_map(|shown| route.mismatches(shown));
                if mismatches.any(|fields| fields.is_empty()) { Ok(()) } else { Err(error) }
            }
            (Some(Errno::NETUNREACH | Errno::HOSTUNREACH), Some(gateway)) => {
                Err(Error::GatewayUnreachable { action: step.to_string(), gateway })
            }
            _ => Err(error),
        })
    }
}

fn first_in(state: AddressState, states: &[(IpNet, AddressState)]) -> Option<IpNet> {
    states.iter().find(|(_, is)| *is == state).map(|(address, _)| *address)
}
