//! VF ownership: whose VF it is, by the namespace that its link is in, sriov-cni's claim, and the
//! records. A late or repeated DEL must not take a VF that another pod has been given since.

use std::path::Path;

use podbond_cni::Attachment;
use podbond_kernel::NetnsState;
use podbond_names::PciAddress;
use podbond_record::{Record, Records};

use crate::Error;

/// What an ADD does with the record of an earlier holder of its VF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EarlierHolder {
    /// It has the VF, or may have it: the ADD is refused.
    Holds,
    /// Its namespace is over: the VF is restored by the record, whose part of the VF then ends.
    IsOver,
    /// sriov-cni has taken the VF back: the record's part of the VF ends, the VF is left as it is.
    EndedBySriovCni,
}

/// Returns what an ADD does with a record that names its VF and a namespace in this state. `claim` is that
/// on the VF, `is_claim_alive` what its path alone tells, and `is_off_node` that the VF's link is in some
/// other namespace than the node's. Pure.
pub(crate) fn earlier_holder(
    (netns, state): (&Path, NetnsState),
    (claim, is_claim_alive): (Option<&Path>, bool),
    is_off_node: bool,
) -> EarlierHolder {
    // Another pod has the path, and sriov-cni has given it the VF.
    let is_reassigned = state.is_over() && is_claim_alive && is_off_node;
    // Without a claim the VF may still be in the record's namespace.
    let is_its = is_claim_of(claim, netns) || (claim.is_none() && is_off_node);
    match (is_its && !is_reassigned, state.is_over()) {
        (true, false) => EarlierHolder::Holds,
        (true, true) => EarlierHolder::IsOver,
        (false, _) => EarlierHolder::EndedBySriovCni,
    }
}

/// Returns whether a claim is that of a namespace. One that is damaged says nothing against it.
pub(crate) fn is_claim_of(claim: Option<&Path>, netns: &Path) -> bool {
    claim.is_some_and(|claim| claim == netns || !claim.is_absolute())
}

/// Returns the records of other attachments that have been given a VF.
pub(crate) fn others_with(
    records: &Records,
    pci: PciAddress,
    own: &Attachment,
) -> Result<Vec<Record>, Error> {
    let mut others = records.holding(pci)?;
    others.retain(|record| record.claims_its_vf() && record.attachment() != *own);
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/run/netns/p1";
    const OTHER: &str = "/run/netns/p2";

    /// Of a record whose namespace's path leads to it, or to none.
    fn judged(state: NetnsState, claim: Option<&str>, is_off_node: bool) -> EarlierHolder {
        let is_claim_alive = state == NetnsState::Alive;
        earlier_holder(
            (Path::new(PATH), state),
            (claim.map(Path::new), is_claim_alive),
            is_off_node,
        )
    }

    #[test]
    fn record_holds_its_vf_until_its_namespace_is_over() {
        for state in [NetnsState::Alive, NetnsState::Unknown] {
            assert_eq!(judged(state, Some(PATH), false), EarlierHolder::Holds);
            assert_eq!(judged(state, None, true), EarlierHolder::Holds, "its claim is lost");
        }
        for state in [NetnsState::Gone, NetnsState::Another] {
            assert_eq!(judged(state, Some(PATH), false), EarlierHolder::IsOver);
        }
    }

    #[test]
    fn record_without_claim_or_with_anothers_was_ended_by_sriov_cni() {
        for state in [NetnsState::Alive, NetnsState::Gone] {
            assert_eq!(judged(state, None, false), EarlierHolder::EndedBySriovCni);
            assert_eq!(judged(state, Some(OTHER), true), EarlierHolder::EndedBySriovCni);
        }
    }

    /// Promise: del-spares-others
    #[test]
    fn vf_of_a_later_pod_at_the_same_path_is_not_the_records() {
        let judged = |is_off_node| {
            let claim = (Some(Path::new(PATH)), true);
            earlier_holder((Path::new(PATH), NetnsState::Another), claim, is_off_node)
        };
        assert_eq!(judged(true), EarlierHolder::EndedBySriovCni);
        assert_eq!(judged(false), EarlierHolder::IsOver, "the pod at its path has no VF");
    }

    #[test]
    fn damaged_claim_leaves_it_to_the_record() {
        for claim in ["", "\0\0"] {
            assert_eq!(judged(NetnsState::Alive, Some(claim), false), EarlierHolder::Holds);
            assert_eq!(judged(NetnsState::Gone, Some(claim), false), EarlierHolder::IsOver);
        }
    }
}
