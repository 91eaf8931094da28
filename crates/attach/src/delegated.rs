//! A chain that a configuration spells out, without any NAD.

use podbond_api::ObjectKey;
use podbond_names::LinkName;
use serde_json::Value;

use crate::chain::fixed_name;
use crate::nad::Network;
use crate::ports::leave_ports_down;
use crate::{Attachment, Chain, DeviceRequest, Error};

impl Chain {
    /// The chain of a meta-plugin's `delegates`, as Multus has it where it asks no cluster: the first
    /// network is the sandbox's `ifname`, and those that follow are net1, net2, … in their order.
    /// Their devices are chosen already.
    pub fn delegated(
        pod: &ObjectKey,
        delegates: &[Value],
        ifname: &LinkName,
    ) -> Result<Self, Error> {
        let one = |(position, delegate): (usize, &Value)| {
            let wrong = |reason| Error::Delegate { position, reason };
            let network = Network::parse(&delegate.to_string(), None).map_err(wrong)?;
            let configs = network.configs().map_err(wrong)?;
            let ifname = match position {
                0 => ifname.clone(),
                _ => fixed_name(&format!("net{position}")).map_err(|reason| Error::Networks {
                    pod: pod.clone(),
                    reason: reason.into(),
                })?,
            };
            Ok(Attachment::of_configs(network.name, ifname, DeviceRequest::None, configs))
        };
        let mut attachments =
            delegates.iter().enumerate().map(one).collect::<Result<Vec<_>, Error>>()?;
        if let Some(taken) = attachments.iter().skip(1).find(|other| other.ifname == *ifname) {
            return Err(Error::DelegateIfname { ifname: taken.ifname.clone() });
        }
        leave_ports_down(&mut attachments);
        Ok(Self { pod: pod.clone(), attachments })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(delegates: &Value, ifname: &str) -> Result<Chain, String> {
        let pod = ObjectKey::new("demo", "bondpod1").unwrap();
        let delegates = delegates.as_array().unwrap();
        Chain::delegated(&pod, delegates, &ifname.parse().unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_delegate_is_the_sandboxs_and_the_others_are_numbered() {
        let one = |name: &str| json!({"type": "sriov", "cniVersion": "1.0.0", "name": name});
        let list = json!({"name": "c", "plugins": [{"type": "bond"}, {"type": "tuning"}]});
        let chain = chain(&json!([one("a"), one("b"), list]), "eth0").unwrap();
        let names: Vec<&str> = chain.attachments.iter().map(|a| a.ifname.as_str()).collect();
        assert_eq!(names, ["eth0", "net1", "net2"]);
        assert_eq!(chain.attachments[2].network, "c");
        assert_eq!(chain.attachments[2].configs(None).len(), 2);
    }

    #[test]
    fn a_wrong_delegate_is_named_by_its_place() {
        let good = json!({"type": "bond", "name": "a"});
        let message = chain(&json!([good, {"type": "bond"}]), "eth0").unwrap_err();
        assert!(message.starts_with("delegates[1] is invalid: the network"), "{message}");
        let message = chain(&json!([good, good]), "net1").unwrap_err();
        assert!(message.contains("net1 is the interface of delegates[0]"), "{message}");
    }
}
