//! Objects of the API, by kubectl: NADs and pods of any number, which nobody runs.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use podbond_lab_cluster::kubectl;
use serde_json::{Value, json};

use crate::error::Error;

/// The namespace of the objects.
pub(crate) const NAMESPACE: &str = "demo";

/// How many kubectl make objects at once: each waits for an answer before it asks again.
const AT_ONCE: usize = 8;

/// Returns a NAD as large as the documented bond's.
pub(crate) fn nad(name: &str) -> Value {
    let config = json!({
        "cniVersion": "1.0.0", "name": name, "type": "bond", "mode": "active-backup",
        "failOverMac": 1, "linksInContainer": true, "miimon": "100", "mtu": 1500,
        "links": [{"name": "net1"}, {"name": "net2"}],
        "ipam": {
            "type": "host-local", "subnet": "10.56.217.0/24", "gateway": "10.56.217.1",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    });
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "annotations": { "k8s.v1.cni.cncf.io/resourceName": "openshift.io/sriovnic1" },
        },
        "spec": { "config": config.to_string() },
    })
}

/// Returns a pod that is bound to a node, as a Deployment's is; `networks` is its annotation.
pub(crate) fn pod(name: &str, node: &str, networks: Option<&str>) -> Value {
    let probe = json!({ "httpGet": { "path": "/healthz", "port": 8080 }, "periodSeconds": 10 });
    let variables: Vec<Value> =
        (0..8).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "a value"})).collect();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "labels": { "app": "measured", "pod-template-hash": "5d4f8c7b9" },
            "annotations": { "example.com/config-checksum": "0123456789abcdef0123456789abcdef" },
        },
        "spec": {
            "nodeName": node,
            "containers": [{
                "name": "main", "image": "registry.example/team/program:1.0.0", "env": variables,
                "readinessProbe": probe, "livenessProbe": probe,
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
            }],
        },
    });
    if let Some(networks) = networks {
        pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = networks.into();
    }
    pod
}

/// Makes objects, several at once; the files that say what are in `dir` meanwhile.
pub(crate) fn create(objects: &[Value], dir: &Path) -> Result<(), Error> {
    let part = objects.len().div_ceil(AT_ONCE).max(1);
    let mut running = Vec::new();
    for (at, part) in objects.chunks(part).enumerate() {
        let path = dir.join(format!("objects-{at}.json"));
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": part });
        fs::write(&path, list.to_string()).map_err(Error::file("write", &path))?;
        let mut command = Command::new("kubectl");
        command.args(["create", "--validate=false", "--output", "name", "--filename"]).arg(&path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        running.push((path, command.spawn().map_err(Error::start("kubectl"))?));
    }
    for (path, child) in running {
        let output =
            child.wait_with_output().map_err(Error::file("wait for kubectl with", &path))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Program { doing: "making objects".into(), said });
        }
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    }
    Ok(())
}

/// Returns a kubeconfig with the token of a service account; the file of the cluster's authority is where it is
/// read.
pub(crate) fn kubeconfig(
    namespace: &str,
    account: &str,
    authority: &Path,
) -> Result<String, Error> {
    let token = kubectl::run(&["create", "token", account, "--namespace", namespace])?;
    let server = "jsonpath={.clusters[0].cluster.server}";
    let server = kubectl::run(&["config", "view", "--minify", "--output", server])?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": server.trim(), "certificate-authority": authority,
        }}],
        "users": [{"name": "u", "user": {"token": token.trim()}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    Ok(config.to_string())
}
