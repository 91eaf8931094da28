//! rtnetlink: our own socket, and the messages that this crate sends and reads. The codec crates
//! are named here and nowhere else.

mod bond;
mod bus_info;
mod codec;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ip;
mod link;
mod link_notifications;
#[cfg(feature = "measuring")]
pub mod measuring;
mod neighbour;
mod nsid;
mod parse_link;
mod response;
mod socket;
mod vf;
mod vlan;

pub(crate) use codec::{Attribute, Message};
pub(crate) use ip::{
    addresses_of, new_address, new_route, read_address, read_joined_route, read_route,
    remove_address, remove_route, routes_of,
};
pub(crate) use link::{
    Detail, LinkQuery, add_altname, add_bond, add_stacked, add_vlan, all_links, drop_altname,
    get_link, ports_of, remove_link, set_attributes, set_link, set_port, set_port_role, set_state,
};
pub(crate) use link_notifications::{LinkNotifications, Notification};
pub(crate) use neighbour::{forget_neighbour, look_for_neighbour};
pub(crate) use nsid::{assign_id, id_of, read_id};
pub(crate) use parse_link::{read_index_of_unreadable, read_link, read_unreadable};
pub(crate) use socket::Socket;
pub(crate) use vf::{read_vfs, set_vf};

/// Flags of a change that creates something.
pub(crate) use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
