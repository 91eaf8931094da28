use std::time::Duration;

use podbond_cni::{CniResult, Command, Failure, NetConf};
use podbond_kernel::{Dad, DadOutcome, Kernel, LinkRef};
use podbond_names::LinkName;
use serde::Deserialize;

use crate::meaning::addresses;
use crate::{Ipam, failure};

/// How long [`Ipam::settle`] waits once the link has carrier, and for the carrier before. Detection takes
/// two seconds at most with the kernel's own settings.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// How long [`announce`] waits for the link's carrier.
const ANNOUNCE_PATIENCE: Duration = Duration::from_millis(200);

/// Whether the configuration asks for duplicate address detection: its key `ipv6Dad`.
///
/// IPAM has given an address to this pod alone, and the pod shall be able to use it as soon as its
/// ADD is over: without the key there is none.
pub fn dad(config: &NetConf) -> Result<Dad, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keys {
        ipv6_dad: Option<bool>,
    }
    let keys: Keys = config.keys()?;
    Ok(if keys.ipv6_dad == Some(true) { Dad::On } else { Dad::Off })
}

impl Ipam<'_> {
    /// Waits until the addresses of a result can be used, where the configuration asks for duplicate
    /// address detection; a duplicate is a failure. A link without carrier for 10 s is told of in a
    /// warning and not waited for: a pod starts without its network's being there, too, and the
    /// kernel looks for duplicates once it is.
    pub fn settle(&self, kernel: &mut Kernel, result: &CniResult) -> Result<(), Failure> {
        let (config, ifname) = (&self.request.config, &self.request.ifname);
        if dad(config)? == Dad::Off {
            return Ok(());
        }
        let at = LinkRef::pod(ifname.clone());
        let settled = kernel.wait_for_dad(&at, &addresses(result), SETTLE_PATIENCE);
        if settled.map_err(|error| failure(&config.name, &error))? == DadOutcome::NoCarrier {
            let waiting = format_args!(
                "ipv6Dad: {ifname} has had no carrier for {} s, so that duplicates of its addresses \
                 are looked for when it gets one",
                SETTLE_PATIENCE.as_secs()
            );
            self.delegates.warn(Command::Add, self.request, "warning", &waiting);
        }
        Ok(())
    }
}

/// Tells the neighbours of a result's addresses once the link has carrier, waiting 200 ms at most.
/// Its failure is none of the ADD's: neighbours learn of the addresses in time anyway.
pub fn announce(kernel: &mut Kernel, ifname: &LinkName, result: &CniResult) {
    let at = LinkRef::pod(ifname.clone());
    let _ = kernel.announce(&at, &addresses(result), ANNOUNCE_PATIENCE);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn detection_is_asked_for_by_a_boolean() {
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
