//! What a person does with kubectl, for the programs that run in a cluster: tests and the demo. The
//! environment says which kubectl and which cluster.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use podbond_lab::Progress;
use serde_json::{Value, json};

use crate::{disk::POD_IMAGE, error::Error, process};

/// Between two looks at what is waited for.
const PACE: Duration = Duration::from_millis(250);

/// What is here within this time is not told to be waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// The image that each node has: with bash, ip, ping, sleep and a few more.
pub const IMAGE: &str = POD_IMAGE;

/// Returns a kubectl command.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.args(arguments);
    command
}

/// Runs kubectl and returns what it printed.
pub fn run(arguments: &[&str]) -> Result<String, Error> {
    process::output(&mut command(arguments), &format!("kubectl {}", arguments.join(" ")))
}

/// Applies manifests, of YAML or JSON.
pub fn apply(manifests: &str) -> Result<(), Error> {
    process::feed(&mut command(&["apply", "--filename", "-"]), "kubectl apply", manifests)
}

/// Returns an object.
pub fn get(namespace: &str, kind: &str, name: &str) -> Result<Value, Error> {
    let text = run(&["get", "--namespace", namespace, kind, name, "--output", "json"])?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// Runs a command in a pod's first container and returns what it printed.
pub fn exec(namespace: &str, pod: &str, words: &[&str]) -> Result<String, Error> {
    let mut arguments = vec!["exec", "--namespace", namespace, pod, "--"];
    arguments.extend(words);
    run(&arguments)
}

/// Waits until a pod is Ready; when it is not in time, the error has what `kubectl describe` tells of it.
pub fn wait_until_ready(namespace: &str, pod: &str, limit: Duration) -> Result<(), Error> {
    let ready = || {
        let pod = get(namespace, "pod", pod)?;
        Ok(has_condition(&pod, "Ready").then_some(()))
    };
    wait_for(&format!("pod {namespace}/{pod}"), limit, ready).map_err(|error| match error {
        Error::Late { limit, .. } => {
            let described = run(&["describe", "pod", "--namespace", namespace, pod]);
            let tails = described.unwrap_or_else(|error| error.to_string());
            Error::Late { what: format!("pod {namespace}/{pod} was not Ready"), limit, tails }
        }
        other => other,
    })
}

/// Whether an object's status has a condition that is true.
pub(crate) fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Looks again and again until there is something to return; says so every two seconds.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let (began, progress) = (Instant::now(), Progress::on_stderr());
    loop {
        let seen = look()?;
        if let Some(seen) = seen {
            return Ok(seen);
        }
        let waited = began.elapsed();
        if waited > limit {
            let what = format!("{what} was not seen");
            return Err(Error::Late { what, limit, tails: String::new() });
        }
        if waited > SILENCE {
            progress.advance(format_args!("waiting for {what}: {} s", waited.as_secs()));
        }
        thread::sleep(PACE);
    }
}

/// A shell on a node: a privileged pod there that runs commands in the node's own namespaces.
#[derive(Debug)]
pub struct NodeShell {
    pod: String,
}

impl NodeShell {
    /// Starts it, or takes the one that is there.
    pub fn open(node: &str) -> Result<Self, Error> {
        let pod = format!("shell-on-{node}");
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": pod, "namespace": "kube-system" },
            "spec": {
                "nodeName": node,
                "hostNetwork": true,
                "hostPID": true,
                "terminationGracePeriodSeconds": 0,
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{
                    "name": "shell",
                    "image": IMAGE,
                    "command": ["/bin/sleep", "infinity"],
                    "securityContext": { "privileged": true },
                }],
            },
        });
        apply(&manifest.to_string())?;
        wait_until_ready("kube-system", &pod, Duration::from_mins(1))?;
        Ok(Self { pod })
    }

    /// Runs a command as root on the node and returns what it printed.
    pub fn run(&self, words: &[&str]) -> Result<String, Error> {
        let mut arguments = vec!["/bin/nsenter", "--target=1", "--mount", "--net", "--uts", "--"];
        arguments.extend(words);
        exec("kube-system", &self.pod, &arguments)
    }
}
