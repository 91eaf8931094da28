//! The tag of the VLAN interface on the bond: `vlan` and `vlanProto`.

use podbond_kernel::{VlanProtocol, VlanTag};
use serde_json::{Map, Value};

use super::{keep, present, written};
use crate::Error;

/// The largest VLAN ID of IEEE 802.1Q; 4095 is reserved, and 0 is no VLAN's.
const MAX_ID: u16 = 4094;

/// The tag that is asked for; none without `vlan`, or with 0.
pub(super) fn tag(raw: &Map<String, Value>, wrong: &mut Vec<Error>) -> Option<VlanTag> {
    let id = keep(id(present(raw, "vlan")), wrong);
    let given = present(raw, "vlanProto").filter(|given| *given != "");
    let protocol = keep(protocol(given), wrong);
    match (id?, protocol?) {
        (0, _) if given.is_some() => {
            wrong.push(Error::NeedsVlan);
            None
        }
        (0, _) => None,
        (id, protocol) => Some(VlanTag { id, protocol }),
    }
}

fn id(given: Option<&Value>) -> Result<u16, Error> {
    let Some(given) = given else { return Ok(0) };
    let id = written(given).number().and_then(|id| u16::try_from(id).ok());
    id.filter(|id| *id <= MAX_ID)
        .ok_or_else(|| Error::Vlan { given: given.to_string(), max: MAX_ID })
}

fn protocol(given: Option<&Value>) -> Result<VlanProtocol, Error> {
    let Some(given) = given else { return Ok(VlanProtocol::Dot1Q) };
    let all = [VlanProtocol::Dot1Q, VlanProtocol::Dot1Ad];
    let is_it = |protocol: &VlanProtocol| {
        given.as_str().is_some_and(|text| text.eq_ignore_ascii_case(&protocol.to_string()))
    };
    all.into_iter().find(is_it).ok_or_else(|| Error::VlanProtocol { given: given.to_string() })
}
