//! Leases that IPAM plugins have not taken back, as people and machines are told of them.

use podbond_api::ObjectKey;
use podbond_bond::{Finding, Object, Reason};
use podbond_cni::Args;
use podbond_ipam::{Debt, Debts};
use serde::Serialize;

use crate::output::note;

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwedLease {
    network: String,
    ipam: String,
    /// `namespace/name`, where the runtime told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    container: String,
    interface: String,
    /// What the IPAM plugin said last.
    problem: String,
    /// When it was first asked, in s since 1970.
    since: u64,
    /// When it was last asked.
    tried: u64,
}

/// All of the node, the one that was tried last at the end. What cannot be looked at is told beside
/// the answer.
pub(crate) fn leases() -> Vec<OwedLease> {
    let debts = Debts::default().list().unwrap_or_else(|error| {
        note(format_args!("podbond: {error}"));
        Vec::new()
    });
    debts.iter().map(OwedLease::of).collect()
}

impl OwedLease {
    fn of(debt: &Debt) -> Self {
        let request = &debt.request;
        Self {
            network: request.config.name.clone(),
            ipam: debt.ipam().to_owned(),
            pod: pod_of(&request.args),
            container: request.container_id.to_string(),
            interface: request.ifname.to_string(),
            problem: debt.problem.clone(),
            since: debt.since,
            tried: debt.tried,
        }
    }

    /// Whether it was this pod's.
    pub(crate) fn is_of(&self, is_wanted: impl Fn(&ObjectKey) -> bool) -> bool {
        let pod = self.pod.as_deref().and_then(|pod| pod.parse().ok());
        pod.is_some_and(|pod| is_wanted(&pod))
    }

    /// The finding.
    pub(crate) fn finding(&self) -> Finding {
        let Self { network, interface, container, .. } = self;
        let whose = match &self.pod {
            Some(pod) => format!("pod {pod}"),
            None => format!("container {container}"),
        };
        let object = Object::Lease(format!("{interface} of {whose} in network {network}"));
        let (ipam, problem) = (self.ipam.clone(), self.problem.clone());
        Finding::new(object, Reason::LeaseOwed { ipam, problem })
    }
}

fn pod_of(args: &Args) -> Option<String> {
    let (namespace, name) = (args.get("K8S_POD_NAMESPACE")?, args.get("K8S_POD_NAME")?);
    Some(format!("{namespace}/{name}"))
}

#[cfg(test)]
mod tests {
    use podbond_cni::{NetConf, Request};
    use serde_json::json;

    use super::*;

    fn lease(args: &[(&str, &str)]) -> OwedLease {
        let config = json!({"name": "bond-net1", "type": "bond", "ipam": {"type": "dhcp"}});
        OwedLease::of(&Debt {
            request: Request {
                container_id: "c1".to_owned().try_into().unwrap(),
                netns: None,
                ifname: "net3".parse().unwrap(),
                args: Args(args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
                path: Vec::new(),
                config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
            },
            problem: "the server is away".to_owned(),
            since: 1,
            tried: 2,
        })
    }

    #[test]
    fn an_owed_lease_is_told_with_whose_it_is_and_who_keeps_it() {
        let lease = lease(&[("K8S_POD_NAMESPACE", "demo"), ("K8S_POD_NAME", "p")]);
        let finding = lease.finding().to_string();
        assert!(
            finding.starts_with(
                "lease of net3 of pod demo/p in network bond-net1: IPAM plugin \"dhcp\" has not \
                 taken it back: the server is away: "
            ),
            "{finding}"
        );
        assert!(finding.contains("`podbond gc`"), "{finding}");
        assert!(lease.is_of(|pod| pod.name.as_str() == "p"));
        let json = serde_json::to_value(&lease).unwrap();
        assert_eq!((&json["pod"], &json["ipam"]), (&json!("demo/p"), &json!("dhcp")));
    }

    #[test]
    fn one_of_a_runtime_that_tells_no_pod_is_told_by_its_container() {
        let lease = lease(&[]);
        assert!(lease.finding().to_string().starts_with("lease of net3 of container c1 in "));
        assert!(!lease.is_of(|_| true));
    }
}
