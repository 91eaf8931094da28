//! Gives links names that can be read, which a pod has given names that are no text.

use std::io;

use podbond_faults::{Change, around};
use rustix::io::Errno;

use super::Kernel;
use crate::netlink::{self, Attribute};
use crate::netns_handle::NetnsHandle;
use crate::{Error, LinkState, Netns, Result};

/// How many names are tried for a link: others may be taken by the pod's own links.
const ATTEMPTS: usize = 1000;

impl Kernel {
    /// Gives each link of a namespace whose name is no link's name for podbond the first free one of `dev7`,
    /// `dev8`, … from its index on. The kernel takes any bytes but a few, also such as are no UTF-8: a pod with
    /// `NET_ADMIN` may hide a link so from whoever is to take it back. The link is down afterwards.
    ///
    /// No step: a plan holds names.
    pub fn rename_unreadable(&mut self, netns: Netns) -> Result<()> {
        let handle = self.handle(netns)?;
        for index in handle.unreadable()? {
            let action = format!("give link {index} of the {netns} a name that can be read");
            let refused = |source: io::Error| refused(&action, source);
            let change = Change { kind: "rename-unreadable", what: &action };
            around(change, refused, || rename(handle, index, &action))?;
        }
        Ok(())
    }
}

fn rename(handle: &mut NetnsHandle, index: u32, action: &str) -> Result<()> {
    // Older kernels rename no link that is up.
    handle.change_index(&action, &netlink::set_state(index, LinkState::Down))?;
    for number in (index..).take(ATTEMPTS) {
        let name = Attribute::IfName(format!("dev{number}"));
        match handle.change_index(&action, &netlink::set_link(index, vec![name])) {
            Err(error) if error.errno() == Some(Errno::EXIST) => {}
            renamed => return renamed,
        }
    }
    Err(refused(action, io::ErrorKind::AlreadyExists.into()))
}

fn refused(action: &str, source: io::Error) -> Error {
    Error::Refused { action: action.to_owned(), source, extack: None }
}
