//! The tag of the VLAN interface on the bond: `vlan` and `vlanProto`.

use podbond_kernel::{VlanProtocol, VlanTag};
use serde_json::{Map, Value};

use super::draft::{keep, present, written};
use crate::error::Error;

/// The largest VLAN ID of IEEE 802.1Q; 4095 is reserved, and 0 is no VLAN's.
const MAX_ID: u16 = 4094;

/// Returns the tag that is asked for; none without `vlan`, or with 0.
pub(super) fn tag(raw: &Map<String, Value>, wrong: &mut Vec<Error>) -> Option<VlanTag> {
    let id = keep(id(present(raw, "vlan")), wrong);
    let given = present(raw, "vlanProto").filter(|given| *given != "");
    let protocol = keep(protocol(given), wrong);
    match (id?, protocol?) {
        (0, _) if given.is_some() => {
            wrong.push(Error::Needs { key: "vlanProto".to_owned(), needed: "vlan" });
            None
        }
        (0, _) => None,
        (id, protocol) => Some(VlanTag { id, protocol }),
    }
}

fn id(given: Option<&Value>) -> Result<u16, Error> {
    let Some(given) = given else { return Ok(0) };
    let id = written(given).number().and_then(|id| u16::try_from(id).ok());
    id.filter(|id| *id <= MAX_ID).ok_or_else(|| {
        let problem =
            format_args!("is no VLAN ID: give a whole number from 1 to {MAX_ID}, or leave it out");
        Error::value("vlan", given, problem)
    })
}

fn protocol(given: Option<&Value>) -> Result<VlanProtocol, Error> {
    let Some(given) = given else { return Ok(VlanProtocol::Dot1Q) };
    let all = [VlanProtocol::Dot1Q, VlanProtocol::Dot1Ad];
    all.into_iter()
        .find(|protocol| {
            given.as_str().is_some_and(|text| text.eq_ignore_ascii_case(&protocol.to_string()))
        })
        .ok_or_else(|| Error::value("vlanProto", given, "is unknown: give 802.1q or 802.1ad"))
}
