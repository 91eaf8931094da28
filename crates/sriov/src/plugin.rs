//! The CNI operations of the `sriov` plugin.

use podbond_cni::{CniResult, Delegates, Failure, NodeRequest, Plugin, Request};

use crate::{Error, Sriov};

impl Plugin for Sriov {
    fn name(&self) -> &'static str {
        crate::record::PLUGIN
    }

    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        self.add_vf(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.del_vf(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.check_vf(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.readiness(request, delegates)
    }

    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let del = |stale: &Request| self.del_vf(stale, delegates);
        Error::all(podbond_ipam::gc(request, delegates, &self.records, del))
            .map_err(|error| error.into_failure(&request.config.name))
    }
}
