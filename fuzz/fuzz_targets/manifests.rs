//! Manifests: NADs, pods, policies and networks as YAML or JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use podbond_api::{Object, read_manifests, render};

fuzz_target!(|text: &str| {
    let objects = match read_manifests(text, "input") {
        Ok(objects) => objects,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    for object in objects {
        match object {
            Object::Nad(nad) => again(&nad),
            Object::SriovNetwork(network) => again(&render(&network)),
            Object::SriovNetworkNodePolicy(policy) => {
                let text = policy.to_manifest().to_string();
                let read = read_manifests(&text, "written").expect("a policy that was written");
                assert_eq!(read, [Object::SriovNetworkNodePolicy(policy)]);
            }
            Object::Pod(pod) => {
                let _ = pod.networks();
            }
            Object::Other { .. } => {}
        }
    }
});

/// What is kept of a NAD is the NAD.
fn again(nad: &podbond_api::Nad) {
    let text = nad.to_manifest().to_string();
    let read = read_manifests(&text, "written").expect("a NAD that was written");
    assert_eq!(read, [Object::Nad(nad.clone())]);
}
