use podbond_api::ObjectKey;
use podbond_attach::Checked;
use podbond_record::{Record, State};
use serde::Serialize;

use crate::cli::{Output, PodsArgs};
use crate::error::Error;
use crate::node::{Node, require_root};
use crate::output::say;
use crate::pods::{Pod, Pods};
use crate::table::Table;

/// What CHECK of a plugin of an attachment came to.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    pod: String,
    interface: String,
    network: String,
    /// None where none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    outcome: Outcome,
    /// What there is to tell of it.
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

/// Compares the attachments of pods with what they were made as.
pub(crate) fn check(node: &Node<'_>, args: &PodsArgs) -> Result<(), Error> {
    require_root("check")?;
    let mut all = Pods::of(node)?;
    if let Some(name) = &args.pod {
        let key =
            ObjectKey { namespace: args.namespace.clone().unwrap_or_default(), name: name.clone() };
        all.retain(|pod| *pod == key);
        if all.pods.is_empty() {
            return Err(Error::NoSuchPod { key });
        }
    } else if let Some(namespace) = &args.namespace {
        all.retain(|pod| pod.namespace == *namespace);
    }
    let mut rows = Vec::new();
    for pod in &all.pods {
        rows.extend(pod.records.iter().flat_map(|record| look_at(node, pod, record)));
    }
    match args.output {
        Output::Json => say(serde_json::to_string_pretty(&rows).unwrap_or_default()),
        Output::Text => lines(&rows).iter().for_each(say),
    }
    let unreadable = all.unreadable.into_iter();
    let mut errors: Vec<Error> =
        unreadable.map(|file| Error::Record { path: file.path, reason: file.problem }).collect();
    match rows.iter().map(|row| row.outcome).max() {
        Some(Outcome::Error) => errors.push(Error::Unchecked),
        Some(Outcome::Differs) => errors.push(Error::Unwell),
        _ => {}
    }
    Error::gather(errors)
}

fn look_at(node: &Node<'_>, pod: &Pod, record: &Record) -> Vec<Row> {
    if record.state == State::IpamPending {
        let problem = record.ipam_problem.as_deref().unwrap_or_default();
        let detail = format!("its IPAM plugin has not taken back its lease: {problem}");
        return vec![row(pod, record, None, Outcome::Differs, Some(detail))];
    }
    if record.is_orphan() {
        let detail = "its network namespace is gone: `podbond gc` takes the rest away".to_owned();
        return vec![row(pod, record, None, Outcome::Differs, Some(detail))];
    }
    match unfinished(record.state) {
        Some((outcome, detail)) => vec![row(pod, record, None, outcome, Some(detail.to_owned()))],
        None => node
            .check(record)
            .into_iter()
            .map(|(plugin, checked)| {
                let (outcome, detail) = outcome_of(checked);
                row(pod, record, Some(plugin), outcome, detail)
            })
            .collect(),
    }
}

fn row(
    pod: &Pod,
    record: &Record,
    plugin: Option<String>,
    outcome: Outcome,
    detail: Option<String>,
) -> Row {
    Row {
        pod: pod.name.clone(),
        interface: record.ifname.to_string(),
        network: record.network_name(),
        plugin,
        outcome,
        detail,
    }
}

fn outcome_of(checked: Checked) -> (Outcome, Option<String>) {
    match checked {
        Checked::Same => (Outcome::Ok, None),
        Checked::Differs(failure) => (Outcome::Differs, Some(failure.to_string())),
        Checked::Failed(failure) => (Outcome::Error, Some(failure.to_string())),
        Checked::NotChecked(why) => (Outcome::NotChecked, Some(why)),
    }
}

/// Returns what there is to say of an attachment that is not as its ADD left it at its end.
fn unfinished(state: State) -> Option<(Outcome, &'static str)> {
    match state {
        State::Active => None,
        State::Prepared => Some((
            Outcome::NotChecked,
            "its ADD has not ended, or was killed: check again later, or delete the pod",
        )),
        State::Releasing | State::IpamPending => {
            Some((Outcome::Differs, "its DEL has not ended: delete the pod again"))
        }
    }
}

/// A table, and below it what is not well.
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
    let detail = |row: &Row| {
        let detail = row.detail.as_ref()?;
        Some(format!("pod {}: {}: {detail}", row.pod, row.interface))
    };
    table.lines().into_iter().chain(rows.iter().filter_map(detail)).collect()
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn add_that_may_still_be_at_work_is_no_difference() {
        assert_eq!(unfinished(State::Active), None);
        assert_eq!(unfinished(State::Prepared).unwrap().0, Outcome::NotChecked);
        assert_eq!(unfinished(State::Releasing).unwrap().0, Outcome::Differs);
    }

    #[test]
    fn what_is_not_well_is_told_below_the_table() {
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
