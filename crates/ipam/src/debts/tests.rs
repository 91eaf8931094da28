use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use podbond_cni::{Lookup, NetConf, NodeRequest, Plugin};
use serde_json::json;

use super::*;
use crate::testing::{Asked, request};
use crate::{Ipam, Lease, collect};

const IPAM: &str = "ipam-of-the-test";

/// Debts, and an IPAM plugin that takes leases back or refuses.
struct Node {
    dir: tempfile::TempDir,
    debts: Debts,
    log: Mutex<Vec<String>>,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let debts = Debts::new(dir.path().join("debts"));
        Self { dir, debts, log: Mutex::default() }
    }

    fn with<T>(&self, refuses: bool, act: impl FnOnce(&Delegates<'_>) -> T) -> T {
        let plugin = Asked { name: IPAM, log: &self.log, answer: Ok(Vec::new()), refuses };
        let builtins: [&dyn Plugin; 1] = [&plugin];
        act(&Delegates::new(&builtins, Lookup::PathThenBuiltin))
    }

    /// Makes the IPAM plugin a shell script.
    fn program(&self, script: &str) {
        let file = self.dir.path().join(IPAM);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn give_back(&self, refuses: bool, request: &Request, lease: Lease) {
        self.with(refuses, |delegates| {
            Ipam { request, delegates, debts: &self.debts }.give_back(lease).unwrap();
        });
    }

    /// GC of the network `n`, whose valid attachments these containers have.
    fn gc(&self, refuses: bool, valid: &[&str]) -> Vec<Failure> {
        let valid: Vec<_> =
            valid.iter().map(|id| json!({"containerID": id, "ifname": "net1"})).collect();
        let conf = json!({
            "cniVersion": "1.1.0", "name": "n", "type": "t", "ipam": {"type": IPAM},
            "cni.dev/valid-attachments": valid,
        });
        let config = NetConf::parse(conf.to_string().as_bytes()).unwrap();
        let request = NodeRequest::gc(Vec::new(), config).unwrap();
        self.with(refuses, |delegates| collect(&request, delegates, &self.debts))
    }

    fn owed(&self) -> Vec<String> {
        let debts = self.debts.list().unwrap();
        debts.iter().map(|debt| debt.request.container_id.to_string()).collect()
    }

    fn asked(&self) -> usize {
        self.log.lock().unwrap().drain(..).count()
    }
}

#[test]
fn what_is_owed_is_noted_in_one_line_with_all_that_its_payment_needs() {
    let node = Node::new();
    let mut request = request(IPAM, "c1");
    request.config.set_prev_result(Some(podbond_cni::CniResult::default()));
    node.give_back(true, &request, Lease::Possible);
    let debt = node.debts.of(&request).unwrap().unwrap();
    request.config.set_prev_result(None);
    assert_eq!((debt.ipam(), &debt.request), (IPAM, &request));
    assert_eq!(debt.problem, "the server is away: / timeout");
    assert!(debt.since > 1_700_000_000 && debt.tried >= debt.since);
    assert!(node.dir.path().join("debts/n/c1:net1").is_file());
}

#[test]
fn however_much_a_plugin_says_what_it_owes_is_noted() {
    let node = Node::new();
    let request = request(IPAM, "c1");
    let words = "\u{20ac}uro\n".repeat(1 << 18);
    let path = node.debts.note(&request, &Failure::new(Code::Io, words)).unwrap();
    assert!(fs::metadata(path).unwrap().len() < 8 << 10);
    let problem = node.debts.of(&request).unwrap().unwrap().problem;
    assert!(problem.starts_with("\u{20ac}uro / \u{20ac}uro / ") && problem.ends_with('\u{2026}'));
}

#[test]
fn a_debt_is_paid_once_and_nothing_is_left() {
    let node = Node::new();
    node.give_back(true, &request(IPAM, "c1"), Lease::Possible);
    let debt = node.debts.list().unwrap().remove(0);
    let unpaid = node.with(true, |delegates| node.debts.pay(&debt, &[], delegates)).unwrap_err();
    assert!(unpaid.to_string().contains("still owes the lease of net1 of container c1"));
    node.asked();
    for _ in 0..2 {
        node.with(false, |delegates| node.debts.pay(&debt, &[], delegates)).unwrap();
    }
    assert_eq!((node.asked(), node.owed().len()), (1, 0));
    assert!(!node.dir.path().join("debts").exists());
}

#[test]
fn a_second_note_keeps_the_time_and_the_configuration_of_the_first() {
    let node = Node::new();
    let request = request(IPAM, "c1");
    node.give_back(true, &request, Lease::Possible);
    let first = node.debts.of(&request).unwrap().unwrap();
    let mut other = request.clone();
    other.config.raw.insert("changed".to_owned(), json!(true));
    node.give_back(true, &other, Lease::Never);
    let second = node.debts.of(&request).unwrap().unwrap();
    assert_eq!((second.request, second.since), (first.request, first.since));
}

#[test]
fn what_an_add_that_failed_may_have_leased_is_owed_when_its_del_fails() {
    let node = Node::new();
    let request = Request { path: vec![node.dir.path().to_owned()], ..request(IPAM, "c1") };
    let delegates = Delegates::new(&[], Lookup::PathOnly);
    let ipam = Ipam { request: &request, delegates: &delegates, debts: &node.debts };
    node.program("exit 1");
    let failure = ipam.lease().unwrap_err();
    assert!(failure.cause.details.contains("is noted in "), "{failure:?}");
    assert_eq!(node.owed(), ["c1"]);
    // The runtime's DEL after it, which finds nothing that was made.
    ipam.give_back(Lease::Never).unwrap();
    assert_eq!(node.owed(), ["c1"]);
    node.program("");
    ipam.give_back(Lease::Never).unwrap();
    assert!(node.owed().is_empty());
}

#[test]
fn a_refused_add_that_left_nothing_owes_nothing() {
    let node = Node::new();
    node.give_back(true, &request("not-installed", "c1"), Lease::Never);
    assert_eq!(node.owed(), [""; 0]);
    node.give_back(true, &request("not-installed", "c1"), Lease::Possible);
    assert!(node.debts.list().unwrap()[0].problem.contains("not-installed"));
}

#[test]
fn a_del_that_is_served_pays_what_its_network_owes() {
    let node = Node::new();
    for id in ["c1", "c2"] {
        node.give_back(true, &request(IPAM, id), Lease::Possible);
    }
    let mut other = request(IPAM, "c3");
    other.config.name = "other".to_owned();
    other.config.raw.insert("name".to_owned(), json!("other"));
    node.give_back(true, &other, Lease::Possible);
    node.give_back(false, &request(IPAM, "c4"), Lease::Possible);
    assert_eq!(node.owed(), ["c3"]);
}

#[test]
fn an_operation_on_the_way_asks_a_plugin_that_fails_only_once_more_and_begins_elsewhere_next_time()
{
    let node = Node::new();
    for id in ["c1", "c2", "c3"] {
        node.debts.note(&request("not-installed", id), &Failure::new(Code::Io, "")).unwrap();
    }
    let tried = |id| node.debts.of(&request(IPAM, id)).unwrap().unwrap().tried;
    for (id, at) in [("c1", 3), ("c2", 1), ("c3", 2)] {
        let path = node.debts.path(&request(IPAM, id));
        let debt = Debt { tried: at, ..node.debts.read(&path).unwrap().unwrap() };
        write(&path, &debt).unwrap();
    }
    node.give_back(false, &request(IPAM, "c4"), Lease::Possible);
    assert_eq!((tried("c1"), tried("c3")), (3, 2));
    assert!(tried("c2") > 3);
}

#[test]
fn who_pays_one_debt_after_another_keeps_nobody_from_the_lock() {
    let node = Node::new();
    let request = request(IPAM, "c1");
    node.give_back(true, &request, Lease::Possible);
    let debt = node.debts.of(&request).unwrap().unwrap();
    node.program("touch \"${0%/*}/asked\"; sleep 0.3; exit 1");
    let path = [node.dir.path().to_owned()];
    let delegates = Delegates::new(&[], Lookup::PathOnly);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                node.debts.pay(&debt, &path, &delegates).unwrap_err();
            }
        });
        while !node.dir.path().join("asked").exists() {
            thread::sleep(Duration::from_millis(1));
        }
        let lock = node.debts.lock(Duration::from_secs(1));
        is_over.store(true, Ordering::Relaxed);
        lock.unwrap();
    });
}

#[test]
fn gc_pays_all_that_is_owed_but_for_the_valid_and_tells_what_stays() {
    let node = Node::new();
    for id in ["c1", "c2", "c3"] {
        node.give_back(true, &request(IPAM, id), Lease::Possible);
    }
    let failures = node.gc(true, &["c2"]);
    assert_eq!(failures.len(), 2);
    assert!(failures[0].msg.contains("still owes the lease"), "{failures:?}");
    assert_eq!(node.gc(false, &["c2"]), []);
    assert_eq!(node.owed(), ["c2"]);
}

#[test]
fn what_cannot_be_noted_is_an_error() {
    let debts = Debts::new("/proc/none/debts");
    let node = Node { debts, ..Node::new() };
    let request = request(IPAM, "c1");
    let refused = node.with(true, |delegates| {
        Ipam { request: &request, delegates, debts: &node.debts }.give_back(Lease::Possible)
    });
    let failure = refused.unwrap_err();
    assert!(failure.details.contains("and it cannot be noted"), "{failure}");
}

#[test]
fn the_longest_names_make_a_file() {
    let node = Node::new();
    let mut request = request("not-installed", &"c".repeat(227));
    request.ifname = "a-long-name-net".parse().unwrap();
    node.give_back(false, &request, Lease::Possible);
    assert!(node.debts.of(&request).unwrap().is_some());
}

#[test]
fn files_that_are_no_debts_are_left_out() {
    let node = Node::new();
    node.give_back(true, &request(IPAM, "c1"), Lease::Possible);
    let dir = node.dir.path().join("debts/n");
    fs::copy(dir.join("c1:net1"), dir.join("copy:net1")).unwrap();
    fs::write(dir.join("c2:net1"), "{\"version\":1,").unwrap();
    fs::write(dir.join(".c3:net1.new"), "").unwrap();
    fs::write(node.dir.path().join("debts/m"), "").unwrap();
    assert_eq!(node.owed(), ["c1"]);
}

#[test]
fn a_torn_note_is_written_anew_by_the_next_operation_of_its_network_and_paid() {
    let node = Node::new();
    let dir = node.dir.path().join("debts/n");
    fs::create_dir_all(&dir).unwrap();
    let torn = || {
        fs::write(dir.join("c1:net1"), "").unwrap();
        fs::write(dir.join("c2:net1"), "{\"version\":1,").unwrap();
        fs::File::create(dir.join("c3:net1")).unwrap().set_len(2 << 20).unwrap();
        fs::write(dir.join("no attachment"), "").unwrap();
        fs::write(dir.join("c4:net1"), "{\"version\":2}").unwrap();
    };
    let left = || fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name());

    torn();
    node.give_back(false, &request(IPAM, "c9"), Lease::Possible);
    assert_eq!(node.asked(), 1 + 3);
    assert_eq!(left().collect::<Vec<_>>(), ["c4:net1"]);

    torn();
    assert_eq!(node.gc(true, &["c2"]).len(), 2);
    let mut owed = node.owed();
    owed.sort();
    assert_eq!(owed, ["c1", "c2", "c3"]);
    let debt = node.debts.of(&request(IPAM, "c1")).unwrap().unwrap();
    assert_eq!((debt.ipam(), debt.problem.as_str()), (IPAM, "the server is away: / timeout"));
    assert!(!debt.request.config.raw.contains_key("cni.dev/valid-attachments"));
}

#[test]
fn an_add_waits_for_its_own_note_to_be_readable() {
    let node = Node::new();
    let dir = node.dir.path().join("debts/n");
    fs::create_dir_all(&dir).unwrap();
    let request = request(IPAM, "c1");
    let settle_up = || {
        node.with(false, |delegates| {
            Ipam { request: &request, delegates, debts: &node.debts }.settle_up()
        })
    };
    // Torn, while another process pays and keeps it from being written anew.
    fs::write(dir.join("c1:net1"), "").unwrap();
    let paying = node.debts.lock(Duration::ZERO).unwrap();
    let failure = settle_up().unwrap_err();
    assert_eq!(failure.code, Code::TryAgain);
    assert!(failure.msg.contains("c1:net1 tells of a lease that is owed"), "{failure}");
    drop(paying);
    settle_up().unwrap();
    assert!(!dir.exists());
    // Of a later podbond.
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("c1:net1"), "{\"version\":2}").unwrap();
    assert!(settle_up().is_err());
}

#[test]
fn a_torn_note_of_a_network_that_has_no_ipam_any_more_goes() {
    let node = Node::new();
    let dir = node.dir.path().join("debts/n");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("c1:net1"), "").unwrap();
    let config = NetConf::parse(br#"{"name": "n", "type": "t"}"#).unwrap();
    let told = node.debts.restore_torn(&config, &[]);
    assert!(told[0].ends_with("nobody knows what was owed, and it is removed"), "{told:?}");
    assert!(!dir.exists());
}
