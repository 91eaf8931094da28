//! Moves a link between network namespaces and renames it: the one change that touches two
//! namespaces.

use std::os::fd::AsRawFd;

use podbond_names::LinkName;
use rustix::io::Errno;

use super::Kernel;
use crate::netlink::{self, Attribute};
use crate::{Link, LinkRef, Netns, Result, Step};

impl Kernel {
    /// Moves and renames a link, so that the node never sees a name that belongs into the pod.
    ///
    /// The kernel refuses a name that is an altname, even of the link itself. A link whose new name
    /// is one of its altnames swaps the two: the old name becomes an altname. So does the way back,
    /// which thereby gives the link its altname again.
    pub(super) fn move_link(&mut self, step: &Step, from: &LinkRef, to: &LinkRef) -> Result<()> {
        // Asked for now, since altnames are given by others (udev).
        let link = self.handle(from.netns)?.must_have(&from.name)?;
        let swap = link.altnames.iter().any(|name| name == to.name.as_str());
        if swap {
            let message = netlink::drop_altname(link.index, to.name.as_str());
            self.handle(from.netns)?.change(step, &from.name, &message, 0)?;
        }
        if let Err(error) = self.move_or_leave(step, &link, from, to) {
            if swap {
                // What is reported is why the move failed.
                let _ = self.add_altname(step, from, &to.name);
            }
            return Err(error);
        }
        if swap {
            // It can fail where another link has taken the old name. The link has arrived all the
            // same, and nothing else is looked up by altname.
            let _ = self.add_altname(step, to, &from.name);
        }
        Ok(())
    }

    /// Moves the link, or leaves it where it was.
    ///
    /// Of a message that moves and renames, the kernel does the move first, and announces the link
    /// under its old name. Into the pod that is no harm. On the node udev would
    /// act on the pod's name, so a link that comes back gets its new name before it leaves.
    fn move_or_leave(
        &mut self,
        step: &Step,
        link: &Link,
        from: &LinkRef,
        to: &LinkRef,
    ) -> Result<()> {
        let renamed = LinkRef { netns: from.netns, name: to.name.clone() };
        if to.netns == Netns::Host && renamed != *to && renamed != *from {
            match self.send_move(step, link, from, &renamed) {
                Ok(()) => {
                    return self.send_move(step, link, &renamed, to).inspect_err(|_| {
                        let _ = self.send_move(step, link, &renamed, from);
                    });
                }
                // Another link of the pod has that name: the pod's name is seen on the node then.
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        self.send_move(step, link, from, to).inspect_err(|_| {
            let _ = self.bring_back(step, link, from, to);
        })
    }

    /// Sends one message that moves, renames, or both.
    fn send_move(&mut self, step: &Step, link: &Link, from: &LinkRef, to: &LinkRef) -> Result<()> {
        let mut attributes = vec![Attribute::IfName(to.name.to_string())];
        if from.netns != to.netns {
            let target = self.handle(to.netns)?.namespace().as_raw_fd();
            attributes.push(Attribute::NetNsFd(target));
        }
        let message = netlink::set_link(link.index, attributes);
        let result = self.handle(from.netns)?.change(step, &from.name, &message, 0);
        // Failed or not: the link may have gone.
        self.handle(from.netns)?.forget(&from.name);
        self.handle(to.netns)?.forget(&to.name);
        result
    }

    /// Moves the link back when only a part of the change was made. The kernel moves first and
    /// renames then: when the new name is taken, the link has arrived in the other namespace with
    /// its old name.
    fn bring_back(&mut self, step: &Step, link: &Link, from: &LinkRef, to: &LinkRef) -> Result<()> {
        if from.netns == to.netns || self.handle(from.netns)?.link(&from.name)?.is_some() {
            return Ok(());
        }
        let stray = LinkRef { netns: to.netns, name: from.name.clone() };
        match self.handle(to.netns)?.link(&stray.name)? {
            Some(moved) if moved.parent == link.parent && moved.mac == link.mac => {
                self.send_move(step, &moved, &stray, from)
            }
            _ => Ok(()),
        }
    }

    fn add_altname(&mut self, step: &Step, at: &LinkRef, altname: &LinkName) -> Result<()> {
        let message = |index| netlink::add_altname(index, altname.as_str());
        self.handle(at.netns)?.change_link(step, &at.name, message)
    }
}
