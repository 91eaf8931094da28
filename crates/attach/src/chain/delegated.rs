//! A chain from a meta-plugin's own configuration (`delegates`), without any NetworkAttachmentDefinition.

use podbond_cni::{Args, Request};
use podbond_names::LinkName;
use serde_json::Value;

use super::attachment::{Attachment, Chain, Place, interface_name};
use super::default_network::NodeNetwork;
use super::nad::Network;
use super::ports::keep_bond_ports_down;
use crate::cni_args::POD_ARGS;
use crate::error::Error;

/// The keys of `CNI_ARGS` that ask for something of one interface.
const INTERFACE_ARGS: [&str; 3] = ["IP", "MAC", "GATEWAY"];

impl Chain {
    /// Returns the chain of a meta-plugin's `delegates`, as Multus has it without a cluster: the first
    /// network is that of the sandbox's `ifname`, those that follow are net1, net2, … in order. Their
    /// devices are named in their configurations.
    pub fn delegated(delegates: &[Value], ifname: &LinkName) -> Result<Self, Error> {
        let mut attachments = Vec::new();
        for (position, network) in NodeNetwork::delegates(delegates)?.iter().enumerate() {
            let interface = match position {
                0 => ifname.clone(),
                _ => interface_name(&format!("net{position}"))?,
            };
            if position > 0 && interface == *ifname {
                return Err(Error::DelegateIfname { ifname: interface });
            }
            let place = if position == 0 { Place::Default } else { Place::Secondary };
            let wrong = |reason| Error::Delegate { position, reason };
            let attachment =
                Attachment::of_network(&network.network, interface, place).map_err(wrong)?;
            attachments.push(attachment);
        }
        keep_bond_ports_down(&mut attachments);
        Ok(Self { attachments })
    }

    /// Returns the chain with what a runtime asks of the meta-plugin. The first network gets
    /// `runtimeConfig`, each plugin what it declares a capability for, and `args.cni`. `CNI_ARGS` go to
    /// all networks, but for those that can only be one interface's, which go to the first one.
    pub fn pass_on(mut self, request: &Request) -> Result<Self, Error> {
        for (position, attachment) in self.attachments.iter_mut().enumerate() {
            if position == 0 {
                let plugins = attachment.configs.iter().map(|config| config.raw.clone()).collect();
                let (name, gc) = (attachment.network.clone(), attachment.gc);
                let mut network = Network { name, gc, plugins };
                attachment.configs = network
                    .pass_on(&request.config.raw)
                    .and_then(|()| network.configs())
                    .map_err(|reason| Error::Delegate { position, reason })?;
            }
            attachment.args = args_for(attachment.place, &request.args);
        }
        Ok(self)
    }
}

impl NodeNetwork {
    /// Returns the networks of a meta-plugin's `delegates`.
    pub fn delegates(delegates: &[Value]) -> Result<Vec<Self>, Error> {
        let networks = delegates.iter().enumerate().map(|(position, delegate)| {
            let network = Self::parse(&delegate.to_string());
            network.map_err(|reason| Error::Delegate { position, reason })
        });
        networks.collect()
    }
}

/// Returns what of the meta-plugin's `CNI_ARGS` goes to a network, beside what names the pod.
pub(super) fn args_for(place: Place, args: &Args) -> Args {
    let mut args = args.0.clone();
    args.retain(|key, _| !POD_ARGS.contains(&key.as_str()));
    if place == Place::Secondary {
        args.retain(|key, _| !INTERFACE_ARGS.contains(&key.as_str()));
    }
    Args(args)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(delegates: &Value, ifname: &str) -> Result<Chain, String> {
        let delegates = delegates.as_array().unwrap();
        Chain::delegated(delegates, &ifname.parse().unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn delegates_are_named_in_order() {
        let one = |name: &str| json!({"type": "sriov", "cniVersion": "1.0.0", "name": name});
        let list = json!({"name": "c", "plugins": [{"type": "bond"}, {"type": "tuning"}]});
        let chain = chain(&json!([one("a"), one("b"), list]), "eth0").unwrap();
        let names: Vec<&str> = chain.attachments.iter().map(|a| a.ifname.as_str()).collect();
        assert_eq!(names, ["eth0", "net1", "net2"]);
        assert_eq!(chain.attachments[2].network, "c");
        assert_eq!(chain.attachments[2].configs(None).len(), 2);
    }

    fn request(config: &Value, args: &[(&str, &str)]) -> Request {
        let args = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Request {
            container_id: "c1".to_owned().try_into().unwrap(),
            netns: None,
            ifname: "eth0".parse().unwrap(),
            args: Args(args.collect()),
            path: Vec::new(),
            config: podbond_cni::NetConf::parse(config.to_string().as_bytes()).unwrap(),
        }
    }

    #[test]
    fn first_network_gets_what_the_runtime_asks_for() {
        let list = json!({"name": "a", "plugins": [
            {"type": "bond", "capabilities": {"mac": true}, "args": {"cni": {"x": 1, "y": 1}}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ]});
        let other = json!({"name": "b", "type": "bond", "capabilities": {"mac": true}});
        let mac = "02:00:00:00:00:07";
        let ports = json!([{"hostPort": 80, "containerPort": 8080}]);
        let request = request(
            &json!({
                "name": "all", "type": "podbond", "args": {"cni": {"x": 2}},
                "runtimeConfig": {"mac": mac, "portMappings": ports, "dns": {"servers": []}},
            }),
            &[("K8S_POD_NAME", "p"), ("IP", "10.0.0.7"), ("TENANT", "t")],
        );
        let chain = chain(&json!([list, other]), "eth0").unwrap().pass_on(&request).unwrap();
        let configs: Vec<_> = chain.attachments.iter().flat_map(|it| it.configs(None)).collect();
        assert_eq!(configs[0].runtime.mac, Some(mac.parse().unwrap()));
        let given: Vec<_> = configs.iter().map(|config| config.raw.get("runtimeConfig")).collect();
        let expected = [json!({"mac": mac}), json!({"portMappings": ports})];
        assert_eq!(given, [Some(&expected[0]), Some(&expected[1]), None]);
        let cni: Vec<_> = configs.iter().map(|config| config.raw.get("args")).collect();
        let expected = [json!({"cni": {"x": 2, "y": 1}}), json!({"cni": {"x": 2}})];
        assert_eq!(cni, [Some(&expected[0]), Some(&expected[1]), None]);
        let args: Vec<_> = chain.attachments.iter().map(|it| it.args.to_string()).collect();
        assert_eq!(args, ["IP=10.0.0.7;TENANT=t", "TENANT=t"]);
    }

    #[test]
    fn malformed_delegate_is_named_by_position() {
        let good = json!({"type": "bond", "name": "a"});
        let message = chain(&json!([good, {"type": "bond"}]), "eth0").unwrap_err();
        assert!(message.starts_with("delegates[1] is invalid: the network"), "{message}");
        let message = chain(&json!([good, good]), "net1").unwrap_err();
        assert!(message.contains("net1 is the interface of delegates[0]"), "{message}");
    }
}
