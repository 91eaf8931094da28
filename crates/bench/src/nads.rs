//! A thousand NADs of bonds, no two alike, as a large cluster may hold them.

use podbond_kernel::BondMode;
use serde_json::{Value, json};

/// How many.
pub const COUNT: usize = 1000;

/// The most ports that one of them has.
pub const MOST_PORTS: usize = 16;

/// How many ports the bond with this number has: most have two.
fn ports(number: usize) -> usize {
    match number % 10 {
        0..=6 => 2,
        7 | 8 => 4,
        _ => MOST_PORTS,
    }
}

/// The configuration of the bond with this number: all modes, 2 to 16 ports, three MTUs, and what
/// each mode is usually given beside.
pub fn config(number: usize) -> Value {
    let modes = BondMode::ALL;
    let mode = modes[number % modes.len()];
    let links: Vec<Value> =
        (1..=ports(number)).map(|port| json!({"name": format!("net{port}")})).collect();
    let mtu = [1280, 1500, 9000][number % 3];
    let subnet = format!("10.{}.{}.0/24", 64 + number / 256, number % 256);
    let gateway = format!("10.{}.{}.1", 64 + number / 256, number % 256);
    let mut config = json!({
        "type": "bond", "cniVersion": "1.0.0", "name": format!("bond-net{number}"),
        "mode": mode.name(), "linksInContainer": true, "mtu": mtu, "links": links,
        "ipam": {"type": "host-local", "subnet": subnet, "gateway": gateway,
                 "routes": [{"dst": "0.0.0.0/0"}]},
    });
    let usual = match mode {
        BondMode::ActiveBackup => json!({
            "failOverMac": 1, "miimon": "100", "primary": "net1", "numGratArp": 3,
        }),
        BondMode::BalanceRr => json!({"miimon": 100, "packetsPerSlave": 8}),
        BondMode::BalanceXor => json!({"miimon": 100, "xmitHashPolicy": "layer3+4"}),
        BondMode::Broadcast => json!({"arpInterval": 200, "arpIpTarget": [gateway]}),
        BondMode::Lacp => json!({
            "miimon": 50, "updelay": 200, "lacpRate": "fast", "adSelect": "bandwidth",
            "xmitHashPolicy": "layer2+3", "minLinks": 1,
        }),
        BondMode::BalanceTlb => json!({"miimon": 100, "tlbDynamicLb": 0}),
        BondMode::BalanceAlb => json!({"miimon": 100, "lpInterval": 2}),
    };
    if let (Some(config), Value::Object(usual)) = (config.as_object_mut(), usual) {
        config.extend(usual);
    }
    config
}

/// A manifest with all of them, each as a cluster would give it: its configuration is a text.
pub fn manifest() -> String {
    (0..COUNT).map(|number| nad(&format!("bond-net{number}"), &config(number))).collect()
}

/// The manifest of pods, a bond for each: its ports come from a plugin that is not podbond's, so
/// that no card is needed.
pub fn pods(foreign: &str) -> String {
    let port = json!({"type": foreign, "cniVersion": "1.0.0", "name": "port"});
    let mut text = nad("port", &port);
    for number in 0..COUNT {
        let mut networks = vec!["demo/port".to_owned(); ports(number)];
        networks.push(format!("demo/bond-net{number}@bond0"));
        let annotations = json!({"k8s.v1.cni.cncf.io/networks": networks.join(", ")});
        let metadata = json!({"name": format!("pod{number}"), "namespace": "demo", "annotations": annotations});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata});
        text.extend([pod.to_string(), "\n---\n".to_owned()]);
    }
    text
}

fn nad(name: &str, config: &Value) -> String {
    let nad = json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": "demo"}, "spec": {"config": config.to_string()},
    });
    format!("{nad}\n---\n")
}
