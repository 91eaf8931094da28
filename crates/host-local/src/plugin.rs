//! The commands of the CNI plugin `host-local`.

use podbond_cni::{CniResult, Delegates, Failure, NodeRequest, Plugin, Request};

use crate::{add, check, del, gc, status};

/// The plugin.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostLocal;

impl Plugin for HostLocal {
    fn name(&self) -> &'static str {
        "host-local"
    }

    /// Leases one address from each range set. "Delegated IPAM plugins must return an abbreviated
    /// Success object. Specifically, it is missing the interfaces array, as well as the interface
    /// entry in ips" (section "Delegated plugins (IPAM)").
    fn add(&self, request: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        Ok(add::add(request)?)
    }

    fn del(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(del::del(request)?)
    }

    fn check(&self, request: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(check::check(request)?)
    }

    fn status(&self, request: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(status::status(request)?)
    }

    fn gc(&self, request: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(gc::gc(request)?)
    }
}
