//! Duplicate address detection (DAD) of IPv6 addresses, and announcements of new addresses.

use std::time::Duration;

use ipnet::IpNet;
use podbond_cni::{CniResult, Command, Failure, NetConf};
use podbond_kernel::{Dad, DadOutcome, Kernel, Link, LinkRef};
use serde::Deserialize;

use crate::configure::addresses;
use crate::{Ipam, failure};

/// How long [`Ipam::settle`] waits for detection, as the CNI library does. It takes two seconds at most with
/// the kernel's default settings, once the link has carrier.
const DAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long [`Ipam::settle`] waits after that for the link's carrier, to announce the addresses.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_millis(200);

/// Returns whether the kernel looks for duplicates of IPv6 addresses: unless the configuration's key `ipv6Dad`
/// is false.
pub(crate) fn dad(config: &NetConf) -> Result<Dad, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keys {
        ipv6_dad: Option<bool>,
    }
    let keys: Keys = config.keys()?;
    Ok(if keys.ipv6_dad == Some(false) { Dad::Off } else { Dad::On })
}

impl Ipam<'_> {
    /// Makes the addresses of a lease known and returns the pod's link as it is then: a bond may take another
    /// port's address while it waits for its carrier.
    ///
    /// Detection of duplicates is waited for first. Then neighbours are told once the link has carrier,
    /// waiting 200 ms at most; a failure of that is ignored, since they learn the addresses without it, later.
    pub fn settle(
        &self,
        kernel: &mut Kernel,
        lease: Option<&CniResult>,
    ) -> Result<Option<Link>, Failure> {
        let at = LinkRef::pod(self.request.ifname.clone());
        if let Some(lease) = lease {
            let addresses = addresses(lease);
            if dad(&self.request.config)? == Dad::On && has_ipv6_gateway(lease) {
                self.wait_for_dad(kernel, &at, &addresses)?;
            }
            let _ = kernel.announce(&at, &addresses, ANNOUNCE_TIMEOUT);
        }
        kernel.link(&at).map_err(|error| failure(&self.request.config.name, &error))
    }

    /// Waits 5 s at most until no address is tentative; a duplicate is a failure. A link without carrier gets a
    /// warning: a pod starts without its network too, and the kernel looks for duplicates once there is one.
    fn wait_for_dad(
        &self,
        kernel: &mut Kernel,
        at: &LinkRef,
        addresses: &[IpNet],
    ) -> Result<(), Failure> {
        let outcome = kernel.wait_for_dad(at, addresses, DAD_TIMEOUT);
        let outcome = outcome.map_err(|error| failure(&self.request.config.name, &error))?;
        if outcome == DadOutcome::Tentative {
            let waiting = format_args!(
                "the IPv6 addresses of {} are tentative after {} s: duplicates of them are looked for once it \
                 has carrier, and CHECK reports one (\"ipv6Dad\": false looks for none)",
                at.name,
                DAD_TIMEOUT.as_secs()
            );
            self.delegates.warn(Command::Add, self.request, "warning", &waiting);
        }
        Ok(())
    }
}

/// Returns true where the CNI library waits for the addresses as well: without a gateway nothing leaves the
/// subnet by them yet.
fn has_ipv6_gateway(lease: &CniResult) -> bool {
    lease.ips.iter().any(|ip| ip.gateway.is_some_and(|gateway| gateway.is_ipv6()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ipv6_dad_is_a_boolean() {
        let of = |value: serde_json::Value| {
            let config = json!({"type": "bond", "name": "n", "ipv6Dad": value});
            dad(&NetConf::from_map(config.as_object().unwrap().clone()).unwrap())
        };
        assert_eq!(of(json!(true)), Ok(Dad::On));
        assert_eq!(of(json!(false)), Ok(Dad::Off));
        assert_eq!(of(json!(null)), Ok(Dad::On));
        let failure = of(json!("yes")).unwrap_err();
        assert!(failure.msg.contains("network \"n\": field ipv6Dad"), "{failure}");
    }
}
