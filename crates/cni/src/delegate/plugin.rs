//! The trait of a CNI plugin: what it does for each command.

use crate::{CniResult, Delegates, Failure, NodeRequest, Request};

/// A CNI plugin: what it does for each command. Synchronous, without state between calls.
pub trait Plugin: Sync {
    /// Returns the name by which configuration and `CNI_PATH` call it.
    fn name(&self) -> &'static str;

    /// ADD. When it fails, everything is as it was before.
    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure>;

    /// DEL. It goes on past errors, and succeeds when there is nothing to remove.
    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure>;

    /// CHECK (0.4.0 and newer), against the request's `prevResult`.
    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure>;

    /// STATUS (1.1.0 and newer): whether ADD could be served.
    ///
    /// By default it always could. "If a plugin relies on a delegated plugin (e.g. IPAM) to service ADD
    /// requests, it must also execute a STATUS request to that plugin" (section "STATUS").
    fn status(&self, _: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// GC (1.1.0 and newer): removes what belongs to no valid attachment of the network.
    ///
    /// By default there is nothing to remove. "Plugins MUST, additionally, forward any GC calls to
    /// delegated plugins they are configured to use" (section "GC").
    fn gc(&self, _: &NodeRequest, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(())
    }
}
