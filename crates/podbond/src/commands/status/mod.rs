//! `podbond status`: shows pods with their bonds, ports, VFs and addresses.

mod details;
mod observe;
mod overview;
mod report;
#[cfg(test)]
mod testing;

use podbond_bond::Finding;

use self::details::Details;
use self::report::Status;
use crate::arguments::{Output, PodsArgs, Selection};
use crate::error::Error;
use crate::node::{Node, PendingLease, Pod, read_pods, unreadable_file, unreadable_files};
use crate::output::{say, say_json};

/// Shows pods with their bonds, ports, VFs and addresses; of one pod each port of its bonds as well. A
/// pod of which only pending leases are left is not shown, but its leases are.
pub(crate) fn status(node: &Node<'_>, args: &PodsArgs) -> Result<(), Error> {
    let selection = args.selection();
    let (pods, unreadable) = read_pods(node, &selection)?;
    let (mut shown, mut errors) = (Vec::new(), Vec::new());
    for pod in pods.iter().filter(|pod| !pod.is_over()) {
        match observe::pod(pod) {
            Ok(pod) => shown.push(pod),
            // A pod that cannot be read does not keep the others from being shown.
            Err(error) => {
                let source = Box::new(error);
                errors.push(Error::PodUnreadable { pod: pod.name.clone(), source });
            }
        }
    }
    let mut findings = match selection {
        Selection::All => unreadable_files(node, unreadable),
        _ => pods.iter().filter_map(finding_of).collect(),
    };
    let pending_leases = PendingLease::of_all(&pods);
    findings.extend(pending_leases.iter().map(PendingLease::finding));
    match args.output {
        Output::Json => say_json(&Status { pods: shown, pending_leases, findings }),
        Output::Text => {
            if shown.is_empty() && errors.is_empty() {
                say("no pods here");
            } else {
                overview::table(&shown).lines().iter().for_each(say);
            }
            let details = match selection {
                Selection::Pod(_) => Details::BondsAndFindings,
                Selection::All | Selection::Namespace(_) => Details::Findings,
            };
            details::lines(&shown, details).iter().for_each(say);
            details::finding_paragraphs(&findings).iter().for_each(say);
        }
    }
    Error::gather(errors)
}

/// Returns the finding for what `podbond apply` recorded of a pod, if that cannot be read.
fn finding_of(pod: &Pod) -> Option<Finding> {
    unreadable_file(pod.applied.as_ref()?.as_ref().err()?)
}
