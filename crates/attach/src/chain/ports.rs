//! VFs that a later bond of the same pod takes as its ports: their links stay down until then.

use std::collections::BTreeSet;

use podbond_cni::{NetConf, field};
use podbond_names::LinkName;
use serde_json::Value;

use super::attachment::Attachment;

/// Sets `adminState` to down for VFs that a later bond of the chain takes: a bond takes no link that is
/// up, and brings its ports up itself. Bringing a VF up, down and up again takes longer than all else of
/// an ADD.
///
/// Not for a VF with IPAM of its own, since routes need a link that is up; nor for one with a plugin after
/// `sriov` in its list, which may need that too; nor for the ports of a bond with a VLAN, which a bond
/// passes on to a port as soon as that is up: igbvf of Linux 6.1 refuses a VLAN on a VF that was never up
/// ("Reload the VF driver to resume operations").
pub(crate) fn keep_bond_ports_down(attachments: &mut [Attachment]) {
    let mut ports = BTreeSet::new();
    for attachment in attachments.iter_mut().rev() {
        ports.extend(attachment.configs.iter().flat_map(ports_in_pod));
        if let [config] = &mut attachment.configs[..]
            && ports.contains(&attachment.ifname)
            && config.plugin == "sriov"
            && config.ipam.is_none()
        {
            // What the network sets itself takes precedence.
            config.raw.entry("adminState").or_insert_with(|| "down".into());
        }
    }
}

/// Returns the links that may stay down until a bond takes them.
fn ports_in_pod(config: &NetConf) -> Vec<LinkName> {
    let has_vlan = config.get("vlan").is_some();
    if has_vlan { Vec::new() } else { links_in_pod(config) }
}

/// Returns the links of the pod that a configuration makes ports of a bond; none for another plugin's.
pub(crate) fn links_in_pod(config: &NetConf) -> Vec<LinkName> {
    let in_pod = config.get("linksInContainer").is_some_and(|value| *value == true);
    if config.plugin != "bond" || !in_pod {
        return Vec::new();
    }
    let links = config.get("links").and_then(Value::as_array).into_iter().flatten();
    links.filter_map(|link| field(link.as_object()?, "name")?.as_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Chain;

    /// Returns `adminState` of the attachments to these networks, in their order.
    fn admin_states(networks: &Value) -> Vec<Option<String>> {
        let networks = networks.as_array().unwrap();
        let chain = Chain::delegated(networks, &"eth0".parse().unwrap()).unwrap();
        let first = chain.attachments.iter().map(|attachment| &attachment.configs[0].raw);
        first.map(|raw| Some(raw.get("adminState")?.as_str()?.to_owned())).collect()
    }

    fn vf() -> Value {
        json!({"type": "sriov", "name": "s"})
    }

    fn bond(in_pod: bool) -> Value {
        let links = json!([{"name": "net1"}, {"name": "net2"}]);
        json!({"type": "bond", "name": "b", "linksInContainer": in_pod, "links": links})
    }

    #[test]
    fn ports_of_a_later_bond_stay_down() {
        let down = Some("down".to_owned());
        let chain = json!([vf(), vf(), vf(), bond(true), vf()]);
        assert_eq!(admin_states(&chain), [None, down.clone(), down, None, None]);
        assert_eq!(admin_states(&json!([bond(true), vf(), vf()])), [None, None, None]);
        assert_eq!(admin_states(&json!([vf(), vf(), vf(), bond(false)])), [None, None, None, None]);
    }

    #[test]
    fn port_that_must_be_up_is_not_kept_down() {
        let mut with_addresses = vf();
        with_addresses["ipam"] = json!({"type": "static"});
        let mut set = vf();
        set["adminState"] = "up".into();
        let list = json!({"name": "l", "plugins": [vf(), {"type": "tuning", "name": "t"}]});
        let up = Some("up".to_owned());
        assert_eq!(
            admin_states(&json!([vf(), with_addresses, set, bond(true)])),
            [None, None, up, None]
        );
        assert_eq!(admin_states(&json!([vf(), list, vf(), bond(true)]))[1], None);
        let mut tagged = bond(true);
        tagged["vlan"] = 100.into();
        assert_eq!(admin_states(&json!([vf(), vf(), vf(), tagged])), [None, None, None, None]);
    }
}
