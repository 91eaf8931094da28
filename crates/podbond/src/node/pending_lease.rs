//! Pending leases: those that an IPAM plugin has not taken back at DEL.

use podbond_bond::{Finding, Object, kind};
use podbond_record::Record;
use serde::Serialize;

use super::pods::Pod;

/// A lease that an IPAM plugin has not taken back.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PendingLease {
    network: String,
    ipam: String,
    /// `namespace/name`; none where the runtime gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    container: String,
    interface: String,
    /// The IPAM plugin's last error.
    problem: String,
}

impl PendingLease {
    /// Returns the pending lease of an attachment, if there is one.
    fn of(record: &Record) -> Option<Self> {
        let ipam = record.add.as_ref().and_then(|add| add.config.ipam.clone());
        Some(Self {
            network: record.network_name(),
            ipam: ipam.unwrap_or_default(),
            pod: record.pod.as_ref().map(ToString::to_string),
            container: record.container_id.to_string(),
            interface: record.ifname.to_string(),
            problem: record.ipam_problem.clone()?,
        })
    }

    /// Returns the pending leases of these pods.
    pub(crate) fn of_all(pods: &[Pod]) -> Vec<Self> {
        pods.iter().flat_map(|pod| &pod.records).filter_map(Self::of).collect()
    }

    /// Returns the finding for it.
    pub(crate) fn finding(&self) -> Finding {
        let Self { network, interface, container, ipam, problem, .. } = self;
        let whose = match &self.pod {
            Some(pod) => format!("pod {pod}"),
            None => format!("container {container}"),
        };
        let object = Object::Lease(format!("{interface} of {whose} in network {network}"));
        let reason = format!("IPAM plugin {ipam:?} has not taken it back: {problem}");
        Finding::new(&kind::LEASE_PENDING, object, reason)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(pod: &serde_json::Value) -> PendingLease {
        let config = json!({"name": "bond-net1", "type": "bond", "ipam": {"type": "dhcp"}});
        let record = json!({
            "containerId": "c1", "ifname": "net3", "state": "ipam-pending", "pod": pod,
            "network": "bond-net1", "ipamProblem": "timeout",
            "add": {"config": config, "args": {}, "path": []},
        });
        PendingLease::of(&serde_json::from_value(record).unwrap()).unwrap()
    }

    #[test]
    fn finding_names_pod_and_ipam_plugin() {
        let lease = lease(&json!({"namespace": "demo", "name": "p"}));
        let finding = lease.finding().to_string();
        let start = "lease of net3 of pod demo/p in network bond-net1: IPAM plugin \"dhcp\" has not \
                     taken it back: timeout: ";
        assert!(finding.starts_with(start), "{finding}");
        assert!(finding.contains("`podbond gc`"), "{finding}");
        let json = serde_json::to_value(&lease).unwrap();
        assert_eq!((&json["pod"], &json["ipam"]), (&json!("demo/p"), &json!("dhcp")));
    }

    #[test]
    fn finding_names_the_container_of_a_pod_without_a_name() {
        let finding = lease(&json!(null)).finding().to_string();
        assert!(finding.starts_with("lease of net3 of container c1 in "), "{finding}");
    }
}
