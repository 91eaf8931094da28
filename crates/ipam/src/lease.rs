use std::time::Duration;

use podbond_cni::{CniResult, Command, Delegates, FailedAdd, Failure, NodeRequest, Request};

use podbond_kernel::{Kernel, LinkRef, is_netns};

use crate::debts::one_line;
use crate::{Debt, Debts, NotAttached};

/// How many debts of its network an ADD or DEL pays on its way: a pod waits for it. GC pays all.
const ON_THE_WAY: usize = 4;

/// The IPAM plugin of one attachment, where its configuration names one, and what it owes.
#[derive(Clone, Copy)]
pub struct Ipam<'r> {
    /// The operation on the attachment.
    pub request: &'r Request,
    /// How plugins are called.
    pub delegates: &'r Delegates<'r>,
    /// What the node's IPAM plugins owe.
    pub debts: &'r Debts,
}

/// Whether an attachment that is deleted can have a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Nothing says that it has none.
    Possible,
    /// Its ADD has left none, or what it has left is noted as owed.
    Never,
}

impl Lease {
    /// What the prevResult of a DEL and the pod tell, where nothing is recorded of its ADD.
    pub fn without_record(request: &Request) -> Self {
        let Some(netns) = request.netns.as_deref().filter(|path| is_netns(path)) else {
            return Self::Possible;
        };
        if request.config.prev_result.is_some() {
            return Self::Possible;
        }
        let at = LinkRef::pod(request.ifname.clone());
        match Kernel::with_pod(netns).and_then(|mut kernel| kernel.link(&at)) {
            Ok(None) => Self::Never,
            _ => Self::Possible,
        }
    }
}

/// What came of giving a lease back.
pub(crate) enum Given {
    /// It is given back, or there was none.
    Back,
    /// It is owed, and noted. A sentence for people.
    Owed(String),
}

impl Ipam<'_> {
    /// ADD; none where the configuration names no IPAM plugin. One that fails gives back what it
    /// leased before, and owes it where it cannot.
    pub(crate) fn lease(&self) -> Result<Option<CniResult>, NotAttached> {
        self.delegates.ipam_add(self.request).map_err(|FailedAdd { cause, left }| {
            let Some(left) = left else { return NotAttached { cause, lease: Lease::Never } };
            let (then, lease) = match self.debts.note(self.request, &left) {
                Ok(path) => {
                    let noted = format!("what it may have leased is noted in {}", path.display());
                    (noted, Lease::Never)
                }
                Err(error) => {
                    let lost = format!("and what it may have leased cannot be noted: {error}");
                    (lost, Lease::Possible)
                }
            };
            let details = format!("{}; {then}", cause.details);
            NotAttached { cause: cause.with_details(details), lease }
        })
    }

    /// Pays what is owed for the attachment that is about to be made, so that no later payment takes
    /// its new lease; fails when that fails. Then pays others of the network, whose addresses may be
    /// what this ADD needs.
    pub(crate) fn settle_up(&self) -> Result<(), Failure> {
        self.restore_torn(Command::Add);
        if let Some(own) = self.debts.before_add(self.request)? {
            self.debts.pay(&own, &self.request.path, self.delegates)?;
        }
        self.pay_on_the_way();
        Ok(())
    }

    /// DEL, as the last thing that a plugin's DEL does, or before the link goes (see
    /// [`lease_needs_link`](crate::lease_needs_link)). A lease that the IPAM plugin does not take
    /// back is noted as owed and told of in a warning: it must not keep a pod from being deleted.
    /// Fails when it can be neither given back nor noted.
    pub fn give_back(&self, lease: Lease) -> Result<(), Failure> {
        match self.try_to_give_back(lease)? {
            Given::Back => {
                // Where the configuration names no IPAM plugin, as one that could not be read, it does not
                // tell what others of the network owe.
                if self.request.config.ipam.is_some() {
                    self.restore_torn(Command::Del);
                }
                self.pay_on_the_way();
            }
            Given::Owed(sentence) => {
                self.delegates.warn(Command::Del, self.request, "warning", &sentence);
            }
        }
        Ok(())
    }

    /// The same without a word.
    pub(crate) fn try_to_give_back(&self, lease: Lease) -> Result<Given, Failure> {
        let Err(failure) = self.delegates.ipam_del(self.request) else {
            // Asked with its own configuration: this one may have been changed since.
            let own = self.debts.of(self.request)?;
            return Ok(own.map_or(Given::Back, |own| self.pay_own(&own)));
        };
        let Request { container_id, ifname, config, .. } = self.request;
        let ipam = config.ipam.as_deref().unwrap_or_default();
        let problem = one_line(&failure);
        if lease == Lease::Never && self.debts.of(self.request)?.is_none() {
            return Ok(Given::Owed(format!(
                "{ifname} of container {container_id} was never made, and IPAM plugin {ipam:?} \
                 cannot say that it leased nothing: {problem}"
            )));
        }
        match self.debts.note(self.request, &failure) {
            Ok(path) => Ok(Given::Owed(format!(
                "IPAM plugin {ipam:?} owes the lease of {ifname} of container {container_id}: \
                 {problem}; it is noted in {}, and later operations of the network and `podbond gc` \
                 try again",
                path.display()
            ))),
            Err(error) => {
                let details = [failure.details.clone(), format!("and it cannot be noted: {error}")];
                let details = details.into_iter().filter(|text| !text.is_empty());
                Err(failure.with_details(details.collect::<Vec<_>>().join("; ")))
            }
        }
    }

    fn pay_own(&self, own: &Debt) -> Given {
        match self.debts.pay(own, &self.request.path, self.delegates) {
            Ok(()) => Given::Back,
            Err(error) => Given::Owed(error.to_string()),
        }
    }

    fn restore_torn(&self, command: Command) {
        let Request { config, path, .. } = self.request;
        for restored in self.debts.restore_torn(config, path) {
            self.delegates.warn(command, self.request, "warning", &restored);
        }
    }

    /// Pays some debts of the network, until one cannot be paid: then the others hardly can. It is
    /// for GC and `podbond gc` to tell of those that stay.
    fn pay_on_the_way(&self) {
        let debts = self.debts.of_network(&self.request.config.name).unwrap_or_default();
        for debt in debts.iter().take(ON_THE_WAY) {
            let path = &self.request.path;
            if self.debts.pay_within(Duration::ZERO, debt, path, self.delegates).is_err() {
                break;
            }
        }
    }
}

/// GC by the IPAM plugin of a network, then the payment of what it owes, going on past errors:
/// gives all of them. What is owed for an attachment that is valid is let be.
pub fn collect(request: &NodeRequest, delegates: &Delegates<'_>, debts: &Debts) -> Vec<Failure> {
    // "Plugins MUST, additionally, forward any GC calls to delegated plugins they are configured to
    // use" (section "GC").
    let mut failures: Vec<Failure> = delegates.ipam_gc(request).err().into_iter().collect();
    for restored in debts.restore_torn(&request.config, &request.path) {
        delegates.warn_of_network(Command::Gc, request, &restored);
    }
    let owed = debts.of_network(&request.config.name).unwrap_or_else(|error| {
        failures.push(error.into());
        Vec::new()
    });
    let is_valid = |of: &Request| {
        let mut valid = request.valid_attachments.iter();
        valid.any(|it| it.container_id == of.container_id && it.ifname == of.ifname)
    };
    for debt in owed.iter().filter(|debt| !is_valid(&debt.request)) {
        failures.extend(debts.pay(debt, &request.path, delegates).err().map(Failure::from));
    }
    failures
}
