//! The `sriov` plugin as CNI calls it, with its state on disk: the records of attachments and the files of
//! sriov-cni.

use std::path::Path;

use podbond_cni::{CniResult, Delegates, Failure, NodeRequest, Plugin, Request};
use podbond_record::Records;

use crate::Error;
use crate::sriov_cni::{DIR, Files};

/// The `sriov` plugin with its files.
#[derive(Debug, Clone)]
pub struct Sriov {
    pub(crate) records: Records,
    pub(crate) files: Files,
}

impl Default for Sriov {
    /// With its files where a node keeps them.
    fn default() -> Self {
        Self { records: Records::default(), files: Files::new(Path::new(DIR)) }
    }
}

impl Sriov {
    /// Returns the plugin with sriov-cni's files in `dir`, and records and locks below `dir/podbond`.
    pub fn with_files_in(dir: impl AsRef<Path>) -> Self {
        let (dir, own) = (dir.as_ref(), dir.as_ref().join("podbond"));
        Self { records: Records::new(&own.join("lib"), &own.join("run")), files: Files::new(dir) }
    }
}

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
