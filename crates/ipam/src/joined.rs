//! IPv6 routes that the kernel joins with those of other links: what is said of them at ADD, and by
//! `podbond doctor`.

use podbond_cni::CniResult;
use podbond_kernel::{JoinedRoute, Kernel, LinkRef};
use podbond_names::LinkName;

/// The code of the finding.
pub const ROUTE_JOINED: &str = "route-joined";

/// What to do about it.
pub const ROUTE_JOINED_REMEDY: &str = "give the route another priority in ipam (the kernel's is 1024, and \
     the lowest wins), or leave it out";

/// Returns a sentence, without its subject, about each route of the pod's link that is joined with others;
/// none where there is no such link.
pub fn joined_routes(
    kernel: &mut Kernel,
    ifname: &LinkName,
) -> podbond_kernel::Result<Vec<String>> {
    let at = LinkRef::pod(ifname.clone());
    if kernel.link(&at)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(kernel.joined_routes(&at)?.iter().map(reason).collect())
}

/// Returns the same after an ADD whose lease is this; without IPv6 routes the kernel is not asked.
pub fn joined_routes_of_lease(
    kernel: &mut Kernel,
    ifname: &LinkName,
    lease: Option<&CniResult>,
) -> podbond_kernel::Result<Vec<String>> {
    let has_ipv6 = |lease: &CniResult| lease.routes.iter().any(|it| it.dst.addr().is_ipv6());
    if lease.is_some_and(has_ipv6) { joined_routes(kernel, ifname) } else { Ok(Vec::new()) }
}

fn reason(JoinedRoute { route, others }: &JoinedRoute) -> String {
    let others: Vec<&str> = others.iter().map(LinkName::as_str).collect();
    let others = others.join(", ");
    let destination = route.destination;
    format!(
        "its route to {destination} has the metric of that through {others}: the kernel has joined them into \
         one, and sends some flows through {others}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_links_are_named() {
        let route = serde_json::from_value(serde_json::json!({"destination": "::/0"})).unwrap();
        let others = vec!["eth0".parse().unwrap(), "net1".parse().unwrap()];
        let text = reason(&JoinedRoute { route, others });
        assert!(text.starts_with("its route to ::/0 has the metric of that through eth0, net1: "));
    }
}
