//! One network namespace with a netlink socket in it and the link indices seen so far.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::LazyLock;

use ipnet::IpNet;
use podbond_names::{LinkName, OneLine};
use rustix::io::Errno;

use crate::module::{release, version};
use crate::netlink::{self, Attribute, Detail, LinkQuery, Message, Socket};
use crate::sysfs::write;
use crate::{
    AddressState, Error, Link, LinkState, LinkSysctl, Netns, Result, Route, VfSettings, netns,
};

/// The longest altname, in bytes: the kernel's `ALTIFNAMSIZ` without the zero at its end.
const MAX_ALTNAME_BYTES: usize = 127;

/// Room for what a PF shows of 256 VFs without their statistics.
const VFS_BYTES: usize = 64 * 1024;

/// Whether netlink shows the function behind a link (`IFLA_PARENT_DEV_NAME`): from Linux 5.14 on.
static SHOWS_PARENT: LazyLock<bool> = LazyLock::new(|| version(&release()) >= [5, 14]);

/// One of the two namespaces: a descriptor, a socket in it, and the link indices seen so far.
pub(crate) struct NetnsHandle {
    netns: Netns,
    namespace: OwnedFd,
    /// The own namespace's is opened once something is asked there: many an operation never does.
    socket: Option<Socket>,
    /// The index of each link that was seen, by name. An entry is dropped as soon as this process
    /// moves or removes the link, or the kernel does not know the index any more.
    indices: BTreeMap<LinkName, u32>,
}

impl NetnsHandle {
    /// Opens the calling thread's own namespace.
    pub(crate) fn own(netns: Netns) -> Result<Self> {
        Ok(Self::new(netns, netns::open_own()?, None))
    }

    /// Opens a socket in another namespace. The outer error says that it cannot be entered.
    pub(crate) fn other(netns: Netns, namespace: OwnedFd) -> io::Result<Result<Self>> {
        let socket = netns::within(namespace.as_fd(), Socket::open)?;
        Ok(socket.map(|socket| Self::new(netns, namespace, Some(socket))))
    }

    fn new(netns: Netns, namespace: OwnedFd, socket: Option<Socket>) -> Self {
        Self { netns, namespace, socket, indices: BTreeMap::new() }
    }

    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Returns the namespace's cookie, where a socket of it is open.
    pub(crate) fn cookie(&self) -> Option<NonZeroU64> {
        self.socket.as_ref()?.netns_cookie()
    }

    fn socket(&mut self) -> Result<&mut Socket> {
        match &mut self.socket {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(Socket::open()?)),
        }
    }

    /// Returns the link of this name, or none. The kernel finds links by their altnames as well:
    /// such a link is not the one that was asked for.
    pub(crate) fn link(&mut self, name: &LinkName) -> Result<Option<Link>> {
        let link = self.link_by_any_name(name)?.filter(|link| link.name == *name);
        match &link {
            Some(link) => self.indices.insert(name.clone(), link.index),
            None => self.indices.remove(name),
        };
        Ok(link)
    }

    /// Returns the link that has this name or altname, or none.
    pub(crate) fn link_by_any_name(&mut self, name: &LinkName) -> Result<Option<Link>> {
        self.find(LinkQuery::Name(name), &format_args!("look for link {name}"))
    }

    /// Returns the link that has this name or altname, of any length, or none.
    pub(crate) fn link_called(&mut self, name: &str) -> Result<Option<Link>> {
        // No name can be empty, or have a zero in it.
        if name.is_empty() || name.len() > MAX_ALTNAME_BYTES || name.contains('\0') {
            return Ok(None);
        }
        self.find(LinkQuery::AnyName(name), &format_args!("look for link {}", OneLine(name)))
    }

    /// Returns the link of this index, or none.
    pub(crate) fn link_by_index(&mut self, index: u32) -> Result<Option<Link>> {
        let link = self.find(LinkQuery::Index(index), &format_args!("look for link {index}"))?;
        if let Some(link) = &link {
            self.indices.insert(link.name.clone(), index);
        }
        Ok(link)
    }

    fn find(&mut self, query: LinkQuery<'_>, action: &dyn Display) -> Result<Option<Link>> {
        let request = netlink::get_link(query, Detail::Basic);
        let socket = self.socket()?;
        match socket.ask(action, &request, netlink::read_link) {
            Ok(link) => Ok(Some(with_parent(socket, link))),
            Err(error) if error.errno() == Some(Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the link of this name, which must be there. The kernel is always asked.
    pub(crate) fn must_have(&mut self, name: &LinkName) -> Result<Link> {
        self.link(name)?.ok_or_else(|| self.missing(name))
    }

    /// Returns the index of a link. The kernel is asked only if it was not seen yet.
    pub(crate) fn index(&mut self, name: &LinkName) -> Result<u32> {
        match self.indices.get(name) {
            Some(&index) => Ok(index),
            None => Ok(self.must_have(name)?.index),
        }
    }

    fn missing(&self, name: &LinkName) -> Error {
        Error::NoSuchLink { name: name.clone(), netns: self.netns }
    }

    /// Returns all links, in the kernel's order.
    pub(crate) fn links(&mut self) -> Result<Vec<Link>> {
        let links = self.list(|payload| netlink::read_link(payload).ok())?;
        self.indices = links.iter().map(|link| (link.name.clone(), link.index)).collect();
        Ok(links)
    }

    /// Returns the indices of the links whose names cannot be read, and which no other answer has.
    pub(crate) fn unreadable(&mut self) -> Result<Vec<u32>> {
        let netns = self.netns;
        let action = format_args!("list the links of the {netns}");
        let read = netlink::read_index_of_unreadable;
        self.socket()?.dump(&action, &netlink::all_links(), read)
    }

    /// Returns all links in the order of their names, for people to see: those whose names are no text with escapes
    /// in them. What is asked next of such a name is asked of that link, unless another has it.
    pub(crate) fn shown_links(&mut self) -> Result<Vec<Link>> {
        let unreadable = self.list(netlink::read_unreadable)?;
        let mut links = self.links()?;
        for link in unreadable {
            self.indices.entry(link.name.clone()).or_insert(link.index);
            links.push(link);
        }
        links.sort_by(|a, b| prefix_and_number(&a.name).cmp(&prefix_and_number(&b.name)));
        Ok(links)
    }

    fn list(&mut self, read: impl Fn(&[u8]) -> Option<Link>) -> Result<Vec<Link>> {
        let netns = self.netns;
        let action = format_args!("list the links of the {netns}");
        let socket = self.socket()?;
        let links = socket.dump(&action, &netlink::all_links(), read)?;
        Ok(links.into_iter().map(|link| with_parent(socket, link)).collect())
    }

    /// Returns the number that another namespace has in this one; none where no link of this one leads there.
    pub(crate) fn id_of(&mut self, other: BorrowedFd<'_>) -> Result<Option<i32>> {
        let action = format_args!("ask for the number of a network namespace");
        self.socket()?.ask(&action, &netlink::id_of(other), netlink::read_id)
    }

    /// Returns the ports of the link of this index, in the kernel's order.
    pub(crate) fn ports(&mut self, master: u32) -> Result<Vec<Link>> {
        let netns = self.netns;
        let action = format_args!("list the ports of link {master} of the {netns}");
        // A kernel that does not filter shows all links.
        let read = |payload: &[u8]| {
            netlink::read_link(payload).ok().filter(|link| link.master == Some(master))
        };
        let socket = self.socket()?;
        let ports = socket.dump(&action, &netlink::ports_of(master), read)?;
        let ports: Vec<Link> = ports.into_iter().map(|link| with_parent(socket, link)).collect();
        self.indices.extend(ports.iter().map(|link| (link.name.clone(), link.index)));
        Ok(ports)
    }

    /// Returns a PF's link, and the settings of those VFs that are wanted.
    pub(crate) fn vfs(
        &mut self,
        pf: &LinkName,
        wanted: impl Fn(u16) -> bool,
    ) -> Result<(Link, Vec<(u16, VfSettings)>)> {
        let socket = self.socket()?;
        socket.expect(VFS_BYTES);
        let request = netlink::get_link(LinkQuery::Name(pf), Detail::WithVfs);
        let read = |payload: &[u8]| {
            netlink::read_link(payload).map(|link| (link, netlink::read_vfs(payload, &wanted)))
        };
        match socket.ask(&format_args!("look at the VFs of {pf}"), &request, read) {
            Ok((link, vfs)) if link.name == *pf => Ok((with_parent(socket, link), vfs)),
            Ok(_) => Err(self.missing(pf)),
            Err(error) if error.errno() == Some(Errno::NODEV) => Err(self.missing(pf)),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn addresses(&mut self, name: &LinkName) -> Result<Vec<(IpNet, AddressState)>> {
        let index = self.index(name)?;
        let action = format_args!("list the addresses of {name}");
        let request = netlink::addresses_of(index);
        let read = |payload: &[u8]| netlink::read_address(payload, index);
        self.socket()?
            .dump(&action, &request, read)
            .map_err(|error| self.forget_if_gone(name, error))
    }

    pub(crate) fn routes(&mut self, name: &LinkName) -> Result<Vec<Route>> {
        let index = self.index(name)?;
        let action = format_args!("list the routes through {name}");
        let read = |payload: &[u8]| netlink::read_route(payload, index);
        let mut routes = Vec::new();
        for any in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            let request = netlink::routes_of(index, any);
            let shown = self.socket()?.dump(&action, &request, read);
            routes.extend(shown.map_err(|error| self.forget_if_gone(name, error))?);
        }
        Ok(routes)
    }

    /// Returns the IPv6 routes through a link that leave through other links too, with those links' indices.
    pub(crate) fn joined_routes(&mut self, name: &LinkName) -> Result<Vec<(Route, Vec<u32>)>> {
        let index = self.index(name)?;
        let action = format_args!("list the routes through {name}");
        let read = |payload: &[u8]| netlink::read_joined_route(payload, index);
        let request = netlink::routes_of(index, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let shown = self.socket()?.dump(&action, &request, read);
        shown.map_err(|error| self.forget_if_gone(name, error))
    }

    /// Turns settings of links on (true) or off, as far as there are such settings and they may be written.
    pub(crate) fn try_sysctls(&self, settings: &[(&str, LinkSysctl, bool)]) {
        let _ = netns::within(self.namespace(), || {
            for (link, sysctl, on) in settings {
                let _ = write(sysctl.path(link).into(), if *on { "1" } else { "0" });
            }
        });
    }

    /// Sends a change of the link of this name.
    pub(crate) fn change(
        &mut self,
        action: &dyn Display,
        name: &LinkName,
        message: &Message,
        flags: u16,
    ) -> Result<()> {
        self.socket()?
            .change(action, message, flags)
            .map_err(|error| self.forget_if_gone(name, error))
    }

    /// Sends a change of a link that has no name here.
    pub(crate) fn change_index(&mut self, action: &dyn Display, message: &Message) -> Result<()> {
        self.socket()?.change(action, message, 0)
    }

    /// Sends a change that names the link by its index.
    pub(crate) fn change_link(
        &mut self,
        action: &dyn Display,
        name: &LinkName,
        message: impl FnOnce(u32) -> Message,
    ) -> Result<()> {
        let message = message(self.index(name)?);
        self.change(action, name, &message, 0)
    }

    /// Sends `RTM_SETLINK` for a link.
    pub(crate) fn set(
        &mut self,
        action: &dyn Display,
        name: &LinkName,
        attributes: Vec<Attribute>,
    ) -> Result<()> {
        self.change_link(action, name, |index| netlink::set_link(index, attributes))
    }

    /// Sets attributes among which is the link's address. When a VF's PF was reset while the VF was closed, as
    /// by `ip link set PF down`, some drivers (igbvf) refuse any address until the VF has been opened: it is
    /// opened and closed, and takes it then.
    pub(crate) fn set_once_opened(
        &mut self,
        action: &dyn Display,
        name: &LinkName,
        attributes: Vec<Attribute>,
    ) -> Result<()> {
        let refused = match self.set(action, name, attributes.clone()) {
            Err(error) if error.errno() == Some(Errno::ADDRNOTAVAIL) => error,
            done => return done,
        };
        if self.must_have(name)?.state == LinkState::Up {
            return Err(refused);
        }
        for state in [LinkState::Up, LinkState::Down] {
            self.change_link(action, name, |index| netlink::set_state(index, state))?;
        }
        self.set(action, name, attributes)
    }

    /// Drops the index of a name once the kernel does not know it.
    fn forget_if_gone(&mut self, name: &LinkName, error: Error) -> Error {
        if error.errno() == Some(Errno::NODEV) {
            self.forget(name);
        }
        error
    }

    /// Drops the index of a link that is moved, renamed or removed.
    pub(crate) fn forget(&mut self, name: &LinkName) {
        self.indices.remove(name);
    }

    /// Drops all indices: links may have come and gone.
    pub(crate) fn forget_all(&mut self) {
        self.indices.clear();
    }
}

/// Returns a name in two parts by which net10 comes after net9.
fn prefix_and_number(name: &LinkName) -> (&str, u64) {
    let prefix = name.as_str().trim_end_matches(|letter: char| letter.is_ascii_digit());
    (prefix, name.as_str()[prefix.len()..].parse().unwrap_or_default())
}

/// Returns a link with its function, also where the kernel is too old to show it.
fn with_parent(socket: &Socket, link: Link) -> Link {
    // What is not hardware has a kind.
    let is_known = *SHOWS_PARENT || link.parent.is_some() || link.kind.is_some();
    let parent = if is_known { link.parent } else { socket.function_of(&link.name) };
    Link { parent, ..link }
}
