//! What the agent sees of the documented pod's bond in the lab: run by `cargo xtask test` as root, in the virtual
//! machine.
#![allow(clippy::unwrap_used, reason = "a panic is the report of a failure")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use podbond_agent::bonds::{
    BondState, BondStatus, Change, NextLook, PortState, Watch, annotation, changes,
    from_annotation, observe,
};
use podbond_cluster::EventType;
use podbond_cni::ContainerId;
use podbond_record::{Record, Records};
use tokio::time::timeout;

/// The documented manifests.
const EXAMPLES: &str = "/root/examples";

/// How long a VF may take to see what its PF does, under emulation.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a command that must succeed.
fn run(program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {words}");
}

/// The documented pod, which is deleted at the end.
struct DocumentedPod {
    container_id: ContainerId,
}

impl DocumentedPod {
    fn new() -> Self {
        for pf in ["pf0", "pf1"] {
            run("ip", &format!("link set {pf} up"));
        }
        run("podbond", &format!("apply -f {EXAMPLES}"));
        let (records, _) = Records::default().all().unwrap();
        let of_bond = records.iter().find(|record| record.ifname.as_str() == "net3");
        Self { container_id: of_bond.unwrap().container_id.clone() }
    }

    fn records(&self) -> Vec<Record> {
        Records::default().of_container(&self.container_id).unwrap().0
    }

    fn bond(&self) -> BondStatus {
        let mut bonds = observe(&self.records()).unwrap();
        assert_eq!(bonds.len(), 1, "{bonds:?}");
        bonds.remove(0)
    }
}

impl Drop for DocumentedPod {
    fn drop(&mut self) {
        for pf in ["pf0", "pf1"] {
            run("ip", &format!("link set {pf} up"));
        }
        run("podbond", &format!("delete -f {EXAMPLES}"));
    }
}

/// Looks whenever the watch says so, until the bond is as it should be. Returns what is told on the way.
async fn until(
    pod: &DocumentedPod,
    next: &mut NextLook,
    before: &mut BondStatus,
    is_so: impl Fn(&BondStatus) -> bool,
) -> Vec<Change> {
    let begun = Instant::now();
    let mut told = Vec::new();
    while !is_so(before) {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let container = timeout(left, next.next()).await;
        let container = container.unwrap_or_else(|_| panic!("{before:?} after {PATIENCE:?}"));
        assert_eq!(container, pod.container_id);
        let looked = Instant::now();
        let after = pod.bond();
        println!("{:?}: a look of {:?}", begun.elapsed(), looked.elapsed());
        told.extend(changes(std::slice::from_ref(before), std::slice::from_ref(&after)));
        *before = after;
    }
    for change in &told {
        println!("{:?} {}: {}", change.kind, change.reason, change.note);
    }
    println!("{}", annotation(std::slice::from_ref(before)));
    told
}

fn reasons(told: &[Change]) -> Vec<(EventType, &'static str)> {
    told.iter().map(|change| (change.kind, change.reason)).collect()
}

fn is_whole(bond: &BondStatus) -> bool {
    bond.ports.len() == 2 && bond.ports.iter().all(|port| port.state == PortState::Up)
}

fn other<'p>(port: &str, [one, two]: [&'p str; 2]) -> &'p str {
    if port == one { two } else { one }
}

#[tokio::test(flavor = "current_thread")]
async fn fail_over_of_a_pod_is_seen_and_told() {
    use EventType::{Normal, Warning};

    let pod = DocumentedPod::new();
    let own = || fs::read_link("/proc/thread-self/ns/net").unwrap();
    let namespace = own();
    let (watch, mut next) = Watch::start().unwrap();
    watch.add(&pod.container_id, &pod.records()).unwrap();
    let mut bond = pod.bond();
    assert_eq!(own(), namespace);
    let told = until(&pod, &mut next, &mut bond, is_whole).await;
    assert!(told.iter().all(|change| change.kind == Normal), "{told:?}");
    assert_eq!((bond.state, bond.mode.name()), (BondState::Up, "active-backup"));
    assert_eq!(from_annotation(&annotation(std::slice::from_ref(&bond))).unwrap(), [bond.clone()]);
    assert_eq!(pod.bond(), bond, "the text changes with nothing");
    let functions = bond.ports.iter().map(|port| port.function.clone().unwrap());
    let pfs: Vec<String> = functions.map(|function| function.pf.unwrap().to_string()).collect();
    assert_eq!(pfs, ["pf0", "pf1"]);

    let active = bond.active_port.clone().unwrap().to_string();
    let backup = other(&active, ["net1", "net2"]);
    let (pf, pf_of_backup) = if active == "net1" { ("pf0", "pf1") } else { ("pf1", "pf0") };
    run("ip", &format!("link set {pf} down"));
    let has_failed_over =
        |bond: &BondStatus| bond.active_port.as_ref().is_some_and(|now| now.as_str() == backup);
    let told = until(&pod, &mut next, &mut bond, has_failed_over).await;
    let fail_over = told.iter().find(|change| change.reason == "BondFailover").unwrap();
    for words in [active.as_str(), backup, pf, pf_of_backup] {
        assert!(fail_over.note.contains(words), "{words}: {}", fail_over.note);
    }

    run("ip", &format!("link set {pf_of_backup} down"));
    let told = until(&pod, &mut next, &mut bond, |bond| bond.state == BondState::NoCarrier).await;
    assert!(reasons(&told).contains(&(Warning, "BondDown")), "{told:?}");

    for pf in ["pf0", "pf1"] {
        run("ip", &format!("link set {pf} up"));
    }
    let told = until(&pod, &mut next, &mut bond, is_whole).await;
    assert!(reasons(&told).contains(&(Normal, "BondUp")), "{told:?}");

    let netns = pod.records()[0].netns.clone().unwrap().path;
    let in_pod = format!("-n {}", netns.file_name().unwrap().to_str().unwrap());
    let active = bond.active_port.clone().unwrap().to_string();
    run("ip", &format!("{in_pod} link set {} nomaster", other(&active, ["net1", "net2"])));
    let told = until(&pod, &mut next, &mut bond, |bond| bond.ports.len() == 1).await;
    assert_eq!(reasons(&told), [(Warning, "BondPortRemoved")]);

    let records = pod.records();
    drop(pod);
    assert_eq!(observe(&records).unwrap(), []);
    // Its namespace is over, and with it the watch: no look is due any more.
    assert!(timeout(Duration::from_secs(20), next.next()).await.is_err());
}
