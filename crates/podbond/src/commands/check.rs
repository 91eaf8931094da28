//! `podbond check`: calls CHECK of every plugin of every attachment.

use podbond_attach::Checked;
use podbond_record::{Record, State};
use serde::Serialize;

use crate::arguments::{Output, PodsArgs};
use crate::error::Error;
use crate::node::{Node, Pod, read_pods, require_root};
use crate::output::{Table, say, say_json};

/// The outcome of CHECK of a plugin of an attachment.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    pod: String,
    interface: String,
    network: String,
    /// None where no plugin was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    outcome: Outcome,
    /// Why, or what differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Ok,
    NotChecked,
    Differs,
    Error,
}

/// Compares the attachments of pods with what their ADD was asked for.
pub(crate) fn check(node: &Node<'_>, args: &PodsArgs) -> Result<(), Error> {
    require_root("check")?;
    let (pods, unreadable) = read_pods(node, &args.selection())?;
    let mut rows = Vec::new();
    for pod in &pods {
        rows.extend(pod.records.iter().flat_map(|record| check_attachment(node, pod, record)));
    }
    match args.output {
        Output::Json => say_json(&rows),
        Output::Text => lines(&rows).iter().for_each(say),
    }
    let mut errors: Vec<Error> = unreadable.into_iter().map(Error::from).collect();
    match rows.iter().map(|row| row.outcome).max() {
        Some(Outcome::Error) => errors.push(Error::Unchecked),
        Some(Outcome::Differs) => errors.push(Error::Unwell),
        _ => {}
    }
    Error::gather(errors)
}

fn check_attachment(node: &Node<'_>, pod: &Pod, record: &Record) -> Vec<Row> {
    let row = |plugin, (outcome, detail)| Row {
        pod: pod.name.clone(),
        interface: record.ifname.to_string(),
        network: record.network_name(),
        plugin,
        outcome,
        detail,
    };
    if let Some((outcome, detail)) = unfinished(record) {
        return vec![row(None, (outcome, Some(detail)))];
    }
    let checked = node.check(record).into_iter();
    checked.map(|(plugin, checked)| row(Some(plugin), outcome_of(checked))).collect()
}

/// Returns the outcome for an attachment whose plugins need not be asked: it is gone, or its ADD or DEL
/// has not ended.
fn unfinished(record: &Record) -> Option<(Outcome, String)> {
    let (outcome, detail) = match record.state {
        State::IpamPending => {
            let problem = record.ipam_problem.as_deref().unwrap_or_default();
            let detail = format!("its IPAM plugin has not taken back its lease: {problem}");
            return Some((Outcome::Differs, detail));
        }
        _ if record.is_orphan() => (
            Outcome::Differs,
            "its network namespace is gone: `podbond gc` removes what is left of it",
        ),
        State::Prepared => (
            Outcome::NotChecked,
            "its ADD has not ended, or was killed: check again later, or delete the pod",
        ),
        State::Releasing => (Outcome::Differs, "its DEL has not ended: delete the pod again"),
        State::Active => return None,
    };
    Some((outcome, detail.to_owned()))
}

fn outcome_of(checked: Checked) -> (Outcome, Option<String>) {
    match checked {
        Checked::Same => (Outcome::Ok, None),
        Checked::Differs(failure) => (Outcome::Differs, Some(failure.to_string())),
        Checked::Failed(failure) => (Outcome::Error, Some(failure.to_string())),
        Checked::NotChecked(why) => (Outcome::NotChecked, Some(why)),
    }
}

/// Returns a table, and below it a line for each outcome that has a detail.
fn lines(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["no attachments here".to_owned()];
    }
    let mut table = Table::new(["POD", "INTERFACE", "NETWORK", "PLUGIN", "CHECK"]);
    for row in rows {
        let outcome = match row.outcome {
            Outcome::Ok => "ok",
            Outcome::NotChecked => "not checked",
            Outcome::Differs => "differs",
            Outcome::Error => "error",
        };
        let plugin = row.plugin.clone().unwrap_or_else(|| "-".to_owned());
        let (interface, network) = (row.interface.clone(), row.network.clone());
        table.row([row.pod.clone(), interface, network, plugin, outcome.to_owned()]);
    }
    let mut lines = table.lines();
    for row in rows {
        let detail = row.detail.iter();
        lines.extend(detail.map(|detail| format!("pod {}: {}: {detail}", row.pod, row.interface)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use podbond_kernel::NetnsIdentity;
    use serde_json::json;

    use super::*;

    fn row(plugin: &str, outcome: Outcome, detail: Option<&str>) -> Row {
        Row {
            pod: "demo/bondpod1".to_owned(),
            interface: "net3".to_owned(),
            network: "demo/bond-net1".to_owned(),
            plugin: Some(plugin.to_owned()).filter(|plugin| !plugin.is_empty()),
            outcome,
            detail: detail.map(str::to_owned),
        }
    }

    /// Promise: check-any-version
    #[test]
    fn add_that_may_still_be_at_work_is_no_difference() {
        let own = NetnsIdentity::of(Path::new("/proc/self/ns/net")).unwrap();
        let outcome = |state: &str, netns: Option<&NetnsIdentity>| {
            let record = serde_json::from_value(json!({
                "containerId": "c1", "ifname": "net1", "state": state, "network": "n",
                "netns": netns, "ipamProblem": "timeout",
            }));
            unfinished(&record.unwrap())
        };
        assert_eq!(outcome("active", Some(&own)), None);
        assert_eq!(outcome("prepared", Some(&own)).unwrap().0, Outcome::NotChecked);
        for (state, part) in [
            ("active", "its network namespace is gone"),
            ("prepared", "its network namespace is gone"),
            ("releasing", "its network namespace is gone"),
            ("ipam-pending", "not taken back its lease: timeout"),
        ] {
            let (outcome, detail) = outcome(state, None).unwrap();
            assert_eq!(outcome, Outcome::Differs);
            assert!(detail.contains(part), "{detail}");
        }
        let (_, detail) = outcome("releasing", Some(&own)).unwrap();
        assert!(detail.contains("delete the pod again"), "{detail}");
    }

    #[test]
    fn details_are_below_the_table() {
        let rows = [
            row("bond", Outcome::Differs, Some("miimon is 50, not 100; port net1 is gone")),
            row("tuning", Outcome::NotChecked, Some("tuning speaks 0.3.1 here")),
            row("sriov", Outcome::Ok, None),
            row("", Outcome::Differs, Some("its network namespace is gone")),
        ];
        assert_eq!(
            lines(&rows),
            [
                "POD            INTERFACE  NETWORK         PLUGIN  CHECK",
                "demo/bondpod1  net3       demo/bond-net1  bond    differs",
                "demo/bondpod1  net3       demo/bond-net1  tuning  not checked",
                "demo/bondpod1  net3       demo/bond-net1  sriov   ok",
                "demo/bondpod1  net3       demo/bond-net1  -       differs",
                "pod demo/bondpod1: net3: miimon is 50, not 100; port net1 is gone",
                "pod demo/bondpod1: net3: tuning speaks 0.3.1 here",
                "pod demo/bondpod1: net3: its network namespace is gone",
            ]
        );
        assert_eq!(lines(&[]), ["no attachments here"]);
    }
}
