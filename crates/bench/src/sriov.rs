//! A VF of a card for a pod: set by its PF, moved, renamed and brought up.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::case::{Case, FLOOR, Subject};
use crate::error::Error;
use crate::ip::{Batch, ip};
use crate::plugin::Plugin;

const NETNS: &str = "bench-sriov";

/// On the node: what the PF keeps of the VF, and the move. `1` is the process whose namespace is the
/// node's.
const SET_AND_MOVE: &str = "\
link set pf0 vf 0 vlan 100 spoofchk off trust on
link set pf0v0 netns bench-sriov name net1
";
const BRING_UP: &str = "link set net1 up\n";
const GIVE_BACK: &str = "\
link set net1 down
link set net1 netns 1 name pf0v0
";
const SET_BACK: &str = "link set pf0 vf 0 vlan 0 spoofchk on trust off\n";

/// The pod that gets it.
pub(crate) fn prepare() -> Result<(), Error> {
    ip(&format!("netns add {NETNS}"))
}

/// By podbond and a peer.
pub(crate) fn case(peer: Option<&Plugin>, directory: &Path) -> Result<Case, Error> {
    let config = json!({
        "type": "sriov", "cniVersion": "1.0.0", "name": "sriovnet1", "deviceID": pci_of_vf("pf0", 0)?,
        "vlan": 100, "spoofchk": "off", "trust": "on",
    });
    let process = |name, netns, commands: &str| {
        Batch { name, netns, commands: commands.to_owned() }.process(directory)
    };
    let floor = Subject {
        name: FLOOR.to_owned(),
        add: vec![
            process("add-node", None, SET_AND_MOVE)?,
            process("add-pod", Some(NETNS), BRING_UP)?,
        ],
        del: vec![
            process("del-pod", Some(NETNS), GIVE_BACK)?,
            process("del-node", None, SET_BACK)?,
        ],
    };
    let mut subjects = vec![floor];
    for plugin in std::iter::once(&Plugin::podbond("sriov")).chain(peer) {
        subjects.push(plugin.subject(NETNS, "net1", &config, directory)?);
    }
    Ok(Case { name: "sriov ADD+DEL".to_owned(), subjects })
}

/// The PCI address of a VF.
pub(crate) fn pci_of_vf(pf: &str, number: usize) -> Result<String, Error> {
    let path = format!("/sys/class/net/{pf}/device/virtfn{number}");
    let path = Path::new(&path);
    let target = fs::read_link(path).map_err(Error::file("read", path))?;
    Ok(target.file_name().unwrap_or_default().to_string_lossy().into_owned())
}
