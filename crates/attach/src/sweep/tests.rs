use super::*;
use crate::testing::{Fault, Node};

#[test]
fn what_outlived_its_namespace_is_taken_away_in_reverse_and_nothing_else() {
    let node = Node::new();
    let (dead, alive) = (node.sandbox("dead"), node.sandbox("alive"));
    node.add(&dead, &node.chain_of("vf")).unwrap();
    node.add(&alive, &node.chain_of("vf")).unwrap();
    node.script.take();
    assert_eq!(node.attachments().gone, []);
    std::fs::remove_file(&dead.netns).unwrap();

    let attachments = node.attachments();
    assert_eq!(attachments.alive.len(), 2);
    for record in attachments.alive.iter().chain(&attachments.gone) {
        assert_eq!(node.with(|attacher| attacher.take_away(record)), []);
    }
    assert_eq!(node.script.take(), ["DEL net1 two", "DEL net1 one", "DEL eth0 three"]);
    assert_eq!(node.attachments(), Attachments { gone: Vec::new(), ..attachments });
}

#[test]
fn another_namespace_at_the_same_path_is_not_the_attachments() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("")).unwrap();
    node.replace_netns(&sandbox);
    assert_eq!(node.attachments().gone.len(), 1);
}

#[test]
fn what_could_not_be_taken_away_is_found_again() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("")).unwrap();
    std::fs::remove_file(&sandbox.netns).unwrap();
    node.script.fault("DEL eth0 three", Fault::Fails(Code::Io));
    let gone = node.attachments().gone;
    assert_eq!(node.with(|attacher| attacher.take_away(&gone[0])).len(), 1);
    assert_eq!(node.attachments().gone, gone);
}

#[test]
fn every_plugin_is_checked_in_order_with_the_result_in_full_whatever_its_version() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("vf, old")).unwrap();
    node.script.take();
    node.script.fault("CHECK net1 two", Fault::Fails(Code::DIFFERS));
    node.script.fault("CHECK net2 one", Fault::Fails(Code::Io));
    let records = node.records();
    let checked: Vec<_> =
        records.iter().flat_map(|record| node.with(|attacher| attacher.check(record))).collect();
    let told = |command: &str, code| Failure::new(code, format!("{command} was told to fail"));
    let expected = [
        ("three", Checked::Same),
        ("one", Checked::Same),
        ("two", Checked::Differs(told("CHECK net1 two", Code::DIFFERS))),
        ("one", Checked::Failed(told("CHECK net2 one", Code::Io))),
    ];
    assert_eq!(checked, expected.map(|(plugin, checked)| (plugin.to_owned(), checked)));
    for request in node.script.requests() {
        assert!(request.config.version >= Version::V0_4_0, "{request:?}");
        assert!(request.config.prev_result.is_some(), "{request:?}");
    }
}

#[test]
fn a_foreign_plugin_is_not_asked_in_a_version_without_check() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("old")).unwrap();
    let mut record = node.records().remove(1);
    record.configs[0].plugin = "tuning".to_owned();
    let checked = node.with(|attacher| attacher.check(&record)).remove(0).1;
    let Checked::NotChecked(why) = checked else { panic!("{checked:?}") };
    assert!(why.starts_with("tuning speaks 0.3.1 here"), "{why}");
    record.configs[0].version = Version::V1_0_0;
    let checked = node.with(|attacher| attacher.check(&record)).remove(0).1;
    assert!(matches!(checked, Checked::Failed(_)), "{checked:?}");
}
