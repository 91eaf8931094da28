//! `CNI_ARGS` of an attachment's plugins: the pod's namespace, name and UID.

use podbond_cni::Args;
use podbond_record::{ChainPart, Record};

/// The keys of `CNI_ARGS` that name the pod.
pub(crate) const POD_ARGS: [&str; 5] = [
    "IgnoreUnknown",
    "K8S_POD_NAMESPACE",
    "K8S_POD_NAME",
    "K8S_POD_INFRA_CONTAINER_ID",
    "K8S_POD_UID",
];

/// Returns `CNI_ARGS` for the plugins of an attachment, with the pod as kubelet's runtimes and Multus name
/// it.
pub(crate) fn cni_args(record: &Record, chain: &ChainPart) -> Args {
    let mut pairs = chain.args.0.clone();
    let pod = record.pod.as_ref();
    let values = [
        Some("1".to_owned()),
        pod.map(|pod| pod.namespace.to_string()),
        pod.map(|pod| pod.name.to_string()),
        Some(record.container_id.to_string()),
        pod.and_then(|pod| pod.uid.as_ref().map(ToString::to_string)),
    ];
    for (key, value) in POD_ARGS.into_iter().zip(values) {
        pairs.extend(value.map(|value| (key.to_owned(), value)));
    }
    Args(pairs)
}
