//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, with the certificates and rights that
//! a cluster has: Node and RBAC authorization, `NodeRestriction`, an audit log.

use std::process::Command;

use serde_json::json;

use crate::{
    certificates::{Authority, Identity, kubeconfig},
    error::Error,
    kubernetes::Kubernetes,
    network::{HOST, PORT, SERVICE, SERVICES},
    process::Component,
    state::State,
};

/// Where etcd listens: in the namespace of the control plane alone, where no node reaches it.
const ETCD: &str = "http://127.0.0.1:2379";

/// The client that the API server is to the kubelets.
const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Each client of the API server with a kubeconfig: its file, its name, its group.
const CLIENTS: [(&str, &str, Option<&str>); 3] = [
    ("admin", "kubernetes-admin", Some("system:masters")),
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
];

/// Makes the certificates and kubeconfigs of the control plane.
pub(crate) fn prepare(state: &State) -> Result<Authority, Error> {
    let authority = Authority::new(state.path("pki"))?;
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(String::from);
    let addresses = [HOST.to_string(), SERVICE.to_string(), "127.0.0.1".into()];
    let reached = names.into_iter().chain(addresses).collect();
    authority.sign("apiserver", &Identity::Server { name: "kube-apiserver", reached })?;
    let client = Identity::Client { name: KUBELET_CLIENT, group: None };
    authority.sign(KUBELET_CLIENT, &client)?;
    authority.token_key("tokens")?;
    for (file, name, group) in CLIENTS {
        authority.sign(file, &Identity::Client { name, group })?;
        let text = kubeconfig(HOST, PORT, &state.path("pki"), file);
        state.write(&format!("{file}.kubeconfig"), &text)?;
    }
    // Who did what, without the objects themselves; one line for each request when it is answered.
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{ "level": "Metadata" }],
    });
    state.write("audit-policy.yaml", &format!("{policy:#}\n"))?;
    Ok(authority)
}

/// Starts etcd and the API server.
pub(crate) fn start_server(
    kubernetes: &Kubernetes,
    state: &State,
) -> Result<Vec<Component>, Error> {
    start(kubernetes, state, [("etcd", etcd(state)), ("kube-apiserver", apiserver(state))])
}

/// Starts the API server's clients. It must be ready: they end when they have no rights yet, which it gives
/// itself as it starts.
pub(crate) fn start_clients(
    kubernetes: &Kubernetes,
    state: &State,
) -> Result<Vec<Component>, Error> {
    let programs = [
        ("kube-controller-manager", controller_manager(state)),
        ("kube-scheduler", scheduler(state)),
    ];
    start(kubernetes, state, programs)
}

fn start(
    kubernetes: &Kubernetes,
    state: &State,
    programs: [(&str, Vec<String>); 2],
) -> Result<Vec<Component>, Error> {
    let start = |(name, arguments): (&str, Vec<String>)| {
        let mut command = Command::new(kubernetes.executable(name));
        command.args(arguments).current_dir(state.dir());
        Component::start(name, command, state.log(name))
    };
    programs.into_iter().map(start).collect()
}

/// What RBAC lacks for the API server's own client certificate: to reach the kubelets, for `kubectl exec`
/// and the like.
pub(crate) fn kubelet_access() -> String {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": "lab-apiserver-to-kubelets" },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:kubelet-api-admin",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "User",
            "name": KUBELET_CLIENT,
        }],
    })
    .to_string()
}

fn etcd(state: &State) -> Vec<String> {
    vec![
        flag("data-dir", state.path("etcd").display()),
        flag("listen-client-urls", ETCD),
        flag("advertise-client-urls", ETCD),
        flag("listen-peer-urls", "http://127.0.0.1:2380"),
        // Nothing of a cluster outlives it.
        "--unsafe-no-fsync".into(),
    ]
}

fn apiserver(state: &State) -> Vec<String> {
    let pki = |name: &str| state.path("pki").join(name).display().to_string();
    vec![
        flag("etcd-servers", ETCD),
        flag("advertise-address", HOST),
        flag("secure-port", PORT),
        flag("service-cluster-ip-range", SERVICES),
        flag("client-ca-file", pki("ca.crt")),
        flag("tls-cert-file", pki("apiserver.crt")),
        flag("tls-private-key-file", pki("apiserver.key")),
        flag("kubelet-certificate-authority", pki("ca.crt")),
        flag("kubelet-client-certificate", pki(&format!("{KUBELET_CLIENT}.crt"))),
        flag("kubelet-client-key", pki(&format!("{KUBELET_CLIENT}.key"))),
        // Nobody here resolves the nodes' names.
        flag("kubelet-preferred-address-types", "InternalIP"),
        flag("service-account-issuer", "https://kubernetes.default.svc"),
        flag("service-account-key-file", pki("tokens.pub")),
        flag("service-account-signing-key-file", pki("tokens.key")),
        flag("authorization-mode", "Node,RBAC"),
        flag("enable-admission-plugins", "NodeRestriction"),
        flag("allow-privileged", true),
        // Webhooks are called at their pods' addresses: there is no kube-proxy for those of services.
        flag("enable-aggregator-routing", true),
        flag("audit-policy-file", state.path("audit-policy.yaml").display()),
        flag("audit-log-path", state.log("audit").display()),
    ]
}

fn controller_manager(state: &State) -> Vec<String> {
    let pki = |name: &str| state.path("pki").join(name).display().to_string();
    let mut arguments = client(state, "controller-manager");
    arguments.extend([
        "--use-service-account-credentials".into(),
        flag("service-account-private-key-file", pki("tokens.key")),
        flag("root-ca-file", pki("ca.crt")),
        flag("cluster-signing-cert-file", pki("ca.crt")),
        flag("cluster-signing-key-file", pki("ca.key")),
    ]);
    arguments
}

fn scheduler(state: &State) -> Vec<String> {
    client(state, "scheduler")
}

/// Returns what a component that there is one of needs to be a client of the API server, and to ask it
/// about its own clients.
fn client(state: &State, file: &str) -> Vec<String> {
    let config = state.path(&format!("{file}.kubeconfig")).display().to_string();
    vec![
        flag("leader-elect", false),
        flag("kubeconfig", &config),
        flag("authentication-kubeconfig", &config),
        flag("authorization-kubeconfig", &config),
    ]
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}
