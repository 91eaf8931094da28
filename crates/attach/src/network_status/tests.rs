use podbond_cni::Version;
use serde_json::{Value, json};

use super::*;

fn result(value: &Value) -> CniResult {
    CniResult::from_value(value, Version::V1_1_0).unwrap()
}

fn status(name: &str, ifname: &str, device: Option<&str>, value: &Value) -> Vec<NetworkStatus> {
    let subject = Subject {
        name: name.to_owned(),
        ifname: &ifname.parse().unwrap(),
        is_default: ifname == "eth0",
        device: device.map(|device| device.parse().unwrap()),
        device_info: None,
    };
    subject.statuses(&result(value))
}

fn sandboxed(name: &str, mac: &str) -> Value {
    json!({"name": name, "mac": mac, "sandbox": "/run/netns/bondpod1"})
}

/// As the client library of Multus writes it.
const OF_DOCUMENTED_POD: &str = r#"[{
    "name": "cluster",
    "interface": "eth0",
    "ips": [
        "10.88.0.5"
    ],
    "mac": "02:00:00:00:00:03",
    "default": true,
    "dns": {
        "nameservers": [
            "10.96.0.10"
        ],
        "search": [
            "cluster.local"
        ]
    },
    "gateway": [
        "10.88.0.1"
    ]
},{
    "name": "demo/sriovnet1",
    "interface": "net1",
    "mac": "02:00:00:00:01:01",
    "dns": {},
    "device-info": {
        "type": "pci",
        "version": "1.1.0",
        "pci": {
            "pci-address": "0000:01:10.1"
        }
    }
},{
    "name": "demo/sriovnet2",
    "interface": "net2",
    "mac": "02:00:00:00:02:01",
    "dns": {},
    "device-info": {
        "type": "pci",
        "version": "1.1.0",
        "pci": {
            "pci-address": "0000:02:10.1"
        }
    }
},{
    "name": "demo/bond-net1",
    "interface": "net3",
    "ips": [
        "10.56.217.2"
    ],
    "mac": "02:00:00:00:01:01",
    "dns": {},
    "gateway": [
        "10.56.217.1"
    ]
}]"#;

#[test]
fn annotation_of_the_documented_pod() {
    let eth0 = json!({
        "interfaces": [
            {"name": "cni0", "mac": "02:00:00:00:00:01"},
            {"name": "veth1", "mac": "02:00:00:00:00:02"},
            sandboxed("eth0", "02:00:00:00:00:03"),
        ],
        "ips": [{"address": "10.88.0.5/16", "gateway": "10.88.0.1", "interface": 2}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["10.96.0.10"], "search": ["cluster.local"]},
    });
    let port = |name: &str, mac: &str| json!({"interfaces": [sandboxed(name, mac)]});
    let bond = json!({
        "interfaces": [sandboxed("net3", "02:00:00:00:01:01")],
        "ips": [{"address": "10.56.217.2/24", "gateway": "10.56.217.1", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let mut all = status("cluster", "eth0", None, &eth0);
    for (network, ifname, device, mac) in [
        ("demo/sriovnet1", "net1", "0000:01:10.1", "02:00:00:00:01:01"),
        ("demo/sriovnet2", "net2", "0000:02:10.1", "02:00:00:00:02:01"),
    ] {
        all.extend(status(network, ifname, Some(device), &port(ifname, mac)));
    }
    all.extend(status("demo/bond-net1", "net3", None, &bond));
    assert_eq!(annotation(&all), OF_DOCUMENTED_POD);
    assert_eq!(annotation(&[]), "[]");
}

#[test]
fn gateways_are_of_default_routes_each_once() {
    let value = |routes: Value| {
        json!({
            "interfaces": [sandboxed("net1", "02:00:00:00:00:01")],
            "ips": [
                {"address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 0},
                {"address": "fd00::2/64", "interface": 0},
            ],
            "routes": routes,
        })
    };
    for (routes, expected) in [
        (json!([]), vec![]),
        (json!([{"dst": "10.9.0.0/16", "gw": "10.0.0.9"}]), vec![]),
        (json!([{"dst": "0.0.0.0/0", "gw": "10.0.0.9"}]), vec!["10.0.0.9"]),
        (json!([{"dst": "0.0.0.0/0"}]), vec!["10.0.0.1"]),
        (json!([{"dst": "0.0.0.0/8", "gw": "10.0.0.9"}]), vec![]),
        // No address of its family has a gateway: a route on the link.
        (json!([{"dst": "::/0"}]), vec![]),
        (
            json!([{"dst": "0.0.0.0/0"}, {"dst": "0.0.0.0/0", "gw": "10.0.0.1"},
                   {"dst": "::/0", "gw": "fd00::1"}]),
            vec!["10.0.0.1", "fd00::1"],
        ),
    ] {
        let [entry] = status("n", "net1", None, &value(routes)).try_into().unwrap();
        let gateways: Vec<String> = entry.gateway.iter().map(ToString::to_string).collect();
        assert_eq!(gateways, expected);
    }
}

#[test]
fn each_interface_has_an_entry_with_its_addresses() {
    let value = json!({
        "interfaces": [
            sandboxed("a", "02:00:00:00:00:01"),
            {"name": "host", "sandbox": ""},
            sandboxed("b", "02:00:00:00:00:02"),
        ],
        "ips": [
            {"address": "10.0.0.2/24", "interface": 0},
            {"address": "10.0.1.2/24", "interface": 2, "gateway": "10.0.1.1"},
            {"address": "10.0.2.2/24"},
            {"address": "10.0.3.2/24", "interface": 1},
        ],
    });
    let show = |statuses: Vec<NetworkStatus>| -> Vec<String> {
        let show = |s: NetworkStatus| format!("{} {:?} {}", s.interface, s.ips, s.default);
        statuses.into_iter().map(show).collect()
    };
    let expected = |default: bool| {
        vec!["a [10.0.0.2] false".to_owned(), format!("b [10.0.1.2, 10.0.2.2] {default}")]
    };
    assert_eq!(show(status("n", "net1", None, &value)), expected(false));
    assert_eq!(show(status("n", "eth0", None, &value)), expected(true));
}

#[test]
fn first_interface_is_the_default_without_a_gateway() {
    let value = json!({"interfaces": [
        {"name": "host"},
        sandboxed("a", "02:00:00:00:00:01"),
        sandboxed("b", "02:00:00:00:00:02"),
    ]});
    let defaults: Vec<bool> =
        status("n", "eth0", None, &value).iter().map(|status| status.default).collect();
    assert_eq!(defaults, [true, false]);
}

#[test]
fn result_without_interfaces_has_one_entry() {
    let value = json!({"ips": [{"address": "10.0.0.2/24"}]});
    let [entry] = status("n", "net1", None, &value).try_into().unwrap();
    assert_eq!(
        serde_json::to_value(entry).unwrap(),
        json!({
            "name": "n", "interface": "net1", "ips": ["10.0.0.2"], "dns": {},
        })
    );
}

/// Promise: foreign-result-whole
#[test]
fn names_and_addresses_of_other_plugins_are_as_they_give_them() {
    let mac = "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:31:78:f2";
    let value = json!({"interfaces": [sandboxed("a name of 24 characters", mac)]});
    let [entry] = status("n", "net1", None, &value).try_into().unwrap();
    assert_eq!(
        (entry.interface.as_str(), entry.mac.as_deref()),
        ("a name of 24 characters", Some(mac))
    );
}

#[test]
fn mtu_and_device_of_a_result_are_in_the_entry() {
    let mut interface = sandboxed("net1", "02:00:00:00:00:01");
    interface["mtu"] = 9000.into();
    interface["pciID"] = "0000:01:10.1".into();
    let value = json!({"cniVersion": "1.1.0", "interfaces": [interface]});
    let [entry] = status("n", "net1", None, &value).try_into().unwrap();
    assert_eq!(entry.mtu, Some(9000));
    let device = DeviceInfo::Pci("0000:01:10.1".parse().unwrap());
    assert_eq!(entry.device_info, Some(device));
}
