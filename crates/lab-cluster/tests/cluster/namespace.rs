//! A namespace for each test, so that tests run side by side.

use std::time::Duration;

use podbond_lab_cluster::kubectl;
use serde_json::{Value, json};

/// How long a pod may take to be Ready, under emulation on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(2);

/// A Kubernetes namespace that ends with the test, with its pods.
pub(crate) struct Namespace(pub(crate) &'static str);

impl Namespace {
    /// Makes it.
    pub(crate) fn new(name: &'static str) -> Self {
        kubectl::run(&["create", "namespace", name]).unwrap();
        // Without its service account a pod is refused.
        let account = || Ok(kubectl::get(name, "serviceaccount", "default").ok());
        kubectl::wait_for("the service account", READY_LIMIT, account).unwrap();
        Self(name)
    }

    /// Makes a pod that sleeps, of one container with these resources.
    pub(crate) fn pod(&self, name: &str, annotations: &Value, resources: &Value) {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "namespace": self.0, "annotations": annotations },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "podexample",
                    "image": kubectl::IMAGE,
                    "command": ["/bin/sleep", "infinity"],
                    "resources": { "requests": resources, "limits": resources },
                }],
            },
        });
        kubectl::apply(&pod.to_string()).unwrap();
    }

    /// Waits until a pod is Ready.
    pub(crate) fn wait_until_ready(&self, pod: &str) {
        if let Err(error) = kubectl::wait_until_ready(self.0, pod, READY_LIMIT) {
            panic!("{error}");
        }
    }

    /// Runs a command in a pod and returns what it printed.
    pub(crate) fn exec(&self, pod: &str, words: &[&str]) -> String {
        kubectl::exec(self.0, pod, words).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test that failed has told why.
        let _ = kubectl::run(&["delete", "namespace", self.0, "--wait=false"]);
    }
}
