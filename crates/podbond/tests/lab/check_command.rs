//! `podbond check`: whether pods still are what was made for them, whatever their networks' version.

use serde_json::{Value, json};

use crate::node::{WithNetworks, apply, bond_config, in_pod, nad, pod, podbond, succeeded, words};

/// What `podbond check` of a pod says, and with which exit status.
fn check(name: &str) -> (Option<i32>, Vec<Value>) {
    let output = podbond(&["check", "-n", "demo", name, "-o", "json"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), rows)
}

/// `net3 bond ok` for each plugin of each attachment.
fn outcomes(rows: &[Value]) -> Vec<String> {
    let outcome = |row: &Value| {
        let [interface, plugin, outcome] =
            ["interface", "plugin", "outcome"].map(|key| words(&row[key]));
        format!("{interface} {plugin} {outcome}")
    };
    rows.iter().map(outcome).collect()
}

/// Promise: check-any-version
#[test]
fn check_reports_every_difference_in_every_version() {
    let networks = WithNetworks::new();
    for version in ["0.3.1", "1.0.0", "1.1.0"] {
        let config = bond_config(&json!({"cniVersion": version, "name": "bond-checked"}));
        succeeded(&apply(&nad("bond-checked", &config.to_string())));
        let annotation = "demo/sriovnet1, demo/sriovnet2, demo/bond-checked";
        succeeded(&apply(&pod("checked", annotation)));
        let well = ["eth0 bridge ok", "net1 sriov ok", "net2 sriov ok", "net3 bond ok"];
        let (status, rows) = check("checked");
        assert_eq!((status, outcomes(&rows)), (Some(0), well.map(str::to_owned).to_vec()));

        let sh = |command: &str| in_pod("checked", &["sh", "-c", command]);
        sh("echo 50 > /sys/class/net/net3/bonding/miimon");
        sh("ip link set net2 nomaster");
        sh("ip link set net3 mtu 1400");
        sh("ip addr flush dev net3 scope global");
        let (status, rows) = check("checked");
        assert_eq!(status, Some(4), "{rows:#?}");
        let bond = rows.iter().find(|row| row["interface"] == "net3").unwrap();
        assert_eq!(bond["outcome"], "differs");
        let detail = words(&bond["detail"]);
        for part in
            ["miimon is 50, not 100", "net2 is no port", "mtu of net3 is 1400", "10.56.217."]
        {
            assert!(detail.contains(part), "{version}: {part}: {detail}");
        }
        let text = String::from_utf8_lossy(&podbond(&["check"]).stdout).into_owned();
        assert!(text.contains("pod demo/checked: net3: ") && text.contains("differs"), "{text}");
        succeeded(&podbond(&["delete", "pod", "checked", "-n", "demo"]));
    }
    succeeded(&podbond(&["delete", "nad", "bond-checked", "-n", "demo"]));
    networks.end();
}

#[test]
fn foreign_plugin_is_checked_from_version_0_4_0() {
    let networks = WithNetworks::new();
    for (version, outcome) in [("0.3.1", "not-checked"), ("0.4.0", "ok")] {
        let mut bond = bond_config(&json!({}));
        bond.as_object_mut().unwrap().remove("cniVersion");
        let tuning = json!({"type": "tuning", "allmulti": true});
        let list = json!({"cniVersion": version, "name": "bond-net1", "plugins": [bond, tuning]});
        succeeded(&apply(&nad("tuned", &list.to_string())));
        succeeded(&apply(&pod("tuned", "demo/sriovnet1, demo/sriovnet2, demo/tuned")));
        let (status, rows) = check("tuned");
        let outcomes = outcomes(&rows);
        assert_eq!(status, Some(0), "{rows:#?}");
        assert_eq!(outcomes[3..], ["net3 bond ok".to_owned(), format!("net3 tuning {outcome}")]);
        succeeded(&podbond(&["delete", "pod", "tuned", "-n", "demo"]));
    }
    succeeded(&podbond(&["delete", "nad", "tuned", "-n", "demo"]));
    networks.end();
}

/// Promise: check-any-version
#[test]
fn check_of_a_gone_namespace_differs_of_an_absent_pod_fails() {
    let networks = WithNetworks::new();
    succeeded(&apply(&pod("gone", "demo/sriovnet1")));
    crate::node::ip("netns del demo.gone");
    let (status, rows) = check("gone");
    assert_eq!(
        (status, outcomes(&rows)),
        (Some(4), vec!["eth0  differs".into(), "net1  differs".into()])
    );
    assert!(words(&rows[1]["detail"]).contains("`podbond gc`"), "{rows:#?}");
    succeeded(&podbond(&["delete", "pod", "gone", "-n", "demo"]));
    assert_eq!(podbond(&["check", "-n", "demo", "gone"]).status.code(), Some(3));
    networks.end();
}
