//! GC of a plugin with that of its IPAM plugin.

use podbond_cni::{Delegates, Failure, NodeRequest, Request};
use podbond_record::{Record, Records};

/// Deletes those attachments of a network that are not valid any more, each by `del` with the configuration
/// of its ADD, and calls GC of the IPAM plugin. Goes on past errors, which it returns. A lease that is pending
/// after it is one.
pub fn gc<E: From<Failure> + From<podbond_record::Error>>(
    request: &NodeRequest,
    delegates: &Delegates<'_>,
    records: &Records,
    del: impl Fn(&Request) -> Result<(), E>,
) -> Vec<E> {
    let mut errors: Vec<E> = Vec::new();
    let (all, _) = records.all().unwrap_or_else(|error| {
        errors.push(error.into());
        Default::default()
    });
    for record in all.iter().filter(|record| is_stale(record, request)) {
        let Some(stale) = record.del(&request.path) else { continue };
        let deleted =
            del(&stale).and_then(|()| Ok(records.expect_lease_released(&record.attachment())?));
        errors.extend(deleted.err());
    }
    errors.extend(delegates.ipam_gc(request).err().map(E::from));
    errors
}

/// Returns whether a record is of this plugin and network and not valid any more. One of a chain is for its
/// maker to delete.
fn is_stale(record: &Record, request: &NodeRequest) -> bool {
    record.is_of(&request.config.plugin)
        && record.chain.is_none()
        && record.network == request.config.name
        && !request.valid_attachments.contains(&record.attachment())
}

#[cfg(test)]
mod tests {
    use podbond_cni::NetConf;
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn gc(plugin: &str, network: &str, valid: &serde_json::Value) -> NodeRequest {
        let conf = json!({
            "cniVersion": "1.1.0", "name": network, "type": plugin,
            "cni.dev/valid-attachments": valid,
        });
        let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
        NodeRequest::gc(Vec::new(), conf).unwrap()
    }

    /// Promise: gc-own-network
    #[test]
    fn attachments_of_the_network_that_are_not_valid_are_stale() {
        let record = Record::of_del(&testing::request("asked", "c1"));
        let is_stale = |network, valid| is_stale(&record, &gc("t", network, &valid));
        assert!(is_stale("n", json!([])));
        assert!(is_stale("n", json!([{"containerID": "c2", "ifname": "net1"}])));
        assert!(!is_stale("n", json!([{"containerID": "c1", "ifname": "net1"}])));
        assert!(!is_stale("another", json!([])));
    }

    /// Promise: gc-own-network
    #[test]
    fn attachments_of_a_chain_or_of_another_plugin_are_not_stale() {
        let record = Record::of_del(&testing::request("asked", "c1"));
        assert!(!is_stale(&record, &gc("another", "n", &json!([]))));
        let chain = json!({"position": 0, "nad": null, "configs": [], "args": {}, "called": 1});
        let chain = serde_json::from_value(chain).unwrap();
        let of_chain = Record { chain: Some(chain), ..record };
        assert!(!is_stale(&of_chain, &gc("t", "n", &json!([]))));
    }
}
