//! The plugin `bond` as CNI calls it.

use podbond_cni::{CniResult, Delegates, Failure, NodeRequest, Plugin, Request};
use podbond_kernel::{Kernel, View};
use podbond_record::Records;

use crate::add::host_link_policy::{Functions, refuse_host_links};
use crate::add::observe;
use crate::config::Config;
use crate::error::Error;
use crate::inspect::Surroundings;
use crate::pod_links::{open_pod, with_own_link_names};
use crate::record::PLUGIN;
use crate::{add, check, del, status};

/// The bond plugin.
#[derive(Debug, Clone)]
pub struct Bond {
    records: Records,
    functions: &'static dyn Functions,
}

impl Bond {
    /// Returns the plugin with these records of attachments. It asks `functions` about links of the node
    /// that a bond is to take.
    pub fn new(records: Records, functions: &'static dyn Functions) -> Self {
        Self { records, functions }
    }

    fn add_links(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Error> {
        let mut pod = open_pod(request);
        let conf = match &mut pod {
            Ok(kernel) => with_own_link_names(kernel, &request.config)?,
            // What is wrong with the configuration is said first.
            Err(_) => request.config.clone(),
        };
        let request = &Request { config: conf, ..request.clone() };
        let config = Config::parse(&request.config, &request.args)?;
        let mut kernel = pod?;
        let own = request.attachment();
        refuse_host_links(&mut kernel, &config, self.functions, Some(&own), &[])?;
        add::add(kernel, &config, request, delegates, &self.records)
    }
}

/// Returns what stands below and beside a bond that may be made, for its findings: its ports' VFs and
/// their PFs' links are added to the view, the other bonds of the node come from the records.
pub fn surroundings(
    kernel: &mut Kernel,
    config: &Config,
    view: &mut View,
    records: &Records,
) -> Result<Surroundings, Error> {
    observe::surroundings(kernel, config, records, None, view)
}

impl Plugin for Bond {
    fn name(&self) -> &'static str {
        PLUGIN
    }

    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        let network = &request.config.name;
        self.add_links(request, delegates).map_err(|error| error.into_failure(network))
    }

    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        del::del(request, delegates, &self.records)
            .map_err(|error| error.into_failure(&request.config.name))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        check::check(request, delegates, &self.records)
            .map_err(|error| error.into_failure(&request.config.name))
    }

    fn status(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        status::status(request, delegates, &self.records)
    }

    fn gc(&self, request: &NodeRequest, delegates: &Delegates<'_>) -> Result<(), Failure> {
        let del = |stale: &Request| del::del(stale, delegates, &self.records);
        Error::all(podbond_ipam::gc(request, delegates, &self.records, del))
            .map_err(|error| error.into_failure(&request.config.name))
    }
}

#[cfg(test)]
mod tests;
