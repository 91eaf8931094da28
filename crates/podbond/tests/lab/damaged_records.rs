//! A record that cannot be read keeps no command from what it can do for all others.

use std::path::Path;

use serde_json::Value;

use crate::damage::Damage;
use crate::node::{Snapshot, WithNetworks, apply, interface, pod, podbond, pods, succeeded, words};

const STATE: &str = "/var/lib/podbond";

/// The files whose records are reported as damaged, by `status` or `doctor`.
fn damaged(command: &str) -> Vec<String> {
    let report = succeeded(&podbond(&[command, "-o", "json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let damaged = findings.filter(|finding| finding["code"] == "record-damaged");
    damaged.map(|finding| words(&finding["object"]["names"][0])).collect()
}

/// The file of the only attachment of a pod.
fn attachment(name: &str) -> String {
    let dirs = ["/var/lib/podbond/attachments", "/run/podbond/attachments"];
    let files = dirs.into_iter().flat_map(std::fs::read_dir).flatten();
    let mut paths = files.map(|file| file.unwrap().path());
    let is_its = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        path.to_string_lossy().ends_with(":net1") && text.contains(&format!("\"name\":\"{name}\""))
    };
    paths.find(is_its).unwrap().display().to_string()
}

/// Promise: del-damaged-state
#[test]
fn damaged_record_hinders_no_pod_from_being_deleted() {
    let networks = WithNetworks::new();
    let before = Snapshot::take();
    // What is removed is no damaged record, but none.
    let damages = Damage::ALL.into_iter().filter(|damage| *damage != Damage::Removed);
    for (round, damage) in damages.enumerate() {
        for name in ["hurt", "whole"] {
            succeeded(&apply(&pod(name, "demo/sriovnet1")));
        }
        let file = match round % 2 {
            0 => format!("{STATE}/manifests/pods/demo/hurt.json"),
            _ => attachment("hurt"),
        };
        damage.befall(Path::new(&file));
        let shown = pods(&[]);
        assert_eq!(shown.len(), 2, "{damage:?}");
        assert!(shown.iter().all(|pod| interface(pod, "net1")["function"].is_object()));
        for command in ["status", "doctor"] {
            assert_eq!(damaged(command), [file.as_str()], "{command}, {damage:?}");
            let text = succeeded(&podbond(&[command]));
            assert!(text.contains("demo/whole") && text.contains(&file), "{text}");
            assert!(text.contains("delete its pod"), "{text}");
        }
        for name in ["whole", "hurt"] {
            succeeded(&podbond(&["delete", "pod", name, "-n", "demo"]));
        }
        assert_eq!(Snapshot::take().without_names(), before.without_names(), "{damage:?}");
    }
    networks.end();
}
