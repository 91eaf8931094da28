//! The other end of the cables.

use std::process::Command;

use crate::Error;
use crate::cell::Cell;
use crate::command::{ip, run};
use crate::place::{Place, SWITCH};

/// Wires the switch anew for a cell, over the ports of as many PFs as the bond has ports on: a
/// static link aggregation sends frames to each of its own.
pub(crate) fn wire(cell: Cell, pfs: usize) -> Result<(), Error> {
    let ports: Vec<String> = (0..pfs.min(cell.ports)).map(|port| format!("sw{port}")).collect();
    run(Command::new("lab-switch").arg(cell.shape()).args(&ports), "")?;
    let (link, mtu, v6) = (link(cell), cell.mtu, Place::Switch.v6());
    for port in &ports {
        ip(&format!("-n {SWITCH} link set {port} mtu {mtu}"))?;
    }
    ip(&format!("-n {SWITCH} link set {link} mtu {mtu}"))?;
    ip(&format!("-n {SWITCH} address add {v6}/64 dev {link} nodad"))?;
    Ok(())
}

/// The bridge or bond over the switch's ports.
pub(crate) fn link(cell: Cell) -> &'static str {
    if cell.shape() == "bridge" { "br0" } else { "lag0" }
}
