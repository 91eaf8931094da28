//! An address of host-local's.
//!
//! Its floor is no sequence of `ip`, since the kernel's network is not asked for anything: it is a
//! shell that writes the two files, and one program that removes the lease.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::case::{Case, FLOOR, Subject};
use crate::error::Error;
use crate::plugin::Plugin;
use crate::process::Process;

/// As in `/var/lib/cni/networks/<network>`, on the same file system.
const FLOORS: &str = "/var/lib/cni/networks/bench-floor";

/// By podbond and a peer.
pub(crate) fn case(peer: Option<&Plugin>, directory: &Path) -> Result<Case, Error> {
    let config = json!({
        "type": "bond", "cniVersion": "1.0.0", "name": "bench-lease",
        "ipam": {"type": "host-local", "subnet": "10.56.217.0/24", "gateway": "10.56.217.1"},
    });
    fs::create_dir_all(FLOORS).map_err(Error::file("make", Path::new(FLOORS)))?;
    let lease = format!("{FLOORS}/10.56.217.2");
    let write = format!(
        r"printf 'bench\r\nnet1' >{lease}; printf 10.56.217.2 >{FLOORS}/last_reserved_ip.0"
    );
    let add = Process::new("/usr/bin/dash").arguments(["-c", &write]);
    let del = Process::new("/usr/bin/rm").arguments([&lease]);
    let mut subjects = vec![Subject::new(FLOOR, add, del)];
    for plugin in std::iter::once(&Plugin::podbond("host-local")).chain(peer) {
        subjects.push(plugin.subject("bench-bond", "net1", &config, directory)?);
    }
    Ok(Case { name: "host-local ADD+DEL".to_owned(), subjects })
}
