use podbond_state::settings::PATH;

use super::*;

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn route(destination: &str) -> Route {
    serde_json::from_value(serde_json::json!({ "destination": destination })).unwrap()
}

/// A VF's link that is up: it has what the kernel gives each such link, and no more.
pub(in super::super) fn vf() -> HostLink {
    HostLink {
        name: name("ens1f0v1"),
        driver: Some("igbvf".to_owned()),
        pci: Some("0000:03:10.2".parse().unwrap()),
        routes: vec![route("fe80::/64")],
        master: None,
        uppers: Vec::new(),
        num_vfs: 0,
        owner: None,
    }
}

fn below(upper: &str, routes: Vec<Route>) -> HostLink {
    HostLink { uppers: vec![Upper { name: name(upper), routes }], ..vf() }
}

fn with_route(destination: &str) -> HostLink {
    HostLink { routes: vec![route(destination)], ..vf() }
}

fn refused(rules: &Rules, link: HostLink) -> String {
    refuse_links(rules, &[link]).err().map(|error| error.to_string()).unwrap_or_default()
}

/// Rules with one pattern for each table of these keys.
fn listed(patterns: &[[Option<&str>; 3]]) -> Rules {
    let glob = |text: &str| text.to_owned().try_into().unwrap();
    let pattern = |keys: &[Option<&str>; 3]| match keys.map(|text| text.map(glob)) {
        [name, driver, pci] => Pattern { name, driver, pci },
    };
    Rules::Listed(patterns.iter().map(pattern).collect())
}

/// Promise: node-links-kept
#[test]
fn without_rules_no_link_is_taken() {
    for link in [vf(), with_route("198.51.100.0/24"), below("ens1f0v1.7", Vec::new())] {
        let text = refused(&Rules::Absent, link);
        let described =
            "links: ens1f0v1 (driver igbvf, PCI address 0000:03:10.2) is a link of the node";
        assert!(text.starts_with(described), "{text}");
        let line =
            format!(r#"{PATH} below [host-links], this line: allow = [{{ name = "ens1f0v1" }}]"#);
        assert!(text.ends_with(&line), "{text}");
    }
}

/// The line is the whole of what is to stand there.
#[test]
fn one_line_allows_all_refused_links_beside_those_allowed() {
    let rules = listed(&[[Some("ens2*"), None, None], [None, Some("igb"), Some("0000:04:*")]]);
    let named = |text: &str| HostLink { name: name(text), ..vf() };
    let default_route = HostLink { name: name("ens1f1"), ..with_route("0.0.0.0/0") };
    let links = [named("ens3"), named("ens2f0"), default_route, named("ens4"), named("ens3")];
    let text = refuse_links(&rules, &links).unwrap_err().to_string();
    let line = r#"below [host-links], in the place of what is there, this line: allow = [{ name = "ens2*" }, { driver = "igb", pci = "0000:04:*" }, { name = "ens3" }, { name = "ens4" }]"#;
    assert!(text.ends_with(line), "{text}");
    for part in ["links: ens3 (", "links: ens1f1 carries the node's default route", "links: ens4 ("]
    {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(!text.contains("links: ens2f0"), "{text}");
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
        for link in [vf(), with_route("192.0.2.0/24"), below("ens1f0v1.7", Vec::new())] {
            let refusal = refused(&listed(&patterns), link);
            assert_eq!(refusal.is_empty(), allowed, "{patterns:?}: {refusal}");
        }
    }
}

#[test]
fn link_without_a_device_is_described() {
    let text = refused(&listed(&[]), HostLink { driver: None, pci: None, ..vf() });
    assert!(text.starts_with("links: ens1f0v1 (no driver, no PCI address) is"), "{text}");
}

#[test]
fn pattern_over_a_missing_property_does_not_match() {
    let bare = HostLink { driver: None, pci: None, ..vf() };
    for pattern in [[None, Some("*"), None], [None, None, Some("*")]] {
        assert_ne!(refused(&listed(&[pattern]), bare.clone()), "");
    }
}

/// Promise: node-links-kept
#[test]
fn links_that_others_depend_on_are_never_taken() {
    let all = listed(&[[Some("*"), None, None]]);
    let bridged = |routes| HostLink { master: Some(name("br0")), ..below("br0", routes) };
    let owned = |owner| HostLink { owner: Some(owner), ..vf() };
    let cases = [
        (with_route("0.0.0.0/0"), "carries the node's default route, and"),
        (with_route("::/0"), "carries the node's default route, and"),
        (below("v7", vec![route("0.0.0.0/0")]), "carries the node's default route through v7"),
        (bridged(vec![route("::/0")]), "carries the node's default route through br0"),
        (bridged(Vec::new()), "is a port of the node's br0"),
        (HostLink { num_vfs: 4, ..vf() }, "is a link of a PF with 4 VFs"),
        (
            owned(VfOwner::Policy("demo/policy1".to_owned())),
            "is a VF that SriovNetworkNodePolicy demo/policy1 gives to pods",
        ),
        (
            owned(VfOwner::Holder("net1 of pod demo/p".to_owned())),
            "is a VF that is held by net1 of pod demo/p",
        ),
    ];
    for rules in [&Rules::Absent, &all] {
        for (link, expected) in &cases {
            let text = refused(rules, link.clone());
            assert!(text.starts_with(&format!("links: ens1f0v1 {expected}")), "{text}");
            assert!(!text.contains(PATH), "no line helps: {text}");
        }
    }
    assert_eq!(refused(&all, vf()), "");
}
