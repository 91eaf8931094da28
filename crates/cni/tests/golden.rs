//! One result as every version of the specification writes it, in both directions.
#![expect(clippy::unwrap_used, reason = "a panic here is the failure's report")]

use std::fs;

use podbond_cni::{CniResult, Dns, Interface, IpConfig, Route, Version};
use serde_json::Value;

/// The documented bond over two VFs, with everything that a result can say.
fn documented() -> CniResult {
    let route = |dst: &str, gw: Option<&str>| {
        Route::new(dst.parse().unwrap(), gw.map(|gw| gw.parse().unwrap()))
    };
    let ip =
        |address: &str| IpConfig { interface: Some(0), ..IpConfig::new(address.parse().unwrap()) };
    CniResult {
        interfaces: vec![Interface {
            name: "net3".to_owned(),
            mac: Some("02:00:00:00:00:01".to_owned()),
            mtu: Some(1500),
            sandbox: Some("/run/netns/bondpod1".to_owned()),
            socket_path: Some("/run/vhost/net3".to_owned()),
            pci_id: Some("0000:03:10.1".to_owned()),
            ..Interface::default()
        }],
        ips: vec![
            IpConfig { gateway: "10.56.217.1".parse().ok(), ..ip("10.56.217.5/24") },
            ip("fd00:56::5/64"),
            ip("10.56.218.5/24"),
        ],
        routes: vec![
            route("0.0.0.0/0", None),
            Route {
                mtu: Some(1400),
                advmss: Some(1360),
                priority: Some(100),
                table: Some(50),
                scope: Some(253),
                ..route("fd00:57::/64", Some("fd00:56::1"))
            },
        ],
        dns: Dns {
            nameservers: vec!["10.56.217.1".to_owned()],
            domain: Some("demo.example".to_owned()),
            search: vec!["demo.example".to_owned(), "example".to_owned()],
            options: vec!["ndots:5".to_owned()],
            ..Dns::default()
        },
        ..CniResult::default()
    }
}

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn each_version_writes_its_golden_file() {
    for version in Version::ALL {
        assert_eq!(documented().to_value(version), golden(version.as_str()), "{version}");
    }
}

#[test]
fn golden_files_round_trip() {
    for version in Version::ALL {
        let value = golden(version.as_str());
        let read = CniResult::from_value(&value, Version::NEWEST).unwrap();
        assert_eq!(read.to_value(version), value, "{version}");
    }
}

#[test]
fn newest_version_is_lossless() {
    let value = golden(Version::NEWEST.as_str());
    assert_eq!(CniResult::from_value(&value, Version::V0_1_0), Ok(documented()));
}

#[test]
fn empty_result_round_trips() {
    for version in Version::ALL {
        let value = CniResult::default().to_value(version);
        let dns = if version < Version::V1_0_0 { r#","dns":{}"# } else { "" };
        assert_eq!(value.to_string(), format!(r#"{{"cniVersion":"{version}"{dns}}}"#));
        assert_eq!(CniResult::from_value(&value, version), Ok(CniResult::default()));
    }
}
