//! Who holds a VF: by the records, and by its claim `pci/<address>` of sriov-cni.

use std::fmt;
use std::path::{Path, PathBuf};

use podbond_kernel::NetnsState;
use podbond_names::PciAddress;

use crate::{Error, Record, Records};

/// The plugin whose attachments claim their VF.
const CLAIMS: &str = "sriov";

/// Who holds a VF.
#[derive(Debug, Clone, PartialEq)]
pub enum Holder {
    /// An attachment, by its record.
    Attachment(Box<Record>),
    /// A pod of which only the network namespace is recorded, in the claim on the VF.
    Netns(PathBuf),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attachment(record) => record.fmt(f),
            Self::Netns(path) => write!(f, "the pod with network namespace {}", path.display()),
        }
    }
}

impl Holder {
    /// Returns who of these records holds a VF with this claim, `pci/<address>` of sriov-cni. A namespace in
    /// state unknown holds it.
    ///
    /// An attachment of the `sriov` plugin whose claim is gone or names another namespace was ended by
    /// sriov-cni: it holds nothing. One whose plugin has not been called has no claim.
    pub fn among<'r>(
        records: impl IntoIterator<Item = &'r Record>,
        device: PciAddress,
        claim: Option<&Path>,
    ) -> Option<Self> {
        let mut claim_is_over = false;
        for record in records.into_iter().filter(|record| record.holds(device)) {
            let is_over = record.netns_state().is_over();
            let is_claimed = record.is_claimed_by(claim);
            if is_over {
                claim_is_over |= is_claimed;
            } else if is_claimed || !record.claims_its_vf() {
                return Some(Self::Attachment(Box::new(record.clone())));
            }
        }
        let claim = claim.filter(|path| !claim_is_over && !NetnsState::of_path(path).is_over());
        claim.map(|path| Self::Netns(path.to_owned()))
    }

    /// Returns it with the path of its network namespace, for people.
    pub fn with_netns(&self) -> String {
        match self {
            Self::Attachment(record) => {
                let netns = record.netns.as_ref();
                let netns = netns.map(|it| format!(" (network namespace {})", it.path.display()));
                format!("{self}{}", netns.unwrap_or_default())
            }
            Self::Netns(_) => self.to_string(),
        }
    }
}

impl Records {
    /// Returns who holds a VF with this claim, as [`Holder::among`] all records.
    pub fn holder(
        &self,
        device: PciAddress,
        claim: Option<&Path>,
    ) -> Result<Option<Holder>, Error> {
        Ok(Holder::among(&self.holding(device)?, device, claim))
    }
}

impl Record {
    /// Returns whether the `sriov` plugin has claimed the VF for the attachment.
    pub fn claims_its_vf(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.plugin == CLAIMS)
    }

    /// Returns whether the claim on a VF names this attachment's namespace.
    pub fn is_claimed_by(&self, claim: Option<&Path>) -> bool {
        let netns = self.netns.as_ref().map(|netns| netns.path.as_path());
        claim.is_some() && netns == claim
    }
}
