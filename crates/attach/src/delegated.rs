//! A chain that a configuration spells out, without any NAD.

use podbond_api::ObjectKey;
use podbond_cni::{Args, Request};
use podbond_names::LinkName;
use serde_json::Value;

use crate::attacher::OF_POD;
use crate::chain::fixed_name;
use crate::nad::Network;
use crate::ports::leave_ports_down;
use crate::{Attachment, Chain, DeviceRequest, Error};

/// The keys of `CNI_ARGS` that ask for something of one interface.
const OF_INTERFACE: [&str; 3] = ["IP", "MAC", "GATEWAY"];

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

    /// Passes on what a runtime asks a meta-plugin for beside these networks. The first is its own: it is
    /// given `runtimeConfig`, each plugin what it declares a capability for, and `args.cni`. `CNI_ARGS`
    /// are for all networks, but for what can only be one interface's, which is the first one's.
    pub fn pass_on(mut self, request: &Request) -> Result<Self, Error> {
        for (position, attachment) in self.attachments.iter_mut().enumerate() {
            let mut args = request.args.0.clone();
            args.retain(|key, _| !OF_POD.contains(&key.as_str()));
            if position == 0 {
                let wrong = |reason| Error::Delegate { position, reason };
                let plugins = attachment.configs.iter().map(|config| config.raw.clone()).collect();
                let mut network = Network { name: attachment.network.clone(), plugins };
                network.pass_on(&request.config.raw).map_err(wrong)?;
                attachment.configs = network.configs().map_err(wrong)?;
            } else {
                args.retain(|key, _| !OF_INTERFACE.contains(&key.as_str()));
            }
            attachment.args = Args(args);
        }
        Ok(self)
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

    fn asked(config: &Value, args: &[(&str, &str)]) -> Request {
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
    fn the_first_network_is_given_what_the_runtime_asks_for_and_its_plugins_declare() {
        let list = json!({"name": "a", "plugins": [
            {"type": "bond", "capabilities": {"mac": true}, "args": {"cni": {"x": 1, "y": 1}}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ]});
        let other = json!({"name": "b", "type": "bond", "capabilities": {"mac": true}});
        let mac = "02:00:00:00:00:07";
        let ports = json!([{"hostPort": 80, "containerPort": 8080}]);
        let request = asked(
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
    fn a_wrong_delegate_is_named_by_its_place() {
        let good = json!({"type": "bond", "name": "a"});
        let message = chain(&json!([good, {"type": "bond"}]), "eth0").unwrap_err();
        assert!(message.starts_with("delegates[1] is invalid: the network"), "{message}");
        let message = chain(&json!([good, good]), "net1").unwrap_err();
        assert!(message.contains("net1 is the interface of delegates[0]"), "{message}");
    }
}
