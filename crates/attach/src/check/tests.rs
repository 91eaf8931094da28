use podbond_cni::Code;

use super::*;
use crate::testing::{Fault, Node};

#[test]
fn plugins_are_checked_in_order_with_the_whole_result() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("vf, old")).unwrap();
    node.script.take();
    node.script.fault("CHECK net1 two", Fault::Fails(Code::DIFFERS));
    node.script.fault("CHECK net2 one", Fault::Fails(Code::IO));
    let records = node.records();
    let checked: Vec<_> =
        records.iter().flat_map(|record| node.with(|attacher| attacher.check(record))).collect();
    let failure = |command: &str, code| Failure::new(code, format!("{command} fails by request"));
    let expected = [
        ("three", Checked::Same),
        ("one", Checked::Same),
        ("two", Checked::Differs(failure("CHECK net1 two", Code::DIFFERS))),
        ("one", Checked::Failed(failure("CHECK net2 one", Code::IO))),
    ];
    assert_eq!(checked, expected.map(|(plugin, checked)| (plugin.to_owned(), checked)));
    for request in node.script.requests() {
        assert!(request.config.version >= Version::V0_4_0, "{request:?}");
        assert!(request.config.prev_result.is_some(), "{request:?}");
    }
}

#[test]
fn foreign_plugin_is_not_checked_before_0_4_0() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("old")).unwrap();
    let mut record = node.records().remove(1);
    record.chain.as_mut().unwrap().configs[0].plugin = "tuning".to_owned();
    let checked = node.with(|attacher| attacher.check(&record)).remove(0).1;
    let Checked::NotChecked(why) = checked else { panic!("{checked:?}") };
    assert!(why.starts_with("the configuration of tuning has cniVersion 0.3.1,"), "{why}");
    record.chain.as_mut().unwrap().configs[0].version = Version::V1_0_0;
    let checked = node.with(|attacher| attacher.check(&record)).remove(0).1;
    assert!(matches!(checked, Checked::Failed(_)), "{checked:?}");
}
