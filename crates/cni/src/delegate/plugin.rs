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
    /// The default suits a plugin that needs nothing of its own: "If a plugin relies on a
    /// delegated plugin (e.g. IPAM) to service ADD requests, it must also execute a STATUS request
    /// to that plugin" (section "STATUS").
    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        if is_ipam(self.name(), request) { Ok(()) } else { delegates.ipam_status(request) }
    }

    /// GC (1.1.0 and newer): removes what belongs to no valid attachment of the network.
    ///
    /// The default suits a plugin that changes nothing outside of the container's namespace:
    /// "Plugins MUST, additionally, forward any GC calls to delegated plugins they are configured
    /// to use" (section "GC").
    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        if is_ipam(self.name(), request) { Ok(()) } else { delegates.ipam_gc(request) }
    }
}

/// Returns true if the plugin of this name was called as the configuration's IPAM plugin.
fn is_ipam(name: &str, request: &NodeRequest) -> bool {
    request.config.ipam.as_deref() == Some(name)
}
