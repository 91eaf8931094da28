use std::cell::Cell;

use podbond_cni::{CniResult, Code, Failure, NetConf, Request};
use podbond_kernel::{Apply, Dad, Step, Transaction, transact};

use crate::lease::Given;
use crate::meaning::steps;
use crate::{Ipam, Lease, dad, failure};

/// Where the addresses and routes of a lease go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// To the link `request.ifname` of the pod.
    OnLink,
    /// Nowhere: the device has no link, its user reads them from the result.
    InResultOnly,
}

/// An ADD that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAttached {
    /// Why; its details tell what is left.
    pub cause: Failure,
    /// Whether a lease is left that is not noted as owed either, so that its DEL must ask for it.
    pub lease: Lease,
}

/// The part of an ADD that changes anything: applies the steps that make the link, asks the
/// configuration's IPAM plugin, and gives its addresses and routes to the link, all or nothing.
/// Before it, the IPAM plugin gets the chance to give back what it owes.
///
/// `finish` then looks at what was made and gives the answer; its failure undoes everything too.
/// It gets what the IPAM plugin answered, or none where the configuration names no IPAM plugin.
///
/// The link comes first, since an IPAM plugin like dhcp speaks through it. When anything fails, the
/// steps are undone before the lease is given back, so that no address is given out again while it
/// is still in use; but see [`lease_needs_link`]. A lease that its plugin does not take back is noted
/// as owed. What our own IPAM plugin refused is not given back: it leased nothing, and an earlier ADD
/// of the same attachment may have. A foreign one gets a DEL for its failed ADD, as the specification
/// has it.
pub fn attach<K: Apply, T>(
    kernel: &mut K,
    link: Vec<Step>,
    addresses: Addresses,
    asked: Ipam<'_>,
    finish: impl FnOnce(&mut K, Option<CniResult>) -> Result<T, Failure>,
) -> Result<T, NotAttached> {
    let request = asked.request;
    let changed_nothing = |cause| NotAttached { cause, lease: Lease::Never };
    let dad = dad(&request.config).map_err(changed_nothing)?;
    asked.settle_up().map_err(changed_nothing)?;
    let mut leased = false;
    let mut left = Vec::new();
    let lease = Cell::new(Lease::Never);
    let give_back = || match asked.try_to_give_back(Lease::Possible) {
        Ok(Given::Back) => None,
        Ok(Given::Owed(sentence)) => Some(sentence),
        Err(failure) => {
            lease.set(Lease::Possible);
            Some(failure.to_string())
        }
    };
    let outcome = transact(kernel, |transaction| {
        apply(transaction, link, &request.config.name)?;
        let ipam = asked.lease().map_err(|refused| {
            lease.set(refused.lease);
            refused.cause
        })?;
        leased = ipam.is_some();
        let answer = give(transaction, addresses, request, dad, ipam.as_ref())
            .and_then(|()| finish(transaction.kernel(), ipam));
        if answer.is_err() && leased && lease_needs_link(&request.config) {
            left.extend(give_back());
            leased = false;
        }
        answer
    });
    let failed = match outcome {
        Ok((answer, _applied)) => return Ok(answer),
        Err(failed) => failed,
    };
    left.extend(failed.not_undone.iter().map(ToString::to_string));
    if leased {
        left.extend(give_back());
    }
    Err(NotAttached { cause: with_left(failed.cause, left), lease: lease.get() })
}

/// Whether a lease can be given back only while its link is there: dhcp tells its server through
/// it. Its server, not the lease, keeps the address from being given out too early.
pub fn lease_needs_link(config: &NetConf) -> bool {
    config.ipam.as_deref() == Some("dhcp")
}

/// Gives the link its addresses and routes.
fn give<K: Apply>(
    transaction: &mut Transaction<'_, K>,
    addresses: Addresses,
    request: &Request,
    dad: Dad,
    ipam: Option<&CniResult>,
) -> Result<(), Failure> {
    let Some(result) = ipam else { return Ok(()) };
    if result.ips.is_empty() {
        return Err(no_address(request));
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use podbond_cni::{Delegates, IpConfig, Lookup, Plugin};
    use podbond_kernel::{Error, LinkRef, LinkState};

    use super::*;
    use crate::Debts;
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
        debts: PathBuf,
    }

    impl Default for Case {
        fn default() -> Self {
            let address = "10.0.0.2/24".parse().unwrap();
            let ip = IpConfig { address, gateway: None, interface: None };
            let addresses = Addresses::OnLink;
            let ipam = "ipam-of-the-test";
            let debts = "/proc/none/debts".into();
            let (refuse, refuses, finish) = (None, false, Ok(()));
            Self { ipam, refuse, answer: Ok(vec![ip]), addresses, finish, refuses, debts }
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
                debts: &Debts::new(case.debts),
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
    fn the_link_is_made_before_the_lease_and_the_addresses_after_it() {
        let (result, log) = run(Case::default());
        assert_eq!(result, Ok(()));
        assert_eq!(log, [UP, "lease", ADD]);
    }

    #[test]
    fn a_device_without_link_gets_its_lease_alone() {
        let case = Case { addresses: Addresses::InResultOnly, ..Case::default() };
        assert_eq!(run(case).1, [UP, "lease"]);
    }

    #[test]
    fn a_refused_lease_is_not_given_back_and_all_steps_are_undone() {
        let refusal = Failure::new(Code::EXHAUSTED, "no address left");
        let (result, log) = run(Case { answer: Err(refusal.clone()), ..Case::default() });
        assert_eq!(result, Err(refusal));
        assert_eq!(log, [UP, "lease", DOWN]);
    }

    #[test]
    fn a_lease_is_given_back_when_its_address_cannot_be_used_any_more() {
        let (result, log) = run(Case { refuse: Some("add address"), ..Case::default() });
        let failure = result.unwrap_err();
        assert_eq!((failure.code, failure.details.as_str()), (Code::KERNEL, "no"));
        assert_eq!(log, [UP, "lease", DOWN, "give back"]);

        let finish = Err(Failure::new(Code::Io, "cannot be read"));
        let (_, log) = run(Case { finish, ..Case::default() });
        assert_eq!(log, [UP, "lease", ADD, REMOVE, DOWN, "give back"]);
    }

    #[test]
    fn a_lease_that_needs_its_link_is_given_back_before_it_and_once() {
        let finish = Err(Failure::new(Code::Io, "cannot be read"));
        let (_, log) = run(Case { ipam: "dhcp", finish, ..Case::default() });
        assert_eq!(log, [UP, "lease", ADD, "give back", REMOVE, DOWN]);
        let refused = Err(Failure::new(Code::EXHAUSTED, "no address left"));
        let (_, log) = run(Case { ipam: "dhcp", answer: refused, ..Case::default() });
        assert_eq!(log, [UP, "lease", DOWN]);
    }

    #[test]
    fn a_lease_without_address_is_an_error() {
        let (result, log) = run(Case { answer: Ok(Vec::new()), ..Case::default() });
        assert!(result.unwrap_err().msg.contains("\"ipam-of-the-test\" gave no address"));
        assert_eq!(log, [UP, "lease", DOWN, "give back"]);
    }

    #[test]
    fn a_lease_that_is_not_taken_back_is_owed_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let (finish, debts) = (Err(Failure::new(Code::Io, "cannot be read")), dir.path().join("d"));
        let case = Case { finish, refuses: true, debts: debts.clone(), ..Case::default() };
        let details = run(case).0.unwrap_err().details;
        assert!(details.contains("IPAM plugin \"ipam-of-the-test\" owes the lease"), "{details}");
        assert_eq!(Debts::new(&debts).list().unwrap().len(), 1);
        // The next ADD of the same attachment pays it first: not after it has its own.
        let (result, log) = run(Case { debts: debts.clone(), ..Case::default() });
        assert_eq!(
            (result, &log[..]),
            (Ok(()), &["give back", UP, "lease", ADD].map(String::from)[..])
        );
        assert_eq!(Debts::new(&debts).list().unwrap(), []);
    }

    #[test]
    fn a_lease_that_can_be_neither_given_back_nor_noted_is_left_to_the_del() {
        let case = |debts: PathBuf| {
            let finish = Err(Failure::new(Code::Io, "cannot be read"));
            Case { finish, refuses: true, debts, ..Case::default() }
        };
        let dir = tempfile::tempdir().unwrap();
        let failed = run_to_end(case(dir.path().join("d"))).0.unwrap_err();
        assert_eq!(failed.lease, Lease::Never);
        // Where nothing can be made.
        let failed = run_to_end(case("/proc/none/debts".into())).0.unwrap_err();
        assert_eq!(failed.lease, Lease::Possible);
        assert!(failed.cause.details.contains("and it cannot be noted"), "{failed:?}");
        let refused = Failure::new(Code::EXHAUSTED, "no address left");
        let failed = run_to_end(Case { answer: Err(refused), ..Case::default() }).0.unwrap_err();
        assert_eq!(failed.lease, Lease::Never);
    }

    #[test]
    fn what_could_not_be_undone_is_told() {
        let refusal = Failure::new(Code::EXHAUSTED, "no address left");
        let case = Case { refuse: Some(DOWN), answer: Err(refusal), ..Case::default() };
        let (result, _) = run(case);
        let details = result.unwrap_err().details;
        assert!(details.starts_with("could not be undone: bring net1 (pod) down"), "{details}");
    }
}
