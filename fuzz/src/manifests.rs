//! Manifests: NADs, pods, policies and networks as YAML or JSON.

use podbond_api::{Object, read_manifests, render};

/// Reads manifests, and reads again what is written of them.
///
/// # Panics
/// When an object is another once it is written and read again.
pub(crate) fn read(text: &str) {
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
}

/// What is kept of a NAD is the NAD.
fn again(nad: &podbond_api::Nad) {
    let text = nad.to_manifest().to_string();
    let read = read_manifests(&text, "written").expect("a NAD that was written");
    assert_eq!(read, [Object::Nad(nad.clone())]);
}
