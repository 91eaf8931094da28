use podbond_cni::{CniResult, Code, Command, Delegates, Failure, Request};
use podbond_kernel::{Apply, Step, Transaction, transact};

use crate::{failure, steps};

/// Where the addresses and routes of a lease go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// To the link `request.ifname` of the pod.
    OnLink,
    /// Nowhere: the device has no link, its user reads them from the result.
    InResultOnly,
}

/// The part of an ADD that changes anything: applies the steps that make the link, asks the
/// configuration's IPAM plugin, and gives its addresses and routes to the link, all or nothing.
///
/// `finish` then looks at what was made and gives the answer; its failure undoes everything too.
/// It gets what the IPAM plugin answered, or none where the configuration names no IPAM plugin.
///
/// The link comes first, since an IPAM plugin like dhcp speaks through it. When anything fails, the
/// steps are undone before the lease is given back, so that no address is given out again while it
/// is still in use. What an IPAM plugin refused is not given back: it may be the lease of an
/// earlier ADD of the same attachment.
pub fn attach<K: Apply, T>(
    kernel: &mut K,
    link: Vec<Step>,
    addresses: Addresses,
    request: &Request,
    delegates: &Delegates<'_>,
    finish: impl FnOnce(&mut K, Option<CniResult>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut leased = false;
    let outcome = transact(kernel, |transaction| {
        apply(transaction, link)?;
        let ipam = delegates.ipam(Command::Add, request)?;
        leased = ipam.is_some();
        if let Some(result) = &ipam {
            if result.ips.is_empty() {
                return Err(no_address(request));
            }
            if addresses == Addresses::OnLink {
                apply(transaction, steps(&request.ifname, result))?;
            }
        }
        finish(transaction.kernel(), ipam)
    });
    let failed = match outcome {
        Ok((answer, _applied)) => return Ok(answer),
        Err(failed) => failed,
    };
    let mut left: Vec<String> = failed.left.iter().map(ToString::to_string).collect();
    if leased && let Err(error) = delegates.ipam(Command::Del, request) {
        left.push(error.to_string());
    }
    Err(with_left(failed.cause, left))
}

fn apply<K: Apply>(transaction: &mut Transaction<'_, K>, steps: Vec<Step>) -> Result<(), Failure> {
    transaction.apply(steps).map_err(|error| failure(&error))
}

fn no_address(request: &Request) -> Failure {
    let plugin = request.config.ipam.as_deref().unwrap_or_default();
    let network = &request.config.name;
    let msg = format!(
        "network {network}: ipam: plugin {plugin:?} gave no address: check its part of the configuration"
    );
    Failure::new(Code::InvalidConfig, msg)
}

/// Adds to a failure's details what could not be put back.
fn with_left(cause: Failure, left: Vec<String>) -> Failure {
    let left = left.into_iter().map(|error| format!("could not be undone: {error}"));
    let details: Vec<String> = Some(cause.details.clone())
        .filter(|text| !text.is_empty())
        .into_iter()
        .chain(left)
        .collect();
    cause.with_details(details.join("; "))
}
