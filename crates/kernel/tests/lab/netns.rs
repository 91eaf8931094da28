use std::fs;
use std::path::Path;

use podbond_kernel::{
    Error, Kernel, LinkState, NamedNetns, Netns, NetnsIdentity, NetnsState, enter,
};

use crate::pod::{Pod, ip, pod};

fn own() -> std::path::PathBuf {
    fs::read_link("/proc/thread-self/ns/net").unwrap()
}

#[test]
fn named_namespace_is_iproute2s() {
    let before = own();
    let mut node = Pod::new("kernel-netns");
    assert_eq!(own(), before);
    assert!(ip("netns list").contains("kernel-netns"));
    assert_eq!(node.shown(&pod("lo")).state, LinkState::Up);
    assert_eq!(node.links(Netns::Pod).unwrap().len(), 1);
}

#[test]
fn name_is_free_again_after_removal() {
    let netns = NamedNetns::create("kernel-twice").unwrap();
    let error = NamedNetns::create("kernel-twice").unwrap_err().to_string();
    assert_eq!(error, "network namespace /run/netns/kernel-twice: the name is taken");
    assert!(NamedNetns::find("kernel-twice").unwrap().is_some());
    netns.clone().remove().unwrap();
    assert_eq!(NamedNetns::find("kernel-twice").unwrap(), None);
    // Gone already: success.
    netns.remove().unwrap();
    // The file alone, as a creation that was killed leaves it, or one of iproute2's.
    fs::write("/run/netns/kernel-twice", "").unwrap();
    assert_eq!(NamedNetns::find("kernel-twice").unwrap(), None);
    NamedNetns::create("kernel-twice").unwrap().remove().unwrap();
    ip("netns add kernel-twice");
    NamedNetns::find("kernel-twice").unwrap().unwrap().remove().unwrap();
    assert!(!ip("netns list").contains("kernel-twice"));
}

#[test]
fn thread_stays_in_an_entered_namespace() {
    let netns = NamedNetns::create("kernel-enter").unwrap();
    let before = own();
    let path = netns.path().to_owned();
    let inside = std::thread::spawn(move || {
        enter(&path).unwrap();
        own()
    });
    assert_ne!(inside.join().unwrap(), before);
    assert_eq!(own(), before);
    netns.remove().unwrap();
}

#[test]
fn path_without_namespace_is_named() {
    let reason = |path: &str| match Kernel::with_pod(Path::new(path)) {
        Err(Error::Namespace { reason, .. }) => reason,
        Err(other) => panic!("{path}: {other}"),
        Ok(_) => panic!("{path} was accepted"),
    };
    assert!(reason("/run/netns/no-such").contains("No such file"));
    assert!(reason("/proc/self/status").contains("another kind"));
    assert!(reason("/proc/self/ns/uts").contains("cannot be entered"));
    let mut alone = Kernel::host().unwrap();
    assert!(!alone.has_pod());
    assert!(matches!(alone.link(&pod("lo")), Err(Error::NoPodNamespace)));
}

/// Promise: namespace-identity
#[test]
fn removed_namespace_is_gone_and_a_later_one_at_its_path_is_another() {
    let netns = NamedNetns::create("kernel-identity").unwrap();
    let path = netns.path().to_owned();
    let identity = NetnsIdentity::of(&path).unwrap();
    assert_eq!(identity.state(), NetnsState::Alive);
    assert_eq!(NetnsState::of_path(&path), NetnsState::Alive);
    assert!(Kernel::with_recorded(&identity).unwrap().has_pod());
    netns.remove().unwrap();
    assert_eq!(identity.state(), NetnsState::Gone);
    // The file alone, as an unmounted namespace leaves it.
    fs::write(&path, "").unwrap();
    assert_eq!(
        (identity.state(), NetnsState::of_path(&path)),
        (NetnsState::Gone, NetnsState::Gone)
    );
    assert!(!Kernel::with_recorded(&identity).unwrap().has_pod());
    let next = NamedNetns::create("kernel-identity").unwrap();
    assert_eq!(identity.state(), NetnsState::Another);
    assert!(!Kernel::with_recorded(&identity).unwrap().has_pod());
    next.remove().unwrap();
    assert_eq!(NetnsState::of_path(Path::new("/proc/self/ns/net")), NetnsState::Gone);
}
