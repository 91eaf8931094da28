//! A bond over two links of the pod.
//!
//! The links are dummies: of them the kernel takes and gives back a port in no time, so that what is
//! left is the cost of who asks for it.

use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Case, FLOOR, Subject};
use crate::error::Error;
use crate::ip::{Batch, ip};
use crate::plugin::Plugin;

const NETNS: &str = "bench-bond";

/// The documented bond: with the documented addresses, or without any.
pub(crate) fn config(ipam: bool) -> Value {
    let mut config = json!({
        "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "mode": "active-backup",
        "failOverMac": 1, "linksInContainer": true, "miimon": "100", "mtu": 1500,
        "links": [{"name": "net1"}, {"name": "net2"}],
    });
    if ipam {
        config["ipam"] = json!({
            "type": "host-local", "subnet": "10.56.217.0/24",
            "routes": [{"dst": "0.0.0.0/0"}], "gateway": "10.56.217.1",
        });
    }
    config
}

/// A port is down while it is enslaved, and is opened by that. A bond has MTU 1500 unasked.
const ADD: &str = "\
link add net3 type bond mode active-backup miimon 100 fail_over_mac active
link set net1 down
link set net1 master net3
link set net2 down
link set net2 master net3
link set net3 up
";

const ADDRESSES: &str = "\
address add 10.56.217.2/24 broadcast + dev net3
route append default via 10.56.217.1 dev net3
";

/// The ports of a bond that goes are closed by that.
const DEL: &str = "\
link del net3
link set net1 up
link set net2 up
";

/// The pod in which it is made.
pub(crate) fn prepare() -> Result<(), Error> {
    prepare_in(NETNS)
}

/// Another pod like it.
pub(crate) fn prepare_in(netns: &str) -> Result<(), Error> {
    ip(&format!("netns add {netns}"))?;
    for link in ["net1", "net2"] {
        ip(&format!("-n {netns} link add {link} up type dummy"))?;
    }
    Ok(())
}

/// With or without addresses, by podbond and the peers.
pub(crate) fn case(ipam: bool, peer: Option<&Plugin>, directory: &Path) -> Result<Case, Error> {
    let config = config(ipam);
    let add = if ipam { ADD.to_owned() + ADDRESSES } else { ADD.to_owned() };
    let batch = |name, commands| Batch { name, netns: Some(NETNS), commands }.process(directory);
    let mut subjects = vec![Subject::new(FLOOR, batch("add", add)?, batch("del", DEL.to_owned())?)];
    for plugin in std::iter::once(&Plugin::podbond("bond")).chain(peer) {
        subjects.push(plugin.subject(NETNS, "net3", &config, directory)?);
    }
    let name = if ipam { "bond ADD+DEL with IPAM" } else { "bond ADD+DEL" };
    Ok(Case { name: name.to_owned(), subjects })
}
