use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_kernel::{Kernel, LinkEvent, LinkMonitor, NamedNetns, NetnsIdentity, NetnsNumber};

use crate::pod::ip;

/// How long the kernel may take to tell, or to tear down a namespace.
const PATIENCE: Duration = Duration::from_secs(5);

/// A namespace with links that is removed at the end. Nothing of it is open.
struct LinkedPod {
    netns: &'static str,
}

impl LinkedPod {
    fn new(netns: &'static str) -> Self {
        let _ = NamedNetns::find(netns).unwrap().map(NamedNetns::remove);
        NamedNetns::create(netns).unwrap();
        Self { netns }
    }

    fn with_pair(netns: &'static str) -> Self {
        let pod = Self::new(netns);
        pod.ip("link add net1 type veth peer name net2");
        // The kernel tells little of a link that is down.
        pod.ip("link set net1 up");
        pod
    }

    fn with_bond(netns: &'static str) -> Self {
        let pod = Self::new(netns);
        pod.ip("link add bond0 type bond mode active-backup miimon 50 fail_over_mac active");
        for port in ["net1", "net2"] {
            pod.ip(&format!("link add {port} type dummy"));
            pod.ip(&format!("link set {port} master bond0"));
        }
        pod.ip("link set bond0 up");
        pod
    }

    fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.netns))
    }

    fn path(&self) -> PathBuf {
        NamedNetns::path_of(self.netns).unwrap()
    }

    fn number(&self) -> NetnsNumber {
        NetnsIdentity::of(&self.path()).unwrap().number().unwrap().unwrap()
    }

    fn active_port(&self) -> String {
        let shown = self.ip("-d link show bond0");
        let (_, rest) = shown.split_once("active_slave ").unwrap_or_default();
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    }
}

impl Drop for LinkedPod {
    fn drop(&mut self) {
        if let Ok(Some(netns)) = NamedNetns::find(self.netns) {
            netns.remove().unwrap();
        }
    }
}

/// Reads until an event comes, and returns whether it came in time.
fn hears(monitor: &mut LinkMonitor, event: LinkEvent, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        match monitor.next_event().unwrap() {
            Some(heard) if heard == event => return true,
            Some(_) => {}
            None => sleep(Duration::from_millis(5)),
        }
    }
    false
}

/// Reads what waits.
fn drain(monitor: &mut LinkMonitor) -> Vec<LinkEvent> {
    std::iter::from_fn(|| monitor.next_event().unwrap()).collect()
}

#[test]
fn fail_over_in_another_namespace_is_heard_and_its_neighbours_silence_too() {
    let (pod, other) =
        (LinkedPod::with_bond("kernel-heard"), LinkedPod::with_bond("kernel-silent"));
    let mut monitor = LinkMonitor::open().unwrap();
    let number = pod.number();
    assert_eq!(pod.number(), number, "a number stays");
    assert_ne!(other.number(), number);
    // The links of a new namespace settle: the bond finds its ports' carrier.
    sleep(Duration::from_secs(1));
    drain(&mut monitor);
    assert_eq!(pod.active_port(), "net1");

    let begun = Instant::now();
    pod.ip("link set net1 carrier off");
    assert!(hears(&mut monitor, LinkEvent::Changed(number), PATIENCE), "carrier");
    println!("carrier heard after {:?}", begun.elapsed());
    while pod.active_port() != "net2" {
        assert!(begun.elapsed() < PATIENCE, "no fail-over");
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(100));
    let heard = drain(&mut monitor);
    println!("{} messages of a fail-over", heard.len());
    assert!(heard.contains(&LinkEvent::Changed(number)), "{heard:?}");
    assert!(!heard.contains(&LinkEvent::Changed(other.number())), "{heard:?}");

    pod.ip("link set net2 nomaster");
    assert!(hears(&mut monitor, LinkEvent::Changed(number), PATIENCE), "port taken out");
}

#[test]
fn monitor_keeps_no_namespace_and_hears_of_its_end() {
    let pod = LinkedPod::with_pair("kernel-ending");
    let mut monitor = LinkMonitor::open().unwrap();
    let identity = NetnsIdentity::of(&pod.path()).unwrap();
    let number = identity.number().unwrap().unwrap();
    let before = std::fs::read_link("/proc/thread-self/ns/net").unwrap();

    // What holds a socket there, as a monitor in the namespace would, holds the namespace.
    let holder = Kernel::with_pod(&pod.path()).unwrap();
    NamedNetns::find(pod.netns).unwrap().unwrap().remove().unwrap();
    let over = LinkEvent::NamespaceOver(number);
    assert!(!hears(&mut monitor, over, Duration::from_secs(1)), "held, and over");
    assert_eq!(identity.number().unwrap(), None, "nothing is at its path");
    let begun = Instant::now();
    drop(holder);
    assert!(hears(&mut monitor, over, PATIENCE));
    println!("the end heard after {:?}", begun.elapsed());
    assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), before);
}

#[test]
fn namespace_of_another_pod_at_the_path_has_no_number_of_the_first() {
    let first = LinkedPod::with_pair("kernel-another");
    let identity = NetnsIdentity::of(&first.path()).unwrap();
    NamedNetns::find(first.netns).unwrap().unwrap().remove().unwrap();
    let second = LinkedPod::with_pair("kernel-another");
    assert_eq!(identity.number().unwrap(), None);
    assert!(NetnsIdentity::of(&second.path()).unwrap().number().unwrap().is_some());
}

#[test]
fn overrun_is_told() {
    let pod = LinkedPod::with_pair("kernel-overrun");
    let mut monitor = LinkMonitor::open().unwrap();
    pod.number();
    let batch: Vec<String> = (0..6000).map(|n| format!("link set net1 alias a{n}")).collect();
    let dir = tempfile::tempdir().unwrap();
    let file: &Path = &dir.path().join("batch");
    std::fs::write(file, batch.join("\n")).unwrap();
    pod.ip(&format!("-batch {}", file.display()));
    let heard = drain(&mut monitor);
    println!("{} messages before the loss", heard.len());
    assert!(heard.contains(&LinkEvent::Lost));
    // It goes on.
    pod.ip("link set net1 alias last");
    assert!(hears(&mut monitor, LinkEvent::Changed(pod.number()), PATIENCE));
}
