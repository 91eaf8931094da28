use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_names::LinkName;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::apply::option_not_taken;
use crate::bond::table::{self, BondOption};
use crate::{At, Error, Kernel, PortOptions, Result, Step, netlink};

/// How long a port that is to be active is waited for: a VF finds its carrier some time after it
/// was opened.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is tried.
const PAUSE: Duration = Duration::from_millis(50);

/// What one port of a bond can be before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortRole {
    /// The one that is preferred.
    Primary,
    /// The one that carries the traffic now.
    Active,
}

impl PortRole {
    /// The option that gives it.
    pub fn option(self) -> &'static BondOption {
        match self {
            Self::Primary => &table::PRIMARY,
            Self::Active => &table::ACTIVE_SLAVE,
        }
    }
}

impl Kernel {
    pub(crate) fn set_port(&mut self, step: &Step, port: &At, to: &PortOptions) -> Result<()> {
        let side = self.side(port.netns)?;
        let message = netlink::set_port(side.index(&port.name)?, to);
        side.change(step, &port.name, &message, 0).map_err(|error| match to.queue() {
            Some(queue) if error.errno() == Some(Errno::PERM) => {
                Error::NoQueue { port: port.name.clone(), queue }
            }
            _ => error,
        })?;
        let shown = side.must_have(&port.name)?.port.map(|port| port.options).unwrap_or_default();
        let object = format!("port {}", port.name);
        option_not_taken(&object, to.unlike(&shown)).map_or(Ok(()), Err)
    }

    pub(crate) fn set_port_role(
        &mut self,
        step: &Step,
        bond: &At,
        role: PortRole,
        to: Option<&LinkName>,
    ) -> Result<()> {
        let side = self.side(bond.netns)?;
        let index = side.index(&bond.name)?;
        let port = to.map(|name| side.index(name)).transpose()?;
        let message = netlink::set_port_role(index, role.option(), port);
        let end = Instant::now() + PATIENCE;
        loop {
            match side.change(step, &bond.name, &message, 0) {
                // The driver refuses an active port whose link is down.
                Err(error)
                    if role == PortRole::Active
                        && error.errno() == Some(Errno::INVAL)
                        && Instant::now() < end =>
                {
                    sleep(PAUSE);
                }
                result => break result?,
            }
        }
        let Some(wanted) = to else { return Ok(()) };
        let options = side.must_have(&bond.name)?.bond;
        let shown = options.and_then(|options| match role {
            PortRole::Primary => options.primary_port,
            PortRole::Active => options.active_port,
        });
        if shown == port {
            return Ok(());
        }
        let shown = shown.map(|index| side.link_by_index(index)).transpose()?.flatten();
        Err(Error::NotTaken {
            object: format!("{} of bond {}", role.option().key, bond.name),
            wanted: wanted.to_string(),
            shown: shown.map_or_else(|| "none".to_owned(), |link| link.name.to_string()),
        })
    }
}
