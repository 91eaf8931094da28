//! Multus on a node, thin and thick, with the plugins that it is used with: its executables are on the node
//! already, what configures them is written here.

use std::path::Path;

use podbond_lab_cluster::kubectl::{self, NodeShell};
use serde_json::{Value, json};

use crate::{error::Error, objects, wait::until};

/// Where the plugins are that Multus is to call, apart from podbond's of the same names.
const BIN_DIR: &str = "/opt/cni/peer";

/// Where its configuration is, beside the runtime's folder.
const DIR: &str = "/etc/cni/bench";

/// The primary network's file, by its path and in that folder.
const PRIMARY: (&str, &str) = ("/etc/cni/net.d/10-lab.conflist", "10-lab.conflist");

/// The authority of the API server, as a node has it.
const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";

/// The account that it asks the API as, in `kube-system`.
const ACCOUNT: &str = "multus";

/// Gives it its account and a kubeconfig.
pub(crate) fn prepare(node: &NodeShell) -> Result<(), Error> {
    kubectl::apply(&account().to_string())?;
    let kubeconfig = objects::kubeconfig("kube-system", ACCOUNT, Path::new(AUTHORITY))?;
    node.run(&["mkdir", "-p", DIR])?;
    write(node, &path("multus.kubeconfig"), &kubeconfig)?;
    node.run(&["cp", PRIMARY.0, &path(PRIMARY.1)])?;
    Ok(())
}

/// Returns the runtime's configuration that calls a thin one.
pub(crate) fn thin(node: &NodeShell) -> Result<String, Error> {
    let primary: Value = serde_json::from_str(&node.run(&["cat", PRIMARY.0])?)?;
    let plugin = json!({
        "type": "multus", "delegates": [primary], "binDir": BIN_DIR,
        "kubeconfig": path("multus.kubeconfig"),
    });
    Ok(list(&plugin))
}

/// Starts the daemon of a thick one, and returns the runtime's configuration that calls it.
pub(crate) fn thick(node: &NodeShell, name: &str) -> Result<String, Error> {
    let config = json!({
        "cniVersion": "1.0.0", "socketDir": "/run/multus/", "binDir": BIN_DIR,
        "cniConfigDir": DIR, "multusAutoconfigDir": DIR, "multusConfigFile": "auto",
        "kubeconfig": path("multus.kubeconfig"),
    });
    let file = path("daemon.json");
    write(node, &file, &config.to_string())?;
    let daemon = format!(
        "MULTUS_NODE_NAME={name} setsid {BIN_DIR}/multus-daemon -config {file} \
         </dev/null >/var/log/multus-daemon.log 2>&1 &"
    );
    node.run(&["sh", "-c", &daemon])?;
    let written = format!("cat {DIR}/00-multus.conf*");
    let found = until("the thick Multus' configuration", || {
        Ok(node.run(&["sh", "-c", &written]).ok().filter(|text| !text.is_empty()))
    });
    found.map_err(|error| match error {
        Error::Late { what, seconds, .. } => {
            let said = node.run(&["tail", "-n", "20", "/var/log/multus-daemon.log"]);
            Error::Late { what, seconds, said: format!(":\n{}", said.unwrap_or_default()) }
        }
        other => other,
    })
}

/// Writes a file on the node.
pub(crate) fn write(node: &NodeShell, path: &str, text: &str) -> Result<(), Error> {
    node.run(&["sh", "-c", "printf %s \"$1\" >\"$0\"", path, text])?;
    Ok(())
}

fn path(name: &str) -> String {
    format!("{DIR}/{name}")
}

fn list(plugin: &Value) -> String {
    json!({ "cniVersion": "1.0.0", "name": "multus-cni-network", "plugins": [plugin] }).to_string()
}

/// Returns the service account with what Multus needs of the API.
fn account() -> Value {
    let allow = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({ "apiGroups": groups, "resources": resources, "verbs": verbs });
    let read = ["get", "list", "watch"];
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": ACCOUNT },
        "rules": [
            allow(&["k8s.cni.cncf.io"], &["*"], &read),
            allow(&[""], &["pods"], &read),
            allow(&[""], &["pods/status"], &["get", "update"]),
            allow(&["resource.k8s.io"], &["resourceclaims", "resourceslices"], &["get", "list"]),
            allow(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": ACCOUNT },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT,
        },
        "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": "kube-system" }],
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": ACCOUNT, "namespace": "kube-system" },
    });
    json!({ "apiVersion": "v1", "kind": "List", "items": [account, role, binding] })
}
