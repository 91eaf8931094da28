//! Keys of the configuration that turn findings into refusals.

use std::fmt;

use super::kind::{FAIL_OVER_OVER_UNTRUSTED, SHARED_MAC_OVER_UNTRUSTED, SWAP_OVER_UNTRUSTED};
use super::object::listed;
use super::{Finding, Kind};

/// A key of the configuration that turns findings into refusals: the pod is not made rather than
/// made with a bond that will not survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// `strict`, as far as it is about what is found.
    Strict,
    /// `requireDistinctPFs`.
    DistinctPfs,
    /// `requireDistinctCards`.
    DistinctCards,
    /// `requireCarrier`.
    Carrier,
    /// `requireEqualSpeeds`.
    EqualSpeeds,
    /// `requireUnsharedPFs`.
    UnsharedPfs,
}

impl Requirement {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Strict,
        Self::DistinctPfs,
        Self::DistinctCards,
        Self::Carrier,
        Self::EqualSpeeds,
        Self::UnsharedPfs,
    ];

    /// Returns its key.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::DistinctPfs => "requireDistinctPFs",
            Self::DistinctCards => "requireDistinctCards",
            Self::Carrier => "requireCarrier",
            Self::EqualSpeeds => "requireEqualSpeeds",
            Self::UnsharedPfs => "requireUnsharedPFs",
        }
    }

    /// Returns the codes of the findings that it refuses.
    pub const fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Strict => {
                &["untrusted-shared-mac", "untrusted-fail-over", "untrusted-swap", "spoof-check"]
            }
            Self::DistinctPfs => &["ports-share-a-pf"],
            Self::DistinctCards => &["ports-share-a-pf", "ports-share-a-card"],
            Self::Carrier => {
                &["pf-down", "pf-without-carrier", "link-state-enable", "link-state-disable"]
            }
            Self::EqualSpeeds => &["unequal-speeds", "unequal-duplex"],
            Self::UnsharedPfs => &["pf-has-a-master", "lacp-twice-on-a-pf"],
        }
    }

    /// Returns whether it refuses a finding.
    pub(crate) fn refuses(self, finding: &Finding) -> bool {
        self.codes().contains(&finding.code())
    }
}

impl Finding {
    /// Returns whether it is about VFs that are not trusted: one that is an error is refused.
    pub(crate) fn is_of_trust(&self) -> bool {
        const OF_TRUST: [&Kind; 3] =
            [&SHARED_MAC_OVER_UNTRUSTED, &FAIL_OVER_OVER_UNTRUSTED, &SWAP_OVER_UNTRUSTED];
        OF_TRUST.contains(&self.kind)
    }
}

/// A finding for which a bond is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was found.
    pub finding: Finding,
    /// The keys of the configuration that refuse it; none where it is refused unless a key allows
    /// it.
    pub keys: Vec<Requirement>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finding)?;
        if self.keys.is_empty() {
            return Ok(());
        }
        write!(f, ", which {} forbids", listed(&self.keys))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::TABLE;

    #[test]
    fn requirements_name_documented_findings() {
        for requirement in Requirement::ALL {
            let key = crate::KEYS.iter().find(|key| key.name == requirement.key()).unwrap();
            for code in requirement.codes() {
                assert!(TABLE.iter().any(|kind| kind.code == *code), "{code}");
                assert!(key.what.contains(code), "{}: {code}", key.name);
            }
        }
    }
}
