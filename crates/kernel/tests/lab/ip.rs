use std::net::IpAddr;

use std::time::Duration;

use podbond_kernel::{Dad, DadOutcome, Error, LinkState, Route, Step, undo_all};

use crate::pod::{Pod, errno, ip, pod};

/// A pod with eth0 and its default route, and net3 without addresses, both up.
fn two_links(netns: &str) -> Pod {
    let mut node = Pod::new(netns);
    node.ip("link add eth0 type veth peer name eth0p");
    node.ip("link add net3 type veth peer name net3p");
    for link in ["eth0", "eth0p", "net3", "net3p"] {
        node.must(&Step::SetState { at: pod(link), to: LinkState::Up });
    }
    node.ip("addr add 10.244.0.5/24 dev eth0");
    node.ip("route add default via 10.244.0.1");
    node
}

fn add(address: &str) -> Step {
    add_with(address, Dad::Off)
}

fn add_with(address: &str, dad: Dad) -> Step {
    Step::AddAddress { at: pod("net3"), address: address.parse().unwrap(), dad }
}

fn route(destination: &str, gateway: Option<&str>) -> Route {
    Route {
        destination: destination.parse().unwrap(),
        gateway: gateway.map(|text| text.parse::<IpAddr>().unwrap()),
        mtu: None,
        advmss: None,
        priority: None,
        table: None,
        scope: None,
        protocol: None,
    }
}

#[test]
fn addresses_are_added_and_removed() {
    let mut node = two_links("kernel-address");
    let (v4, v6) = (add("10.56.217.7/24"), add("2001:db8::7/64"));
    node.must(&v4);
    node.must(&v6);
    let shown = node.ip("-o addr show dev net3");
    assert!(shown.contains("inet 10.56.217.7/24 brd 10.56.217.255 scope global net3"), "{shown}");
    assert!(!shown.contains("tentative") || !line_of(&shown, "2001:db8::7").contains("tentative"));
    let addresses = node.addresses(&pod("net3")).unwrap();
    assert!(addresses.contains(&"10.56.217.7/24".parse().unwrap()), "{addresses:?}");
    assert!(addresses.contains(&"2001:db8::7/64".parse().unwrap()), "{addresses:?}");
    // Of this link alone.
    assert!(!addresses.contains(&"10.244.0.5/24".parse().unwrap()), "{addresses:?}");
    assert_eq!(errno(&node.refused(&v4)), Some(17));
    node.must(&v4.inverse());
    node.must(&v6.inverse());
    assert!(undo_all(&mut *node, &[v4, v6]).is_empty(), "what is gone counts as undone");
    let rest = node.addresses(&pod("net3")).unwrap();
    assert!(rest.iter().all(|address| address.addr().to_string().starts_with("fe80")), "{rest:?}");
}

#[test]
fn address_is_usable_after_dad() {
    let mut node = two_links("kernel-dad");
    node.must(&add_with("2001:db8::7/64", Dad::On));
    let shown = || ip("-n kernel-dad -6 addr show dev net3");
    assert!(line_of(&shown(), "2001:db8::7").contains("tentative"), "{}", shown());
    let wanted = ["2001:db8::7/64".parse().unwrap()];
    let settled = node.wait_for_dad(&pod("net3"), &wanted, Duration::from_secs(20));
    assert_eq!(settled.unwrap(), DadOutcome::Usable);
    assert!(!line_of(&shown(), "2001:db8::7").contains("tentative"), "{}", shown());
}

#[test]
fn address_of_another_host_is_a_duplicate() {
    let mut node = two_links("kernel-duplicate");
    node.ip("addr add 2001:db8::7/64 dev net3p nodad");
    node.must(&add_with("2001:db8::8/64", Dad::On));
    node.must(&add_with("2001:db8::7/64", Dad::On));
    let wanted = ["2001:db8::8/64", "2001:db8::7/64"].map(|text| text.parse().unwrap());
    let error = node.wait_for_dad(&pod("net3"), &wanted, Duration::from_secs(20)).unwrap_err();
    assert!(
        matches!(&error, Error::DuplicateAddress { address, .. } if *address == wanted[1]),
        "{error}"
    );
    // Without detection it goes unnoticed.
    node.must(&add_with("2001:db8::7/64", Dad::On).inverse());
    node.must(&add("2001:db8::7/64"));
    let settled = node.wait_for_dad(&pod("net3"), &wanted, Duration::from_secs(20));
    assert_eq!(settled.unwrap(), DadOutcome::Usable);
}

#[test]
fn dad_without_carrier_times_out() {
    let mut node = two_links("kernel-dad-carrier");
    node.must(&Step::SetState { at: pod("net3p"), to: LinkState::Down });
    node.must(&add_with("2001:db8::7/64", Dad::On));
    let wanted = ["2001:db8::7/64".parse().unwrap()];
    let settled = node.wait_for_dad(&pod("net3"), &wanted, Duration::from_millis(300));
    assert_eq!(settled.unwrap(), DadOutcome::Tentative);
    // The kernel asks once it can.
    node.must(&Step::SetState { at: pod("net3p"), to: LinkState::Up });
    let settled = node.wait_for_dad(&pod("net3"), &wanted, Duration::from_secs(20));
    assert_eq!(settled.unwrap(), DadOutcome::Usable);
}

fn line_of<'a>(text: &'a str, part: &str) -> &'a str {
    text.lines().find(|line| line.contains(part)).unwrap()
}

#[test]
fn ipv6_is_enabled_for_an_ipv6_address() {
    let mut node = two_links("kernel-ipv6-off");
    ip("netns exec kernel-ipv6-off sysctl -qw net.ipv6.conf.net3.disable_ipv6=1");
    node.must(&add("2001:db8::7/64"));
    let addresses = node.addresses(&pod("net3")).unwrap();
    assert!(addresses.contains(&"2001:db8::7/64".parse().unwrap()), "{addresses:?}");
}

#[test]
fn default_route_is_added_before_another() {
    let mut node = two_links("kernel-route");
    node.must(&add("10.56.217.7/24"));
    let step = Step::AddRoute { at: pod("net3"), route: route("0.0.0.0/0", Some("10.56.217.1")) };
    node.must(&step);
    let shown = node.ip("route show default");
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    assert_eq!(lines, ["default via 10.56.217.1 dev net3", "default via 10.244.0.1 dev eth0"]);
    let routes = node.routes(&pod("net3")).unwrap();
    let found = routes.iter().find(|route| route.destination.prefix_len() == 0).unwrap();
    assert_eq!(found.gateway, Some("10.56.217.1".parse().unwrap()));
    assert_eq!((found.table, found.scope), (None, Some(0)));
    node.must(&step.inverse());
    assert_eq!(node.ip("route show default").trim(), "default via 10.244.0.1 dev eth0");
    assert!(undo_all(&mut *node, &[step]).is_empty(), "what is gone counts as undone");
}

#[test]
fn route_fields_are_read_back() {
    let mut node = two_links("kernel-route-detail");
    node.must(&add("10.56.217.7/24"));
    node.must(&add("2001:db8::7/64"));
    let wanted = [
        Route {
            mtu: Some(1400),
            advmss: Some(1360),
            priority: Some(50),
            table: Some(1000),
            scope: Some(0),
            ..route("10.9.0.0/16", Some("10.56.217.1"))
        },
        Route { scope: Some(253), ..route("10.8.0.0/16", None) },
        Route { priority: Some(77), scope: Some(0), ..route("::/0", Some("2001:db8::1")) },
        Route { priority: Some(77), scope: Some(0), ..route("2001:db8:9::/48", None) },
        Route { scope: Some(0), ..route("10.7.0.0/16", Some("2001:db8::1")) },
        Route {
            mtu: Some(1400),
            advmss: Some(1360),
            priority: Some(50),
            table: Some(1000),
            scope: Some(0),
            ..route("2001:db8:8::/48", Some("2001:db8::1"))
        },
    ];
    for route in wanted {
        let step = Step::AddRoute { at: pod("net3"), route: route.clone() };
        node.must(&step);
        let routes = node.routes(&pod("net3")).unwrap();
        assert!(routes.contains(&route), "{route:?} is not in {routes:?}");
        node.must(&step.inverse());
        assert!(!node.routes(&pod("net3")).unwrap().contains(&route));
    }
}

#[test]
fn foreign_route_is_removed_and_restored() {
    let mut node = two_links("kernel-route-protocol");
    node.must(&add("10.56.217.7/24"));
    node.must(&add("2001:db8::7/64"));
    node.ip("route add 10.9.0.0/16 via 10.56.217.1 proto static");
    node.ip("-6 route add 2001:db8:9::/48 via 2001:db8::1 proto ra metric 7");
    for (protocol, destination) in [(4, "10.9.0.0/16"), (9, "2001:db8:9::/48")] {
        let shown = |node: &mut Pod| {
            let mut routes = node.routes(&pod("net3")).unwrap();
            routes.retain(|route| route.destination == destination.parse().unwrap());
            routes
        };
        let before = shown(&mut node);
        assert_eq!(before[0].protocol, Some(protocol));
        let step = Step::RemoveRoute { at: pod("net3"), route: before[0].clone() };
        node.must(&step);
        assert_eq!(shown(&mut node), []);
        node.must(&step.inverse());
        assert_eq!(shown(&mut node), before);
    }
}

#[test]
fn existing_equal_route_is_no_error() {
    let mut node = two_links("kernel-route-there");
    node.must(&add("10.56.217.7/24"));
    node.must(&add("2001:db8::7/64"));
    for there in [
        route("0.0.0.0/0", Some("10.56.217.1")),
        route("::/0", Some("2001:db8::1")),
        Route { priority: Some(50), ..route("10.9.0.0/16", Some("10.56.217.1")) },
    ] {
        let step = Step::AddRoute { at: pod("net3"), route: there.clone() };
        node.must(&step);
        node.must(&step);
        let routes = node.routes(&pod("net3")).unwrap();
        let same = routes.iter().filter(|shown| there.mismatches(shown) == Some(vec![]));
        assert_eq!(same.count(), 1, "{routes:?}");
    }
    // Of IPv6 the kernel takes one route to a destination through a gateway for each metric.
    let other = Route { mtu: Some(1400), ..route("::/0", Some("2001:db8::1")) };
    let refused = node.refused(&Step::AddRoute { at: pod("net3"), route: other });
    assert_eq!(errno(&refused), Some(17));
}

#[test]
fn gateway_outside_the_subnet_is_named_with_a_remedy() {
    let mut node = two_links("kernel-route-gateway");
    node.must(&add("10.56.217.7/24"));
    node.must(&add("2001:db8::7/64"));
    for (destination, gateway, itself) in [
        ("10.9.0.0/16", "192.0.2.1", "192.0.2.1/32"),
        ("2001:db8:9::/48", "2001:db8:ffff::1", "2001:db8:ffff::1/128"),
    ] {
        let step = Step::AddRoute { at: pod("net3"), route: route(destination, Some(gateway)) };
        let error = node.refused(&step).to_string();
        let expected = format!(
            "add route {destination} via {gateway} through net3 (pod): gateway {gateway} is in \
             no subnet of the link"
        );
        assert!(error.starts_with(&expected), "{error}");
        let to_gateway = Route { scope: Some(253), ..route(itself, None) };
        node.must(&Step::AddRoute { at: pod("net3"), route: to_gateway });
        node.must(&step);
    }
}

#[test]
fn ipv6_default_routes_are_shown_per_link() {
    let mut node = two_links("kernel-route-many");
    node.ip("addr add 2001:db8:1::5/64 dev eth0 nodad");
    node.ip("-6 route add default via 2001:db8:1::1");
    node.must(&add("2001:db8::7/64"));
    let step = Step::AddRoute { at: pod("net3"), route: route("::/0", Some("2001:db8::1")) };
    node.must(&step);
    for (link, gateway) in [("net3", "2001:db8::1"), ("eth0", "2001:db8:1::1")] {
        let routes = node.routes(&pod(link)).unwrap();
        let default = routes.iter().find(|route| route.destination == "::/0".parse().unwrap());
        assert_eq!(default.unwrap().gateway, Some(gateway.parse().unwrap()), "{routes:?}");
    }
    node.must(&step.inverse());
    assert!(node.ip("-6 route show default").contains("dev eth0"));
}
