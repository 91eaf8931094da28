use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use podbond_cni::{Args, Delegates, Lookup, NetConf, Request};
use podbond_ipam::{Ipam, Lease};

use super::*;

/// What is known of a state directory whose files alone are looked at.
fn survey(state: &Path) -> Survey {
    let mut survey = Survey { leftovers: Vec::new(), errors: Vec::new() };
    survey.add_files(files::look(state));
    survey
}

fn carried_out(survey: Survey, delegates: &Delegates<'_>) -> Vec<(Done, String)> {
    let rows = survey.carry_out(&Node::new(delegates));
    rows.into_iter().map(|row| (row.done, row.what)).collect()
}

fn lease(container: &str) -> Request {
    let config = r#"{"name": "n", "type": "bond", "ipam": {"type": "not-installed"}}"#;
    Request {
        container_id: ContainerId::try_from(container.to_owned()).unwrap(),
        netns: None,
        ifname: "net1".parse().unwrap(),
        args: Args::default(),
        path: Vec::new(),
        config: NetConf::parse(config.as_bytes()).unwrap(),
    }
}

#[test]
fn a_torn_note_that_is_whole_by_its_turn_stays_owed() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("debts/n");
    fs::create_dir_all(&dir).unwrap();
    for name in ["c1:net1", "c2:net1"] {
        fs::write(dir.join(name), "").unwrap();
    }
    let survey = survey(state.path());
    let delegates = Delegates::new(&[], Lookup::PathThenBuiltin);
    let debts = Debts::new(state.path().join("debts"));
    let request = lease("c1");
    let ipam = Ipam { request: &request, delegates: &delegates, debts: &debts };
    ipam.give_back(Lease::Possible).unwrap();
    let done = carried_out(survey, &delegates);
    assert!(debts.of(&request).unwrap().is_some());
    assert!(!dir.join("c2:net1").exists());
    assert_eq!(done.iter().map(|(done, _)| *done).collect::<Vec<_>>(), [Done::Left, Done::Removed]);
    assert!(done[0].1.contains("written anew"), "{done:?}");
}

#[test]
fn a_torn_record_that_is_whole_by_its_turn_stays() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("bond");
    fs::create_dir_all(&dir).unwrap();
    for name in ["c1:net1", "c2:net1"] {
        let path = dir.join(name);
        fs::write(&path, "{").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    }
    let survey = survey(state.path());
    fs::write(dir.join("c1:net1"), "{}").unwrap();
    let done = carried_out(survey, &Delegates::new(&[], Lookup::PathThenBuiltin));
    assert_eq!(done.iter().map(|(done, _)| *done).collect::<Vec<_>>(), [Done::Left, Done::Removed]);
    assert!(dir.join("c1:net1").exists() && !dir.join("c2:net1").exists());
}
