//! Duplicate address detection (DAD) of IPv6 addresses, and announcements of new addresses.

use std::time::Duration;

use ipnet::IpNet;
use podbond_cni::{CniResult, Command, Failure, NetConf};
use podbond_kernel::{Dad, DadOutcome, Kernel, Link, LinkRef};
use serde::Deserialize;

use crate::configure::addresses;
use crate::{Ipam, failure};

/// How long [`Ipam::settle`] waits for carrier, and for detection after that. Detection takes two seconds at
/// most with the kernel's default settings.
const DAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long [`Ipam::settle`] waits after that for the link's carrier, to announce the addresses.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_millis(200);

/// Returns whether the configuration asks for duplicate address detection by its key `ipv6Dad`. Off without
/// it: an IPAM plugin leases an address to one pod alone, which shall be able to use it at once.
pub(crate) fn dad(config: &NetConf) -> Result<Dad, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keys {
        ipv6_dad: Option<bool>,
    }
    let keys: Keys = config.keys()?;
    Ok(if keys.ipv6_dad == Some(true) { Dad::On } else { Dad::Off })
}

impl Ipam<'_> {
    /// Makes the addresses of a lease known and returns the pod's link as it is then: a bond may take another
    /// port's address while it waits for its carrier.
    ///
    /// Duplicates are waited for first. Then neighbours are told once the link has carrier, waiting 200 ms at
    /// most; a failure of that is ignored, since they learn the addresses without it, later.
    pub fn settle(
        &self,
        kernel: &mut Kernel,
        lease: Option<&CniResult>,
    ) -> Result<Option<Link>, Failure> {
        let at = LinkRef::pod(self.request.ifname.clone());
        if let Some(lease) = lease {
            let addresses = addresses(lease);
            self.wait_for_dad(kernel, &at, &addresses)?;
            let _ = kernel.announce(&at, &addresses, ANNOUNCE_TIMEOUT);
        }
        kernel.link(&at).map_err(|error| failure(&self.request.config.name, &error))
    }

    /// Waits for duplicate address detection, where the configuration asks for it; a duplicate is a failure.
    /// A link without carrier for 10 s gets a warning: a pod starts without its network too, and the kernel
    /// looks for duplicates once the link has carrier.
    fn wait_for_dad(
        &self,
        kernel: &mut Kernel,
        at: &LinkRef,
        addresses: &[IpNet],
    ) -> Result<(), Failure> {
        let (config, ifname) = (&self.request.config, &self.request.ifname);
        if dad(config)? == Dad::Off {
            return Ok(());
        }
        let settled = kernel.wait_for_dad(at, addresses, DAD_TIMEOUT);
        if settled.map_err(|error| failure(&config.name, &error))? == DadOutcome::NoCarrier {
            let waiting = format_args!(
                "ipv6Dad: {ifname} has had no carrier for {} s, so that duplicates of its addresses \
                 are looked for when it gets one",
                DAD_TIMEOUT.as_secs()
            );
            self.delegates.warn(Command::Add, self.request, "warning", &waiting);
        }
        Ok(())
    }
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
        assert_eq!(of(json!(null)), Ok(Dad::Off));
        let failure = of(json!("yes")).unwrap_err();
        assert!(failure.msg.contains("network \"n\": field ipv6Dad"), "{failure}");
    }
}
