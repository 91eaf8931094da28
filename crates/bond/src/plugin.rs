//! The plugin `bond` as CNI calls it.

use podbond_cni::{CniResult, Delegates, Failure, NodeRequest, Plugin, Request};
use podbond_kernel::{Kernel, View};
use podbond_record::Records;

use crate::add::{host_link_policy, observe};
use crate::config::{Config, LinksAre};
use crate::error::Error;
use crate::inspect::Surroundings;
use crate::pod_links::open_pod;
use crate::record::PLUGIN;
use crate::{add, check, del, status};

/// The bond plugin.
#[derive(Debug, Clone, Default)]
pub struct Bond {
    records: Records,
}

impl Bond {
    /// Returns the plugin with these records of attachments.
    pub fn new(records: Records) -> Self {
        Self { records }
    }

    /// Refuses a bond over links of the node that it may not take: NADs are written by tenants,
    /// and a link on which the node depends is not theirs.
    pub fn refuse_host_links(&self, kernel: &mut Kernel, config: &Config) -> Result<(), Error> {
        match config.links_are {
            LinksAre::OnHost => host_link_policy::refuse(kernel, &config.ports),
            LinksAre::InPod => Ok(()),
        }
    }

    /// Returns what stands below and beside a bond that may be made, for its findings: its ports'
    /// VFs and their PFs' links are added to the view, the other bonds of the node come from the
    /// records.
    pub fn surroundings(
        &self,
        kernel: &mut Kernel,
        config: &Config,
        view: &mut View,
    ) -> Result<Surroundings, Error> {
        observe::surroundings(kernel, config, &self.records, None, view)
    }
}

impl Plugin for Bond {
    fn name(&self) -> &'static str {
        PLUGIN
    }

    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        let network = &request.config.name;
        let added = Config::parse(&request.config, &request.args).and_then(|config| {
            let mut kernel = open_pod(request)?;
            self.refuse_host_links(&mut kernel, &config)?;
            add::add(kernel, &config, request, delegates, &self.records)
        });
        added.map_err(|error| error.into_failure(network))
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
