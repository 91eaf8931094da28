//! ADD of a link with its lease, all or nothing: link, then IPAM plugin, then addresses and routes.

use podbond_cni::{CniResult, Code, Failure, Request};
use podbond_kernel::{Apply, Dad, Route, Step, Transaction, transact};

use crate::configure::{routes, steps};
use crate::dad::dad;
use crate::failure;
use crate::lease::{Ipam, NotAttached, lease_needs_link};

/// Where the addresses and routes of a lease are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// On the link `request.ifname` of the pod.
    OnLink,
    /// Nowhere: the device has no link, and its user reads them from the result.
    InResultOnly,
}

/// Applies the steps that create the link, calls ADD of the IPAM plugin, configures its addresses and routes
/// on the link, and returns what `finish` returns; undoes all when anything fails.
///
/// `finish` observes the link; it gets the IPAM plugin's result, or none where the configuration names no
/// IPAM plugin.
///
/// The link comes first, since an IPAM plugin like dhcp needs it. On failure the steps are undone before the
/// lease is released, so that no address is leased again while it is in use, unless that needs the link.
/// A failed ADD of our own IPAM plugin is not followed by its DEL: it has leased nothing, and an earlier ADD
/// of the same attachment may have. Another one gets a DEL for its failed ADD, as the specification has
/// it.
pub fn attach<K: Apply, T>(
    kernel: &mut K,
    link: Vec<Step>,
    addresses: Addresses,
    ipam: Ipam<'_>,
    finish: impl FnOnce(&mut K, Option<CniResult>) -> Result<T, Failure>,
) -> Result<T, NotAttached> {
    let request = ipam.request;
    let dad = dad(&request.config).map_err(|cause| NotAttached { cause, pending: None })?;
    let mut is_leased = false;
    let mut pending: Option<String> = None;
    let outcome = transact(kernel, |transaction| {
        apply(transaction, link, &request.config.name)?;
        let lease = ipam.lease().map_err(|refused| {
            pending = refused.pending;
            refused.cause
        })?;
        is_leased = lease.is_some();
        let finished = configure(transaction, addresses, request, dad, lease.as_ref())
            .and_then(|()| finish(transaction.kernel(), lease));
        if finished.is_err() && is_leased && lease_needs_link(&request.config) {
            pending = ipam.release();
            is_leased = false;
        }
        finished
    });
    let failed = match outcome {
        Ok((finished, _applied)) => return Ok(finished),
        Err(failed) => failed,
    };
    if is_leased {
        pending = ipam.release();
    }
    let not_undone =
        failed.not_undone.iter().map(ToString::to_string).chain(pending.clone()).collect();
    Err(NotAttached { cause: with_details(failed.cause, not_undone), pending })
}

/// Configures the addresses and routes of a lease on the link.
fn configure<K: Apply>(
    transaction: &mut Transaction<'_, K>,
    addresses: Addresses,
    request: &Request,
    dad: Dad,
    lease: Option<&CniResult>,
) -> Result<(), Failure> {
    let Some(result) = lease else { return Ok(()) };
    if result.ips.is_empty() {
        return Err(no_address(request));
    }
    if let Some(route) = routes(result).into_iter().find(has_no_address_as_gateway) {
        return Err(unspecified_gateway(request, &route));
    }
    match addresses {
        Addresses::OnLink => {
            apply(transaction, steps(&request.ifname, result, dad), &request.config.name)
        }
        Addresses::InResultOnly => Ok(()),
    }
}

fn apply<K: Apply>(
    transaction: &mut Transaction<'_, K>,
    steps: Vec<Step>,
    network: &str,
) -> Result<(), Failure> {
    transaction.apply(steps).map_err(|error| failure(network, &error))
}

fn no_address(request: &Request) -> Failure {
    let plugin = request.config.ipam.as_deref().unwrap_or_default();
    let network = &request.config.name;
    let msg = format!(
        "network {network}: ipam: plugin {plugin:?} gave no address: check its part of the configuration"
    );
    Failure::new(Code::INVALID_CONFIG, msg)
}

/// Returns true for the gateway `::`, which the kernel refuses. It takes `0.0.0.0` for no gateway.
fn has_no_address_as_gateway(route: &Route) -> bool {
    route.gateway.is_some_and(|gateway| gateway.is_unspecified())
}

fn unspecified_gateway(request: &Request, route: &Route) -> Failure {
    let msg = format!(
        "network {}: ipam: route {route}: gateway :: is the address of no host: give the router's, or leave \
         the gateway out for a route on the link itself",
        request.config.name
    );
    Failure::new(Code::INVALID_CONFIG, msg)
}

/// Returns the failure with what could not be undone in its details.
fn with_details(cause: Failure, not_undone: Vec<String>) -> Failure {
    let left = not_undone.into_iter().map(|error| format!("could not be undone: {error}"));
    let details: Vec<String> = Some(cause.details.clone())
        .filter(|text| !text.is_empty())
        .into_iter()
        .chain(left)
        .collect();
    cause.with_details(details.join("; "))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use podbond_cni::{Delegates, IpConfig, Lookup, Plugin};
    use podbond_kernel::{Error, LinkRef, LinkState};

    use super::*;
    use crate::testing::{Asked, request};

    /// Notes what is done, and refuses one step.
    struct Recorder<'l> {
        log: &'l Mutex<Vec<String>>,
        refuse: Option<&'static str>,
    }

    impl Apply for Recorder<'_> {
        fn apply(&mut self, step: &Step) -> podbond_kernel::Result<()> {
            let said = step.to_string();
            if self.refuse.is_some_and(|refused| said.starts_with(refused)) {
                let source = std::io::Error::from_raw_os_error(95);
                return Err(Error::Refused { action: said, source, extack: Some("no".to_owned()) });
            }
            self.log.lock().unwrap().push(said);
            Ok(())
        }
    }

    struct Case {
        ipam: &'static str,
        refuse: Option<&'static str>,
        answer: Result<Vec<IpConfig>, Failure>,
        addresses: Addresses,
        finish: Result<(), Failure>,
        /// Whether the IPAM plugin refuses to take a lease back.
        refuses: bool,
    }

    impl Default for Case {
        fn default() -> Self {
            let address = "10.0.0.2/24".parse().unwrap();
            let ip = IpConfig::new(address);
            let addresses = Addresses::OnLink;
            let ipam = "ipam-of-the-test";
            let (refuse, refuses, finish) = (None, false, Ok(()));
            Self { ipam, refuse, answer: Ok(vec![ip]), addresses, finish, refuses }
        }
    }

    fn run(case: Case) -> (Result<(), Failure>, Vec<String>) {
        let (result, log) = run_to_end(case);
        (result.map_err(|failed| failed.cause), log)
    }

    fn run_to_end(case: Case) -> (Result<(), NotAttached>, Vec<String>) {
        let log = Mutex::new(Vec::new());
        let request = request(case.ipam, "c1");
        let Case { ipam: name, answer, refuses, .. } = case;
        let plugin = Asked { name, log: &log, answer, refuses };
        let builtins: [&dyn Plugin; 1] = [&plugin];
        let up = Step::SetState { at: LinkRef::pod("net1".parse().unwrap()), to: LinkState::Up };
        let result = attach(
            &mut Recorder { log: &log, refuse: case.refuse },
            vec![up],
            case.addresses,
            Ipam {
                request: &request,
                delegates: &Delegates::new(&builtins, Lookup::PathThenBuiltin),
            },
            |_, _| case.finish,
        );
        let log = log.lock().unwrap().clone();
        (result, log)
    }

    const UP: &str = "bring net1 (pod) up";
    const DOWN: &str = "bring net1 (pod) down";
    const ADD: &str = "add address 10.0.0.2/24 to net1 (pod)";
    const REMOVE: &str = "remove address 10.0.0.2/24 from net1 (pod)";

    #[test]
    fn link_is_before_the_lease_and_addresses_after_it() {
        let (result, log) = run(Case::default());
        assert_eq!(result, Ok(()));
        assert_eq!(log, [UP, "lease", ADD]);
    }

    #[test]
    fn device_without_link_gets_its_lease_alone() {
        let case = Case { addresses: Addresses::InResultOnly, ..Case::default() };
        assert_eq!(run(case).1, [UP, "lease"]);
    }

    #[test]
    fn failed_lease_undoes_the_link_and_is_not_released() {
        let refusal = Failure::new(Code::EXHAUSTED, "no address left");
        let (result, log) = run(Case { answer: Err(refusal.clone()), ..Case::default() });
        assert_eq!(result, Err(refusal));
        assert_eq!(log, [UP, "lease", DOWN]);
    }

    /// Promise: failed-add-leaves-nothing
    #[test]
    fn unusable_lease_is_released_after_the_link() {
        let (result, log) = run(Case { refuse: Some("add address"), ..Case::default() });
        let failure = result.unwrap_err();
        assert_eq!((failure.code, failure.details.as_str()), (Code::KERNEL, "no"));
        assert_eq!(log, [UP, "lease", DOWN, "release"]);

        let finish = Err(Failure::new(Code::IO, "cannot be read"));
        let (_, log) = run(Case { finish, ..Case::default() });
        assert_eq!(log, [UP, "lease", ADD, REMOVE, DOWN, "release"]);
    }

    #[test]
    fn lease_that_needs_its_link_is_released_before_it() {
        let finish = Err(Failure::new(Code::IO, "cannot be read"));
        let (_, log) = run(Case { ipam: "dhcp", finish, ..Case::default() });
        assert_eq!(log, [UP, "lease", ADD, "release", REMOVE, DOWN]);
        let refused = Err(Failure::new(Code::EXHAUSTED, "no address left"));
        let (_, log) = run(Case { ipam: "dhcp", answer: refused, ..Case::default() });
        assert_eq!(log, [UP, "lease", DOWN]);
    }

    #[test]
    fn lease_without_address_is_an_error() {
        let (result, log) = run(Case { answer: Ok(Vec::new()), ..Case::default() });
        assert!(result.unwrap_err().msg.contains("\"ipam-of-the-test\" gave no address"));
        assert_eq!(log, [UP, "lease", DOWN, "release"]);
    }

    /// Promise: lease-pending
    #[test]
    fn lease_that_is_not_taken_back_is_pending() {
        let finish = Err(Failure::new(Code::IO, "cannot be read"));
        let failed = run_to_end(Case { finish, refuses: true, ..Case::default() }).0.unwrap_err();
        let pending = failed.pending.unwrap();
        assert!(pending.contains("the server is down"), "{pending}");
        assert!(failed.cause.details.contains(&pending), "{}", failed.cause.details);
        let refused = Failure::new(Code::EXHAUSTED, "no address left");
        let failed = run_to_end(Case { answer: Err(refused), ..Case::default() }).0.unwrap_err();
        assert_eq!(failed.pending, None);
    }

    #[test]
    fn details_have_what_could_not_be_undone() {
        let refusal = Failure::new(Code::EXHAUSTED, "no address left");
        let case = Case { refuse: Some(DOWN), answer: Err(refusal), ..Case::default() };
        let (result, _) = run(case);
        let details = result.unwrap_err().details;
        assert!(details.starts_with("could not be undone: bring net1 (pod) down"), "{details}");
    }
}
