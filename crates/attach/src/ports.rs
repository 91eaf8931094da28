//! Links that a bond of the same pod takes as its ports.

use std::collections::BTreeSet;

use podbond_cni::NetConf;
use podbond_names::LinkName;
use serde_json::Value;

use crate::Attachment;

/// Has VFs that a later bond of the chain takes left down: a bond takes no link that is up, and opens
/// its ports itself. To open a VF, close it and open it again costs more than all else of an ADD.
///
/// Left as they are: one with addresses of its own, since routes need a link that is up, and one with
/// a plugin after its own, which may need that too; and those of a bond with a VLAN, which the card is
/// told of as soon as its port is open: igbvf of Linux 6.1 refuses it from a VF that was never open
/// before ("Reload the VF driver to resume operations"). Pure.
pub(crate) fn leave_ports_down(attachments: &mut [Attachment]) {
    let mut ports = BTreeSet::new();
    for attachment in attachments.iter_mut().rev() {
        ports.extend(attachment.configs.iter().flat_map(ports_in_pod));
        if let [config] = &mut attachment.configs[..]
            && ports.contains(&attachment.ifname)
            && config.plugin == "sriov"
            && config.ipam.is_none()
        {
            // What the network says itself goes before.
            config.raw.entry("adminState").or_insert_with(|| "down".into());
        }
    }
}

/// The links of the pod that a configuration makes a bond of.
fn ports_in_pod(config: &NetConf) -> Vec<LinkName> {
    let in_pod = config.raw.get("linksInContainer").is_some_and(|value| *value == true);
    let has_vlan = config.raw.contains_key("vlan");
    if config.plugin != "bond" || !in_pod || has_vlan {
        return Vec::new();
    }
    let links = config.raw.get("links").and_then(Value::as_array).into_iter().flatten();
    links.filter_map(|link| link.get("name")?.as_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use podbond_api::ObjectKey;
    use serde_json::json;

    use super::*;
    use crate::Chain;

    /// How the attachments of these networks are left, in their order.
    fn left(networks: &Value) -> Vec<Option<String>> {
        let pod = ObjectKey::new("demo", "bondpod1").unwrap();
        let networks = networks.as_array().unwrap();
        let chain = Chain::delegated(&pod, networks, &"eth0".parse().unwrap()).unwrap();
        let state = |attachment: &Attachment| {
            Some(attachment.configs[0].raw.get("adminState")?.as_str()?.to_owned())
        };
        chain.attachments.iter().map(state).collect()
    }

    fn vf() -> Value {
        json!({"type": "sriov", "name": "s"})
    }

    fn bond(in_pod: bool) -> Value {
        let links = json!([{"name": "net1"}, {"name": "net2"}]);
        json!({"type": "bond", "name": "b", "linksInContainer": in_pod, "links": links})
    }

    #[test]
    fn the_vfs_of_a_later_bond_are_left_down_and_no_others() {
        let down = Some("down".to_owned());
        let chain = json!([vf(), vf(), vf(), bond(true), vf()]);
        assert_eq!(left(&chain), [None, down.clone(), down, None, None]);
        assert_eq!(left(&json!([bond(true), vf(), vf()])), [None, None, None]);
        assert_eq!(left(&json!([vf(), vf(), vf(), bond(false)])), [None, None, None, None]);
    }

    #[test]
    fn what_needs_its_link_up_or_says_itself_how_it_is_left_stays_as_it_is() {
        let mut with_addresses = vf();
        with_addresses["ipam"] = json!({"type": "static"});
        let mut told = vf();
        told["adminState"] = "up".into();
        let list = json!({"name": "l", "plugins": [vf(), {"type": "tuning", "name": "t"}]});
        let up = Some("up".to_owned());
        assert_eq!(left(&json!([vf(), with_addresses, told, bond(true)])), [None, None, up, None]);
        assert_eq!(left(&json!([vf(), list, vf(), bond(true)]))[1], None);
        let mut tagged = bond(true);
        tagged["vlan"] = 100.into();
        assert_eq!(left(&json!([vf(), vf(), vf(), tagged])), [None, None, None, None]);
    }
}
