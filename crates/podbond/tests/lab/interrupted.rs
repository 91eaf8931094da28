//! What a command that was killed, or an earlier life of the node, left behind.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::node::{
    RECORDS, Snapshot, WithNetworks, apply, failed, ip, nad, pod, podbond, succeeded, words,
};

const NETWORKS: &str = "demo/sriovnet1, demo/sriovnet2, demo/bond-net1";

fn record_of(pod: &str) -> PathBuf {
    Path::new("/var/lib/podbond/manifests/pods/demo").join(format!("{pod}.json"))
}

/// The file of an attachment's record.
fn attachment(container: &Value, ifname: &str) -> PathBuf {
    let name = format!("{}:{ifname}", words(container));
    let mut files = RECORDS.iter().map(|dir| Path::new(dir).join(&name));
    files.find(|file| file.exists()).unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

fn delete(pod: &str) -> std::process::Output {
    podbond(&["delete", "pod", pod, "-n", "demo"])
}

/// Promise: killed-apply-repeated
#[test]
fn pod_of_a_killed_apply_is_created_without_losing_vfs() {
    let networks = WithNetworks::new();
    let (before, manifest) = (Snapshot::take(), pod("killed", NETWORKS));
    succeeded(&apply(&manifest));
    // As if the command had been killed after it took one more VF and before it wrote that down.
    let mut record = read(&record_of("killed"));
    record["network_status"] = Value::Null;
    write(&record_of("killed"), &record);
    let vf = fs::canonicalize("/sys/class/net/pf0/device/virtfn3").unwrap();
    let vf = vf.file_name().unwrap().to_string_lossy().into_owned();
    let mut taken = read(&attachment(&record["container_id"], "net1"));
    for key in ["add", "link"] {
        taken.as_object_mut().unwrap().remove(key);
    }
    let chain = taken["chain"].as_object_mut().unwrap();
    chain.remove("result");
    chain.extend([("called".to_owned(), json!(0)), ("device".to_owned(), json!(vf))]);
    taken["state"] = "prepared".into();
    taken["ifname"] = "net7".into();
    taken["devices"] = json!([vf]);
    let name = format!("{}:net7", words(&record["container_id"]));
    write(&Path::new(RECORDS[1]).join(name), &taken);

    let said = succeeded(&apply(&manifest));
    assert_eq!(said.trim(), "Pod demo/killed created");
    assert_ne!(read(&record_of("killed"))["container_id"], record["container_id"]);
    let said = succeeded(&apply(&manifest));
    assert_eq!(said.trim(), "Pod demo/killed unchanged");
    succeeded(&delete("killed"));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

#[test]
fn remains_of_an_earlier_sandbox_hinder_no_new_one() {
    let networks = WithNetworks::new();
    let (before, manifest) = (Snapshot::take(), pod("reborn", NETWORKS));
    succeeded(&apply(&manifest));
    let eth0 = attachment(&read(&record_of("reborn"))["container_id"], "eth0");
    ip("netns del demo.reborn");
    let (whole, mut without_plugin) = (read(&eth0), read(&eth0));
    without_plugin["chain"]["configs"][0]["type"] = "no-such-plugin".into();
    write(&eth0, &without_plugin);

    let applied = apply(&manifest);
    succeeded(&applied);
    let said = String::from_utf8_lossy(&applied.stderr).into_owned();
    assert!(said.contains("no-such-plugin"), "{said}");
    assert!(failed(&delete("reborn")).contains("no-such-plugin"));
    write(&eth0, &whole);
    succeeded(&delete("reborn"));
    assert_eq!(Snapshot::take(), before);
    networks.end();
}

#[test]
fn deleted_sriovnetwork_keeps_nads_that_people_wrote() {
    let networks = WithNetworks::new();
    let namespace = "openshift-sriov-network-operator";
    let delete = || podbond(&["delete", "sriovnetwork", "sriovnet1", "-n", namespace]);
    succeeded(&delete());
    assert!(failed(&delete()).contains("there is no sriovnetwork"));
    succeeded(&apply(&nad("sriovnet1", r#"{"type": "sriov", "name": "own"}"#)));
    let file = format!("{}/networks.yaml", crate::node::EXAMPLES);
    succeeded(&podbond(&["delete", "-f", &file]));
    succeeded(&podbond(&["delete", "nad", "sriovnet1", "-n", "demo"]));
    networks.end();
}
