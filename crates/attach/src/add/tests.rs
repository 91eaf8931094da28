use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use podbond_cni::{Args, Code, Failure};

use super::*;
use crate::testing::{Fault, Node, Script, VFS};

const ADDS: [&str; 6] = [
    "ADD eth0 three",
    "ADD net1 one",
    "ADD net1 two",
    "ADD net2 one",
    "ADD net2 two",
    "ADD bond0 three",
];

/// Returns the DELs that undo the first `count` of the ADDs.
fn dels(count: usize) -> Vec<String> {
    ADDS.iter().take(count).rev().map(|add| add.replace("ADD", "DEL")).collect()
}

/// Returns whether there is an active record of each attachment, and no other.
fn is_active(chain: &Chain, records: &[Record]) -> bool {
    let all = chain.attachments.iter().zip(records);
    chain.attachments.len() == records.len() && all.into_iter().all(|(of, is)| is_active_of(of, is))
}

fn is_active_of(attachment: &Attachment, record: &Record) -> bool {
    let chain = record.chain.as_ref().unwrap();
    chain.result.is_some()
        && record.state == State::Active
        && record.ifname == attachment.ifname
        && chain.configs == attachment.configs(chain.device)
}

/// The VFs that records hold, each with its container.
fn held(node: &Node) -> Vec<(String, String)> {
    let records = node.records().into_iter().map(|record| {
        let devices = record.devices.iter().map(ToString::to_string);
        devices.map(|vf| (vf, record.container_id.to_string())).collect::<Vec<_>>()
    });
    records.flatten().collect()
}

#[test]
fn plugins_are_called_in_order_and_undone_in_reverse() {
    let node = Node::new();
    let (sandbox, chain) = (node.sandbox("c"), node.chain());
    let added = node.add(&sandbox, &chain).unwrap();
    assert_eq!(node.script.take(), ADDS);
    let names = added.statuses.iter().map(|status| format!("{} {}", status.interface, status.name));
    let names: Vec<String> = names.collect();
    assert_eq!(names, ["eth0 cluster", "net1 demo/vf", "net2 demo/vf", "bond0 demo/bond"]);
    let records = node.records();
    assert!(is_active(&chain, &records));
    assert_eq!(held(&node), VFS.map(|vf| (vf.to_owned(), "c".to_owned())));
    assert_eq!(node.delete(&sandbox), []);
    assert_eq!(node.script.take(), dels(6));
    node.assert_empty();
}

#[test]
fn plugin_gets_what_the_specification_requires() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("vf")).unwrap();
    let [_, one, two] = node.script.requests().try_into().unwrap();
    assert_eq!(one.netns.as_ref(), Some(&sandbox.netns));
    assert_eq!((one.container_id.as_str(), one.ifname.as_str()), ("c", "net1"));
    assert_eq!(
        one.args.to_string().split(';').collect::<Vec<_>>(),
        [
            "IgnoreUnknown=1",
            "K8S_POD_INFRA_CONTAINER_ID=c",
            "K8S_POD_NAME=pod",
            "K8S_POD_NAMESPACE=demo",
            "K8S_POD_UID=u-1",
        ]
    );
    assert_eq!(one.config.raw["deviceID"], VFS[0]);
    // The result goes from plugin to plugin of one attachment, not from one to the next.
    assert_eq!(one.config.prev_result, None);
    let result = two.config.prev_result.unwrap();
    assert_eq!(result.interfaces[0].name.as_str(), "net1");
    assert_eq!(two.config.raw["prevResult"]["interfaces"][0]["name"], "net1");

    node.script.take();
    assert_eq!(node.delete(&sandbox), []);
    let [two, one, eth0] = node.script.requests().try_into().unwrap();
    for request in [&two, &one] {
        assert_eq!(request.config.prev_result.as_ref(), Some(&result));
        assert_eq!(request.netns.as_ref(), Some(&sandbox.netns));
    }
    // Of version 0.1.0, which knows no prevResult at DEL.
    assert_eq!(eth0.config.prev_result, None);
    assert!(!eth0.config.raw.contains_key("prevResult"));
}

#[test]
fn cni_args_of_the_caller_are_kept_and_name_no_other_pod() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    let mut chain = node.chain_of("");
    let asked = [("IP", "10.0.0.7"), ("K8S_POD_NAME", "other")];
    chain.attachments[0].args =
        Args(asked.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    node.add(&sandbox, &chain).unwrap();
    assert_eq!(node.delete(&sandbox), []);
    for request in node.script.requests() {
        assert_eq!(request.args.get("IP"), Some("10.0.0.7"));
        assert_eq!(request.args.get("K8S_POD_NAME"), Some("pod"));
    }
    assert_eq!(node.script.take().len(), 2);
}

/// Promise: failed-add-leaves-nothing
#[test]
fn failure_of_any_plugin_undoes_all_in_reverse() {
    for (position, add) in ADDS.into_iter().enumerate() {
        let node = Node::new();
        let sandbox = node.sandbox("c");
        node.script.fault(add, Fault::Fails(Code::EXHAUSTED));
        let error = node.add(&sandbox, &node.chain()).unwrap_err();
        let [_, ifname, plugin] = add.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let message = error.to_string();
        assert!(message.starts_with("pod demo/pod: interface "), "{message}");
        assert!(message.contains(&format!("interface {ifname} for network ")), "{message}");
        assert!(message.contains(&format!("ADD by plugin {plugin} failed: ADD ")), "{message}");
        assert_eq!(Failure::from(error).code, Code::EXHAUSTED);
        let mut expected: Vec<String> =
            ADDS.iter().take(position + 1).map(ToString::to_string).collect();
        expected.extend(dels(position + 1));
        assert_eq!(node.script.take(), expected);
        node.assert_empty();
    }
}

#[test]
fn crash_at_any_plugin_is_finished_by_delete() {
    for (position, add) in ADDS.into_iter().enumerate() {
        let node = Node::new();
        let (sandbox, chain) = (node.sandbox("c"), node.chain());
        node.script.fault(add, Fault::Crashes);
        catch_unwind(AssertUnwindSafe(|| node.add(&sandbox, &chain))).unwrap_err();
        node.script.take();
        // DEL has the records alone, and the namespace is gone.
        node.end_netns(&sandbox);
        let node = Node { script: Script::default(), ..node };
        assert_eq!(node.delete(&sandbox), []);
        assert!(node.script.requests().iter().all(|request| request.netns.is_none()));
        assert_eq!(node.script.take(), dels(position + 1));
        node.assert_empty();
    }
}

#[test]
fn del_of_a_failed_list_gets_the_result_so_far() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.script.fault("ADD net1 two", Fault::Fails(Code::EXHAUSTED));
    node.add(&sandbox, &node.chain_of("vf")).unwrap_err();
    let [_eth0, one, _two, del_two, del_one, _del_eth0] =
        node.script.requests().try_into().unwrap();
    assert_eq!(one.config.prev_result, None);
    for del in [del_two, del_one] {
        assert_eq!(del.config.prev_result.unwrap().interfaces[0].name.as_str(), "net1");
    }
}

#[test]
fn without_a_device_the_chain_is_undone() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    let error = node.add(&sandbox, &node.chain_of("vf, vf, vf")).unwrap_err();
    let expected = "pod demo/pod: interface net3 for network demo/vf: no free VF";
    assert_eq!(error.to_string(), expected);
    assert_eq!(node.script.take()[5..], dels(5));
    node.assert_empty();
}

#[test]
fn default_route_that_cannot_be_set_undoes_the_chain() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    let chain = node.chain_of(r#"[{"name": "bond", "default-route": ["10.0.0.1"]}]"#);
    // The namespace is the own one, which is not taken for a pod's.
    let error = node.add(&sandbox, &chain).unwrap_err();
    let start = "pod demo/pod: interface net1 for network demo/bond: default-route cannot be set: ";
    assert!(error.to_string().starts_with(start), "{error}");
    assert_eq!(node.script.take()[2..], ["DEL net1 three", "DEL eth0 three"]);
    node.assert_empty();
}

#[test]
fn failed_undo_keeps_the_record() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    for call in ["ADD bond0 three", "DEL bond0 three", "DEL net1 one"] {
        node.script.fault(call, Fault::Fails(Code::KERNEL));
    }
    let error = node.add(&sandbox, &node.chain()).unwrap_err();
    assert_eq!(node.script.take()[6..], dels(6));
    let Error::Undoing { cause, undoing } = &error else { panic!("{error}") };
    assert!(cause.to_string().contains("ADD bond0 three fails by request"), "{cause}");
    assert_eq!(undoing.len(), 2);
    let message = error.to_string();
    assert!(message.contains("; undoing it failed too, delete the pod"), "{message}");
    assert!(
        message.contains("DEL by plugin one failed: DEL net1 one fails by request"),
        "{message}"
    );
    let remaining: Vec<String> = node.records().iter().map(|r| r.ifname.to_string()).collect();
    assert_eq!(remaining, ["net1", "bond0"]);
    // The VF may still be in the pod: it is not given back before its plugin has let it go.
    assert_eq!(held(&node), [(VFS[0].to_owned(), "c".to_owned())]);

    assert_eq!(node.delete(&sandbox).len(), 2);
    node.script.faults.lock().unwrap().clear();
    node.script.take();
    assert_eq!(node.delete(&sandbox), []);
    assert_eq!(node.script.take(), ["DEL bond0 three", "DEL net1 two", "DEL net1 one"]);
    node.assert_empty();
}

#[test]
fn delete_goes_on_past_plugins_that_fail() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain()).unwrap();
    node.script.take();
    node.script.fault("DEL net2 two", Fault::Fails(Code::KERNEL));
    let [error] = node.delete(&sandbox).try_into().unwrap();
    assert!(error.to_string().contains("DEL net2 two fails by request"), "{error}");
    assert_eq!(node.script.take(), dels(6));
    let remaining: Vec<String> = node.records().iter().map(|r| r.ifname.to_string()).collect();
    assert_eq!(remaining, ["net2"]);
}

#[test]
fn del_without_a_readable_record_uses_the_present_chain() {
    for text in ["", "{", "[]", r#"{"version": 1}"#, r#"{"version": 2}"#, "\0"] {
        let node = Node::new();
        let (sandbox, chain) = (node.sandbox("c"), node.chain());
        node.add(&sandbox, &chain).unwrap();
        node.script.take();
        fs::write(node.path("run/attachments/c:net1"), text).unwrap();
        let present = || Some((sandbox.clone(), chain.clone()));
        let deleted = node.with(|attacher| attacher.delete(&sandbox.container_id, present));
        assert_eq!(deleted, [], "{text}");
        assert_eq!(node.script.take(), dels(ADDS.len()), "{text}");
        node.assert_empty();
    }
}

/// To the plugin a record in its place would say that nothing was made.
///
/// Promise: del-damaged-state
#[test]
fn unreadable_record_is_not_replaced_by_del() {
    let node = Node::new();
    let (sandbox, chain) = (node.sandbox("c"), node.chain());
    node.add(&sandbox, &chain).unwrap();
    fs::write(node.path("run/attachments/c:net1"), "{").unwrap();
    node.script.fault("DEL net1 one", Fault::Fails(Code::KERNEL));
    let present = || Some((sandbox.clone(), chain.clone()));
    let errors = node.with(|attacher| attacher.delete(&sandbox.container_id, present));
    assert_eq!(errors.len(), 1);
    assert_eq!(fs::read_to_string(node.path("run/attachments/c:net1")).unwrap(), "{");
}

/// Promise: del-after-reboot
#[test]
fn del_after_a_reboot_is_of_all_networks() {
    let node = Node::new();
    let (sandbox, chain) = (node.sandbox("c"), node.chain());
    node.add(&sandbox, &chain).unwrap();
    node.end_netns(&sandbox);
    for lost in ["c:net1", "c:net2"] {
        fs::remove_file(node.path("run/attachments").join(lost)).unwrap();
    }
    node.script.take();
    let present = || Some((sandbox.clone(), chain.clone()));
    assert_eq!(node.with(|attacher| attacher.delete(&sandbox.container_id, present)), []);
    assert_eq!(node.script.take(), dels(ADDS.len()));
    node.assert_empty();
}

/// Promise: killed-anywhere
#[test]
fn record_that_was_half_written_goes_with_its_pod() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain()).unwrap();
    let [own, anothers] = ["c:net9", "d:net9"].map(|name| {
        let path = node.path(&format!("run/attachments/.{name}.aX81Kd.new"));
        fs::write(&path, "{").unwrap();
        path
    });
    assert_eq!(node.delete(&sandbox), []);
    assert!(!own.exists() && anothers.exists());
}

#[test]
fn del_without_records_uses_the_present_chain() {
    let node = Node::new();
    let (sandbox, chain) = (node.sandbox("c"), node.chain());
    let present = || Some((sandbox.clone(), chain.clone()));
    assert_eq!(node.with(|attacher| attacher.delete(&sandbox.container_id, present)), []);
    assert_eq!(node.script.take(), dels(ADDS.len()));
    node.assert_empty();
}

#[test]
fn delete_succeeds_where_there_is_nothing() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    assert_eq!(node.delete(&sandbox), []);
    node.assert_empty();
}

#[test]
fn only_orphans_are_undone() {
    let node = Node::new();
    let (gone, alive) = (node.sandbox("gone"), node.sandbox("alive"));
    node.add(&gone, &node.chain_of("vf")).unwrap();
    node.add(&alive, &node.chain_of("vf")).unwrap();
    node.end_netns(&gone);
    node.script.take();
    node.script.fault("DEL eth0 three", Fault::Fails(Code::IO));
    for record in node.records().iter().rev() {
        let errors = node.with(|attacher| attacher.end_orphan(record));
        let fails = record.ifname.as_str() == "eth0" && record.container_id.as_str() == "gone";
        assert_eq!(errors.len(), usize::from(fails), "{record}");
    }
    assert_eq!(node.script.take(), ["DEL net1 two", "DEL net1 one", "DEL eth0 three"]);
    // One with an error keeps its record.
    assert_eq!(node.records().len(), 3);
}

#[test]
fn pending_lease_fails_end_orphan_and_not_delete() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("")).unwrap();
    let mut record = node.records().remove(0);
    record.set_ipam_pending("the server is down");
    node.records.write(&record).unwrap();
    node.end_netns(&sandbox);
    let [error] = node.with(|attacher| attacher.end_orphan(&node.records()[0])).try_into().unwrap();
    let message = error.to_string();
    assert!(message.ends_with("has not taken back its lease: the server is down"), "{message}");
    assert_eq!(node.records()[0].state, State::IpamPending);
}

#[test]
fn code_3_of_own_plugin_counts_once_the_namespace_is_gone() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("vf")).unwrap();
    node.script.fault("DEL net1 one", Fault::Fails(Code::CONTAINER_UNKNOWN));
    let [error] = node.delete(&sandbox).try_into().unwrap();
    assert!(error.to_string().contains("DEL net1 one fails by request"), "{error}");
    assert_eq!((node.records().len(), held(&node).len()), (1, 1));
    node.end_netns(&sandbox);
    assert_eq!(node.delete(&sandbox), []);
    node.assert_empty();
}

#[test]
fn code_3_of_foreign_plugin_counts() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain_of("old")).unwrap();
    let program = node.path("foreign");
    fs::write(&program, "#!/bin/sh\necho '{\"code\": 3, \"msg\": \"unknown\"}'; exit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut record = node.records().remove(1);
    record.chain.as_mut().unwrap().configs[0].plugin = "foreign".to_owned();
    let path = [node.directory.path().to_owned()];
    let detached = node.with(|attacher| Attacher { path: &path, ..*attacher }.detach(&record));
    assert_eq!(detached, []);
}

#[test]
fn sandboxes_of_one_pod_are_independent() {
    let node = Node::new();
    let (old, new, chain) = (node.sandbox("old"), node.sandbox("new"), node.chain_of("vf"));
    assert_eq!(old.pod, new.pod);
    node.add(&old, &chain).unwrap();
    node.add(&new, &chain).unwrap();
    let holders = || -> Vec<String> {
        let mut held = held(&node);
        held.sort();
        held.into_iter().map(|(_, container)| container).collect()
    };
    assert_eq!(holders(), ["old", "new"]);
    node.script.take();
    assert_eq!(node.delete(&old), []);
    assert!(node.script.requests().iter().all(|request| request.container_id.as_str() == "old"));
    assert_eq!(holders(), ["new"]);
    let remaining: Vec<String> =
        node.records().iter().map(|r| r.container_id.to_string()).collect();
    assert_eq!(remaining, ["new", "new"]);
    assert_eq!(node.delete(&new), []);
    node.assert_empty();
}

#[test]
fn attached_interface_is_refused_and_stays() {
    let node = Node::new();
    let (sandbox, chain) = (node.sandbox("c"), node.chain());
    node.add(&sandbox, &chain).unwrap();
    let before = node.records();
    node.script.take();
    let error = node.add(&sandbox, &chain).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pod demo/pod: interface eth0 for network cluster: container c has it already: delete the \
         pod first"
    );
    assert_eq!(Failure::from(error).code, Code::CONFLICT);
    assert_eq!(node.script.take(), [""; 0]);
    assert_eq!(node.records(), before);
}

#[test]
fn record_whose_namespace_is_gone_is_undone_first() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    node.add(&sandbox, &node.chain()).unwrap();
    node.script.take();
    node.end_netns(&sandbox);
    node.add(&sandbox, &node.chain_of("vf, bond")).unwrap();
    let requests = node.script.requests();
    assert!(requests[..6].iter().all(|request| request.netns.is_none()));
    let mut expected = dels(6);
    let adds = ["ADD eth0 three", "ADD net1 one", "ADD net1 two", "ADD net2 three"];
    expected.extend(adds.map(str::to_owned));
    assert_eq!(node.script.take(), expected);
    assert!(is_active(&node.chain_of("vf, bond"), &node.records()));
}

#[test]
fn orphan_that_cannot_be_undone_fails_the_add() {
    let node = Node::new();
    let (sandbox, chain) = (node.sandbox("c"), node.chain());
    node.add(&sandbox, &chain).unwrap();
    node.end_netns(&sandbox);
    node.script.fault("DEL net1 two", Fault::Fails(Code::KERNEL));
    let error = node.add(&sandbox, &chain).unwrap_err();
    assert!(error.to_string().contains("DEL net1 two fails by request"), "{error}");
    // Where it is not wanted again it is in nobody's way.
    node.add(&sandbox, &node.chain_of("")).unwrap();
}

#[test]
fn bad_input_changes_nothing() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    let error = node.add(&sandbox, &node.chain_of("vf, absent")).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("pod demo/pod: interface net2 for network demo/abs"), "{message}");
    assert!(message.contains("plugin \"absent\" cannot be looked for"), "{message}");

    let elsewhere = Sandbox { netns: node.path("nothere"), ..sandbox.clone() };
    let message = node.add(&elsewhere, &node.chain()).unwrap_err().to_string();
    assert!(message.starts_with("pod demo/pod: /"), "{message}");
    assert!(message.contains("nothere is not a network namespace: create it first"), "{message}");

    assert_eq!(node.script.take(), [""; 0]);
    node.assert_empty();
}

#[test]
fn unreadable_record_is_replaced_by_add() {
    let node = Node::new();
    let sandbox = node.sandbox("c");
    fs::create_dir_all(node.path("run/attachments")).unwrap();
    fs::write(node.path("run/attachments/c:net1"), "{").unwrap();
    node.add(&sandbox, &node.chain()).unwrap();
    assert!(is_active(&node.chain(), &node.records()));
}
