use podbond_cni::Version;
use serde_json::json;

use super::*;

fn id(text: &str) -> ContainerId {
    ContainerId::try_from(text.to_owned()).unwrap()
}

fn record(container: &str, ifname: &str, position: usize) -> Record {
    let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond", "miimon": "100"});
    let result = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": ifname, "sandbox": "/run/netns/x", "mtu": 1500}],
        "ips": [{"address": "10.0.0.2/24", "interface": 0}],
    });
    Record {
        container_id: id(container),
        ifname: ifname.parse().unwrap(),
        pod: "demo/pod".parse().unwrap(),
        uid: Some("u-1".to_owned()),
        netns: NetnsRef::of(Path::new("/proc/self/ns/net")).unwrap(),
        position,
        nad: Some("demo/bond-net1".parse().unwrap()),
        network: "n".to_owned(),
        device: Some("0000:03:10.1".parse().unwrap()),
        configs: vec![NetConf::from_map(config.as_object().unwrap().clone()).unwrap()],
        args: Args([("TENANT".to_owned(), "a".to_owned())].into()),
        called: 1,
        so_far: None,
        result: Some(CniResult::from_value(&result, Version::V1_1_0).unwrap()),
    }
}

fn write(records: &Records, all: &[Record]) {
    for record in all {
        records.write(record).unwrap();
    }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let state = tempfile::tempdir().unwrap();
    let records = Records::new(state.path());
    let bare = Record { uid: None, nad: None, device: None, result: None, ..record("c", "b", 1) };
    let so_far = record("c", "b", 1).result;
    let bare = Record { so_far, args: Args::default(), ..bare };
    let all = [record("c", "a", 0), bare];
    write(&records, &all);
    assert_eq!(records.of(&id("c")), (all.to_vec(), vec![]));
    assert!(records.age(&all[0]).unwrap() < Duration::from_mins(1));
    assert_eq!(records.age(&record("other", "a", 0)), None);
}

#[test]
fn records_come_in_the_order_of_their_chain_and_leave_no_directory_behind() {
    let state = tempfile::tempdir().unwrap();
    let records = Records::new(state.path());
    assert_eq!(records.containers().unwrap(), []);
    assert_eq!(records.all(), (vec![], vec![]));
    let (first, second, other) = (record("c1", "z", 0), record("c1", "a", 1), record("c2", "a", 0));
    write(&records, &[second.clone(), other.clone(), first.clone()]);
    assert_eq!(records.containers().unwrap(), [id("c1"), id("c2")]);
    assert_eq!(records.all().0, [first.clone(), second.clone(), other]);
    // An unfinished write of a crash goes with its record.
    fs::write(records.path(&first).with_file_name(".net1.json.new"), "{").unwrap();
    for gone in [&first, &second, &second] {
        records.remove(gone).unwrap();
    }
    assert_eq!(records.containers().unwrap(), [id("c2")]);
}

#[test]
fn a_file_that_is_no_record_is_an_error_with_its_name_and_hides_no_other() {
    let state = tempfile::tempdir().unwrap();
    let records = Records::new(state.path());
    let good = record("c", "good", 0);
    records.write(&good).unwrap();
    let text = fs::read_to_string(records.path(&good)).unwrap();
    let directory = state.path().join("attachments/c");
    for (name, text, part) in [
        ("a.json", "{".to_owned(), "a.json does not parse (EOF"),
        ("b.json", text.replace("\"version\":1", "\"version\":2"), "b.json has version 2, of"),
        ("c.json", "{}".to_owned(), "c.json has version null"),
        ("d.json", "{\"version\":1}".to_owned(), "d.json is wrong (missing field"),
        ("e.json", text.clone(), "e.json is that of container c and interface good"),
        ("f.json", text.replace("0000:03:10.1", "../x"), "f.json is wrong (PCI address"),
    ] {
        let file = directory.join(name);
        fs::write(&file, text).unwrap();
        let (read, errors) = records.of(&id("c"));
        assert_eq!(read, std::slice::from_ref(&good));
        let [error] = errors.try_into().unwrap();
        let message = error.to_string();
        assert!(message.starts_with("record /") && message.contains(part), "{message}");
        assert!(message.contains("remove the file once"), "{message}");
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let state = tempfile::NamedTempFile::new().unwrap();
    let message = Records::new(state.path()).write(&record("c", "a", 0)).unwrap_err().to_string();
    assert!(message.starts_with("cannot write ") && message.contains("attachments"), "{message}");
}

#[test]
fn the_status_is_that_of_the_result() {
    let made = record("c", "net3", 2);
    let [status] = made.statuses().try_into().unwrap();
    assert_eq!((status.name.as_str(), status.default), ("demo/bond-net1", false));
    assert_eq!(Record { result: None, ..made }.statuses(), []);
}
