use crate::{CniResult, Delegates, Failure, Request};

/// A CNI plugin: what it does for each command. Synchronous, without state between calls.
pub trait Plugin: Sync {
    /// The name under which configuration and `CNI_PATH` know it.
    fn name(&self) -> &'static str;

    /// ADD. When it fails, nothing is left changed.
    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure>;

    /// DEL. It goes on past errors, and succeeds when there is nothing left to remove.
    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure>;

    /// CHECK (0.4.0 and newer), against the request's `prevResult`.
    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure>;
}
