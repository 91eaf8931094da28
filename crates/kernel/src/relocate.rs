//! [`Step::Move`]: the one change that touches two namespaces.

use std::os::fd::AsRawFd;

use podbond_names::LinkName;
use rustix::io::Errno;

use crate::netlink::{Attribute, add_altname, drop_altname, set_link};
use crate::{At, Kernel, Link, Netns, Result, Step};

impl Kernel {
    /// Moves and renames a link, so that the node never sees a name that belongs into the pod.
    ///
    /// The kernel refuses a name that is an altname, even of the link itself. A link whose new name
    /// is one of its altnames swaps the two: the old name becomes an altname. So does the way back,
    /// which thereby gives the link its altname again.
    pub(crate) fn relocate(&mut self, step: &Step, from: &At, to: &At) -> Result<()> {
        // Asked for now, not taken from what is known: altnames are given by others (udev).
        let link = self.side(from.netns)?.must_have(&from.name)?;
        let swap = link.altnames.iter().any(|name| name == to.name.as_str());
        if swap {
            let message = drop_altname(link.index, &to.name);
            self.side(from.netns)?.change(step, &from.name, &message, 0)?;
        }
        if let Err(error) = self.travel(step, &link, from, to) {
            if swap {
                // What is reported is why the move failed.
                let _ = self.give_altname(step, from, &to.name);
            }
            return Err(error);
        }
        if swap {
            // It can fail where another link has the old name by now. The link is where it was
            // wanted all the same, and nothing else is looked up by altname.
            let _ = self.give_altname(step, to, &from.name);
        }
        Ok(())
    }

    /// Takes the link to its place, or leaves it where it was.
    ///
    /// Of a message that moves and renames, the kernel does the move first, and tells of the link's
    /// arrival under its old name. Into the pod that is no harm. On the node it would set udev to
    /// work on the pod's name, so a link that comes back gets its new name before it leaves.
    fn travel(&mut self, step: &Step, link: &Link, from: &At, to: &At) -> Result<()> {
        let renamed = At { netns: from.netns, name: to.name.clone() };
        if to.netns == Netns::Host && renamed != *to && renamed != *from {
            match self.carry(step, link, from, &renamed) {
                Ok(()) => {
                    return self.carry(step, link, &renamed, to).inspect_err(|_| {
                        let _ = self.carry(step, link, &renamed, from);
                    });
                }
                // Another link of the pod has that name. Better be seen than stay.
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        self.carry(step, link, from, to).inspect_err(|_| {
            let _ = self.bring_back(step, link, from, to);
        })
    }

    /// Sends one message that moves, renames, or both.
    fn carry(&mut self, step: &Step, link: &Link, from: &At, to: &At) -> Result<()> {
        let mut attributes = vec![Attribute::IfName(to.name.to_string())];
        if from.netns != to.netns {
            let target = self.side(to.netns)?.namespace().as_raw_fd();
            attributes.push(Attribute::NetNsFd(target));
        }
        let message = set_link(link.index, attributes);
        let result = self.side(from.netns)?.change(step, &from.name, &message, 0);
        // Failed or not: the link may have gone.
        self.side(from.netns)?.forget(&from.name);
        self.side(to.netns)?.forget(&to.name);
        result
    }

    /// The kernel moves first and renames then: when the new name is taken, the link has arrived in
    /// the other namespace with its old name.
    fn bring_back(&mut self, step: &Step, link: &Link, from: &At, to: &At) -> Result<()> {
        if from.netns == to.netns || self.side(from.netns)?.link(&from.name)?.is_some() {
            return Ok(());
        }
        let stray = At { netns: to.netns, name: from.name.clone() };
        match self.side(to.netns)?.link(&stray.name)? {
            Some(found) if found.parent == link.parent && found.mac == link.mac => {
                self.carry(step, &found, &stray, from)
            }
            _ => Ok(()),
        }
    }

    fn give_altname(&mut self, step: &Step, at: &At, altname: &LinkName) -> Result<()> {
        let side = self.side(at.netns)?;
        let message = add_altname(side.index(&at.name)?, altname);
        side.change(step, &at.name, &message, 0)
    }
}
