use std::collections::BTreeMap;
use std::time::Duration;

use podbond_api::ObjectKey;
use podbond_attach::{Attachments, Checked, Record};
use serde::Serialize;

use crate::cli::{Output, PodsArgs};
use crate::error::Error;
use crate::node::{Node, require_root};
use crate::output::say;
use crate::table::Table;

/// How long a plugin of an ADD may take: kubelet gives a pod's whole sandbox no longer.
const MAKING: Duration = Duration::from_mins(4);

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
    let Attachments { gone, alive, unread } = Attachments::of(&node.records());
    let mut pods: BTreeMap<ObjectKey, Vec<Record>> = BTreeMap::new();
    for record in gone.into_iter().chain(alive) {
        pods.entry(record.pod.clone()).or_default().push(record);
    }
    if let Some(name) = &args.pod {
        let namespace = args.namespace.clone().unwrap_or_default();
        let key = ObjectKey { namespace, name: name.clone() };
        pods.retain(|pod, _| *pod == key);
        if pods.is_empty() && node.store.pod(&key)?.is_none() {
            return Err(Error::NoSuchPod { key });
        }
    } else if let Some(namespace) = &args.namespace {
        pods.retain(|pod, _| pod.namespace == *namespace);
    }
    let mut rows = Vec::new();
    for records in pods.values_mut() {
        records.sort_by(|a, b| (&a.container_id, a.position).cmp(&(&b.container_id, b.position)));
        rows.extend(records.iter().flat_map(|record| look_at(node, record)));
    }
    match args.output {
        Output::Json => say(serde_json::to_string_pretty(&rows).unwrap_or_default()),
        Output::Text => lines(&rows).iter().for_each(say),
    }
    let unread = unread.into_iter().map(|error| Error::Failed(error.into()));
    let mut errors: Vec<Error> = unread.collect();
    match rows.iter().map(|row| row.outcome).max() {
        Some(Outcome::Error) => errors.push(Error::Unchecked),
        Some(Outcome::Differs) => errors.push(Error::Unwell),
        _ => {}
    }
    Error::gather(errors)
}

fn look_at(node: &Node<'_>, record: &Record) -> Vec<Row> {
    let row = |plugin, outcome, detail| Row {
        pod: record.pod.to_string(),
        interface: record.ifname.to_string(),
        network: record.name(),
        plugin,
        outcome,
        detail,
    };
    let without_plugin = |outcome, detail: &str| vec![row(None, outcome, Some(detail.to_owned()))];
    if record.netns.is_gone() {
        let detail = "its network namespace is gone: `podbond gc` takes the rest away";
        return without_plugin(Outcome::Differs, detail);
    }
    if record.result.is_none() {
        let (outcome, detail) = unfinished(node.records().age(record));
        return without_plugin(outcome, detail);
    }
    let told = |(plugin, checked)| match checked {
        Checked::Same => row(Some(plugin), Outcome::Ok, None),
        Checked::Differs(failure) => row(Some(plugin), Outcome::Differs, Some(failure.to_string())),
        Checked::Failed(failure) => row(Some(plugin), Outcome::Error, Some(failure.to_string())),
        Checked::NotChecked(why) => row(Some(plugin), Outcome::NotChecked, Some(why)),
    };
    node.check(record).into_iter().map(told).collect()
}

/// What there is to say of an attachment whose ADD has no result, by the age of its record, which may be
/// gone by now.
fn unfinished(age: Option<Duration>) -> (Outcome, &'static str) {
    match age {
        Some(age) if age > MAKING => {
            (Outcome::Differs, "its ADD did not come to its end: delete the pod")
        }
        _ => (Outcome::NotChecked, "it is being made, or its ADD was killed: check again later"),
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
    fn an_add_that_may_still_be_at_work_is_no_difference() {
        let outcome = |age| unfinished(age).0;
        assert_eq!(outcome(Some(Duration::from_secs(10))), Outcome::NotChecked);
        assert_eq!(outcome(None), Outcome::NotChecked);
        assert_eq!(outcome(Some(2 * MAKING)), Outcome::Differs);
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
