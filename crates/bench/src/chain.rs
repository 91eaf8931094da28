//! The documented pod: two VFs of two cards, and a bond with an address over them, made by one call
//! of a meta-plugin.
//!
//! The first network of a meta-plugin's configuration has the name that the runtime gives, the
//! others are net1 and net2.

use std::path::Path;

use serde_json::json;

use crate::case::{Case, FLOOR, Subject};
use crate::error::Error;
use crate::ip::{Batch, ip};
use crate::plugin::Plugin;
use crate::sriov::pci_of_vf;

const NETNS: &str = "bench-chain";

/// The VFs have the settings that are asked for. They are left down: the bond opens its ports.
const MOVE: &str = "\
link set pf0v0 netns bench-chain name net0
link set pf1v0 netns bench-chain name net1
";

const BOND: &str = "\
link add net2 type bond mode active-backup miimon 100 fail_over_mac active
link set net0 master net2
link set net1 master net2
link set net2 up
address add 10.56.217.2/24 broadcast + dev net2
route append default via 10.56.217.1 dev net2
";

/// `1` is the process whose namespace is the node's.
const GIVE_BACK: &str = "\
link del net2
link set net0 netns 1 name pf0v0
link set net1 netns 1 name pf1v0
";

/// The pod that gets it all.
pub(crate) fn prepare() -> Result<(), Error> {
    ip(&format!("netns add {NETNS}"))
}

/// By podbond and a peer, whose plugins are those on its path.
pub(crate) fn case(peer: Option<&Plugin>, directory: &Path) -> Result<Case, Error> {
    let vf = |number: u8| {
        let pf = format!("pf{number}");
        Ok::<_, Error>(json!({
            "type": "sriov", "cniVersion": "0.3.1", "name": format!("sriovnet{}", number + 1),
            "vlan": 0, "vlanQoS": 0, "deviceID": pci_of_vf(&pf, 0)?,
        }))
    };
    let bond = json!({
        "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "mode": "active-backup",
        "failOverMac": 1, "linksInContainer": true, "miimon": "100", "mtu": 1500,
        "links": [{"name": "net0"}, {"name": "net1"}],
        "ipam": {"type": "host-local", "subnet": "10.56.217.0/24",
                 "routes": [{"dst": "0.0.0.0/0"}], "gateway": "10.56.217.1"},
    });
    let process = |name, netns, commands: &str| {
        Batch { name, netns, commands: commands.to_owned() }.process(directory)
    };
    let floor = Subject {
        name: FLOOR.to_owned(),
        add: vec![process("add-node", None, MOVE)?, process("add-pod", Some(NETNS), BOND)?],
        del: vec![process("del-pod", Some(NETNS), GIVE_BACK)?],
    };
    let mut subjects = vec![floor];
    for plugin in std::iter::once(&Plugin::podbond("podbond")).chain(peer) {
        let directories: Vec<&str> = plugin.path.split(':').collect();
        let config = json!({
            "type": "multus", "cniVersion": "0.3.1", "name": "multus-cni-network",
            "binDir": directories.first(), "delegates": [vf(0)?, vf(1)?, bond],
        });
        subjects.push(plugin.subject(NETNS, "net0", &config, directory)?);
    }
    Ok(Case { name: "chain ADD+DEL".to_owned(), subjects })
}
