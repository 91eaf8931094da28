use podbond_state::settings::PATH;

use super::*;

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn route(destination: &str) -> Route {
    serde_json::from_value(serde_json::json!({ "destination": destination })).unwrap()
}

/// A VF's link that is up: it has what the kernel gives each such link, and no more.
fn vf() -> HostLink {
    HostLink {
        name: name("ens1f0v1"),
        driver: Some("igbvf".to_owned()),
        pci: Some("0000:03:10.2".parse().unwrap()),
        addresses: vec!["fe80::1/64".parse().unwrap()],
        routes: vec![route("fe80::/64")],
        master: None,
        uppers: Vec::new(),
    }
}

fn below(upper: &str, routes: Vec<Route>) -> HostLink {
    HostLink { uppers: vec![Upper { name: name(upper), routes }], ..vf() }
}

fn with_address(address: &str) -> HostLink {
    HostLink { addresses: vec![address.parse().unwrap()], ..vf() }
}

fn with_route(destination: &str) -> HostLink {
    HostLink { routes: vec![route(destination)], ..vf() }
}

fn refused(rules: &Rules, link: HostLink) -> String {
    let texts: Vec<_> = refusals(rules, &[link]).iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Rules with one pattern for each table of these keys.
fn listed(patterns: &[[Option<&str>; 3]]) -> Rules {
    let glob = |text: &str| text.to_owned().try_into().unwrap();
    let pattern = |keys: &[Option<&str>; 3]| match keys.map(|text| text.map(glob)) {
        [name, driver, pci] => Pattern { name, driver, pci },
    };
    Rules::Listed(patterns.iter().map(pattern).collect())
}

#[test]
fn without_rules_only_unused_links_are_taken() {
    assert_eq!(refused(&Rules::Unused, vf()), "");
    for (link, expected) in [
        (with_address("192.0.2.7/24"), "has the address 192.0.2.7/24"),
        (with_address("169.254.0.7/16"), "has the address 169.254.0.7/16"),
        (with_address("2001:db8::7/64"), "has the address 2001:db8::7/64"),
        (with_route("198.51.100.0/24"), "has the route 198.51.100.0/24"),
        (with_route("2001:db8::/32"), "has the route 2001:db8::/32"),
        (below("ens1f0v1.7", Vec::new()), "carries the node's link ens1f0v1.7"),
    ] {
        let text = refused(&Rules::Unused, link);
        assert!(text.starts_with(&format!("links: ens1f0v1 {expected}")), "{text}");
        assert!(text.contains(r#"allow = [{ name = "ens1f0v1" }]"#), "{text}");
        assert!(text.contains(PATH), "{text}");
    }
}

#[test]
fn pattern_allows_what_all_its_keys_match() {
    for (patterns, allowed) in [
        (vec![[Some("ens*f*v*"), None, None]], true),
        (vec![[Some("ens2*"), None, None]], false),
        (vec![[None, Some("igbvf"), None]], true),
        (vec![[None, Some("igb"), None]], false),
        (vec![[None, None, Some("0000:03:*")]], true),
        (vec![[None, None, Some("0000:04:*")]], false),
        (vec![[Some("ens*"), Some("igbvf"), Some("0000:03:10.?")]], true),
        (vec![[Some("ens*"), Some("ixgbevf"), None]], false),
        (vec![[Some("eth*"), None, None], [None, Some("igbvf"), None]], true),
        (vec![], false),
    ] {
        // Once the administrator decides, it does not matter what the link carries.
        for link in [vf(), with_address("192.0.2.7/24"), below("ens1f0v1.7", Vec::new())] {
            let refusal = refused(&listed(&patterns), link);
            assert_eq!(refusal.is_empty(), allowed, "{patterns:?}: {refusal}");
        }
    }
}

#[test]
fn unlisted_link_is_described_as_patterns_see_it() {
    let unlisted = |link| refused(&listed(&[]), link);
    let of_vf = unlisted(vf());
    assert!(of_vf.contains("ens1f0v1 (driver igbvf, PCI address 0000:03:10.2)"), "{of_vf}");
    assert!(of_vf.contains(r#"add { name = "ens1f0v1" } there"#), "{of_vf}");
    let of_other = unlisted(HostLink { driver: None, pci: None, ..vf() });
    assert!(of_other.contains("(no driver, no PCI address)"), "{of_other}");
}

#[test]
fn pattern_over_a_missing_property_does_not_match() {
    let bare = HostLink { driver: None, pci: None, ..vf() };
    for pattern in [[None, Some("*"), None], [None, None, Some("*")]] {
        assert_ne!(refused(&listed(&[pattern]), bare.clone()), "");
    }
}

#[test]
fn default_route_and_ports_are_never_taken() {
    let all = listed(&[[Some("*"), None, None]]);
    let bridged = |routes| HostLink { master: Some(name("br0")), ..below("br0", routes) };
    for rules in [&Rules::Unused, &all] {
        for (link, expected) in [
            (with_route("0.0.0.0/0"), "carries the node's default route, and"),
            (with_route("::/0"), "carries the node's default route, and"),
            (below("v7", vec![route("0.0.0.0/0")]), "carries the node's default route through v7"),
            (bridged(vec![route("::/0")]), "carries the node's default route through br0"),
            (bridged(Vec::new()), "is a port of the node's br0"),
        ] {
            let text = refused(rules, link);
            assert!(text.starts_with(&format!("links: ens1f0v1 {expected}")), "{text}");
            assert!(!text.contains(PATH), "{text}");
        }
    }
}

#[test]
fn each_link_is_reported() {
    let other = HostLink { name: name("ens1f1"), ..with_route("0.0.0.0/0") };
    let links = [with_address("192.0.2.7/24"), vf(), other];
    let refused = refusals(&Rules::Unused, &links);
    assert!(
        matches!(refused[..], [Refusal::Address { .. }, Refusal::DefaultRoute { .. }]),
        "{refused:?}"
    );
}
