//! Gives links names that can be read, which a pod has given names that are no text.

use std::collections::BTreeSet;

use podbond_faults::{Change, around};

use super::Kernel;
use crate::netlink::{self, Attribute};
use crate::netns_handle::NetnsHandle;
use crate::{Error, LinkState, Netns, Result};

impl Kernel {
    /// Gives each link of a namespace whose name is no text a name as the kernel would: the first of `dev7`,
    /// `dev8`, … from its index on that is free. The kernel takes nearly any bytes for a name, and a pod with
    /// `NET_ADMIN` may so hide a link from DEL. The link is down afterwards. Goes on past
    /// errors, which it returns; that a link is gone is none.
    ///
    /// It is no step, since a plan holds names.
    pub fn rename_unreadable(&mut self, netns: Netns) -> Result<Vec<Error>> {
        let handle = self.handle(netns)?;
        let unreadable = handle.unreadable()?;
        if unreadable.is_empty() {
            return Ok(Vec::new());
        }
        let mut taken = BTreeSet::new();
        for link in handle.links()? {
            taken.extend(link.altnames);
            taken.insert(link.name.to_string());
        }
        let mut errors = Vec::new();
        for index in unreadable {
            let names = (index..).map(|number| format!("dev{number}"));
            let Some(name) = names.into_iter().find(|name| taken.insert(name.clone())) else {
                continue;
            };
            errors.extend(rename(handle, index, name).err().filter(|error| !error.is_gone()));
        }
        Ok(errors)
    }
}

fn rename(handle: &mut NetnsHandle, index: u32, name: String) -> Result<()> {
    let action = format!("rename link {index}, whose name cannot be read, to {name}");
    let refused = |source| Error::Refused { action: action.clone(), source, extack: None };
    around(Change { kind: "rename-unreadable", what: &action }, refused, || {
        // Older kernels rename no link that is up.
        handle.change_index(&action, &netlink::set_state(index, LinkState::Down))?;
        let name = vec![Attribute::IfName(name)];
        handle.change_index(&action, &netlink::set_link(index, name))
    })
}
