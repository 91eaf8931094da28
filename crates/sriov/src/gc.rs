//! GC: deletes the attachments of a network that are not valid any more.

use podbond_cni::{Delegates, NodeRequest};
use podbond_record::{Record, Stored};

use crate::record::PLUGIN;
use crate::{Error, Sriov};

impl Sriov {
    /// GC: the DEL of each recorded attachment of the network that is not valid, and the IPAM plugin's
    /// GC. Goes on past errors.
    pub(crate) fn delete_invalid(
        &self,
        request: &NodeRequest,
        delegates: &Delegates<'_>,
    ) -> Result<(), Error> {
        let (records, _) = self.records.all()?;
        let mut errors = Vec::new();
        for record in records.iter().filter(|record| is_invalid(record, request)) {
            let Some(del) = record.del(&request.path) else { continue };
            let outcome = self.del_vf(&del, delegates).and_then(|()| self.expect_ended(record));
            errors.extend(outcome.err());
        }
        errors.extend(delegates.ipam_gc(request).map_err(Error::Attaching).err());
        Error::all(errors)
    }

    /// Returns an error where an attachment's lease is still pending after its DEL.
    fn expect_ended(&self, record: &Record) -> Result<(), Error> {
        match self.records.read(&record.attachment())? {
            Stored::Whole(record) => Error::pending(&record).map_or(Ok(()), Err),
            Stored::Missing | Stored::Unreadable(_) => Ok(()),
        }
    }
}

/// Returns whether GC deletes an attachment. One of a chain is its maker's.
fn is_invalid(record: &Record, request: &NodeRequest) -> bool {
    record.chain.is_none()
        && record.network == request.config.name
        && record.add.as_ref().is_some_and(|add| add.config.plugin == PLUGIN)
        && !request.valid_attachments.contains(&record.attachment())
}

#[cfg(test)]
mod tests {
    use podbond_cni::NetConf;
    use podbond_record::ChainPart;
    use serde_json::json;

    use super::*;
    use crate::testing::{net_conf, record};

    fn gc(network: &str, valid: &serde_json::Value) -> NodeRequest {
        let conf = json!({
            "cniVersion": "1.1.0", "name": network, "type": "sriov",
            "cni.dev/valid-attachments": valid,
        });
        let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
        NodeRequest::gc(Vec::new(), conf).unwrap()
    }

    /// Promise: gc-own-network
    #[test]
    fn attachments_of_the_network_that_are_not_valid_are_deleted() {
        let record = record("c1", &net_conf(&json!({})));
        assert!(is_invalid(&record, &gc("sriovnet1", &json!([]))));
        let other = json!([{"containerID": "c2", "ifname": "net1"}]);
        assert!(is_invalid(&record, &gc("sriovnet1", &other)));
        let own = json!([{"containerID": "c1", "ifname": "net1"}]);
        assert!(!is_invalid(&record, &gc("sriovnet1", &own)));
        assert!(!is_invalid(&record, &gc("another", &json!([]))));
    }

    /// Promise: gc-own-network
    #[test]
    fn attachments_of_a_chain_or_of_another_plugin_are_left() {
        let mut of_chain = record("c1", &net_conf(&json!({})));
        of_chain.chain = Some(ChainPart {
            position: 0,
            nad: None,
            resource: None,
            device: None,
            configs: Vec::new(),
            args: podbond_cni::Args::default(),
            called: 1,
            so_far: None,
            result: None,
        });
        assert!(!is_invalid(&of_chain, &gc("sriovnet1", &json!([]))));
        let bond = record("c1", &net_conf(&json!({"type": "bond"})));
        assert!(!is_invalid(&bond, &gc("sriovnet1", &json!([]))));
    }
}
