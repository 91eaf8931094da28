use super::*;

/// The store of a directory, without an index.
fn store(dir: &Path) -> Store {
    Store::create(dir, Path::new("/proc")).unwrap()
}

fn lease(address: &str, content: &str) -> Lease {
    Lease { address: address.parse().unwrap(), holder: Holder::parse(content) }
}

#[test]
fn a_lease_is_a_file_in_the_reference_plugins_form() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    let made = lease("fd00:0:0:1::5", "c1\r\nnet3");
    let address = made.address;
    store.reserve(&made).unwrap();
    store.set_last_reserved(1, address).unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("fd00:0:0:1::5"), "c1\r\nnet3");
    assert_eq!(read("last_reserved_ip.1"), "fd00:0:0:1::5");
    assert_eq!(last_reserved(dir.path(), 1), Some(address));
    assert_eq!(last_reserved(dir.path(), 0), None);
}

#[test]
fn what_the_reference_plugin_wrote_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("10.0.0.10", "c1\r\neth0"),
        ("10.0.0.9", "old"),
        ("fd00::5", ""),
        ("lock", ""),
        ("last_reserved_ip.0", "10.0.0.10"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let expected =
        [lease("10.0.0.9", "old"), lease("10.0.0.10", "c1\r\neth0"), lease("fd00::5", "")];
    assert_eq!(store(dir.path()).leases().unwrap(), expected);
}

#[test]
fn what_was_not_written_to_its_end_is_no_lease_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let ours =
        [".10.0.0.9.aX81Kd.new", ".fd00::5.b.new", ".last_reserved_ip.0.c.new", ".probe.d.new"];
    for name in ours.into_iter().chain([".profile.e.new"]) {
        fs::write(dir.path().join(name), "c1\r\nnet3").unwrap();
    }
    assert_eq!(store(dir.path()).leases().unwrap(), []);
    assert!(ours.iter().all(|name| !dir.path().join(name).exists()));
    assert!(dir.path().join(".profile.e.new").exists(), "what is another's is left alone");
}

#[test]
fn no_link_is_followed_and_no_pipe_waited_for_in_a_leases_place() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "10.0.0.7").unwrap();
    for name in ["10.0.0.8", "last_reserved_ip.0"] {
        std::os::unix::fs::symlink(&secret, dir.path().join(name)).unwrap();
    }
    let pipe = dir.path().join("10.0.0.9");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
    let mut store = store(dir.path());
    let held = |address: &str| lease(address, "no file");
    assert_eq!(store.leases().unwrap(), [held("10.0.0.8"), held("10.0.0.9")]);
    assert_eq!(last_reserved(dir.path(), 0), None);
    assert!(store.reserve(&lease("10.0.0.8", "c1\r\nnet1")).is_err());
}

#[test]
fn a_directory_in_a_leases_place_keeps_no_other_address_from_anybody() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("10.0.0.9")).unwrap();
    let mut store = store(dir.path());
    let taken = store.leases().unwrap();
    assert_eq!(
        taken.iter().map(|lease| lease.address.to_string()).collect::<Vec<_>>(),
        ["10.0.0.9"]
    );
    assert!(store.reserve(&lease("10.0.0.9", "c1\r\nnet1")).is_err());
    store.reserve(&lease("10.0.0.10", "c1\r\nnet1")).unwrap();
}

#[test]
fn a_lease_is_never_overwritten_unless_it_is_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    let (first, second) = (lease("10.0.0.9", "c1\r\nnet1"), lease("10.0.0.9", "c2\r\nnet1"));
    fs::write(dir.path().join("10.0.0.9"), "").unwrap();
    store.reserve(&first).unwrap();
    assert!(store.reserve(&second).is_err());
    assert_eq!(store.leases().unwrap(), [first]);
}

#[test]
fn waiting_for_the_lock_ends_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let holder = store(dir.path());
    let Err(error) = Store::lock(dir.path(), Path::new("/proc"), Duration::from_millis(20)) else {
        panic!("locked twice");
    };
    assert!(error.to_string().contains(dir.path().join("lock").to_str().unwrap()), "{error}");
    drop(holder);
    assert!(Store::lock(dir.path(), Path::new("/proc"), Duration::from_millis(20)).is_ok());
}

#[test]
fn a_directory_that_is_not_there_is_not_made_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("n");
    assert!(Store::open(&missing, Path::new("/proc")).unwrap().is_none());
    assert!(!missing.exists());
}

#[test]
fn what_one_who_was_killed_has_not_noted_is_read_from_the_leases() {
    let dir = tempfile::tempdir().unwrap();
    let (leases, indexes) = (dir.path().join("n"), dir.path().join("indexes"));
    let open = || Store::create(&leases, &indexes).unwrap();
    let made: Vec<Lease> =
        (2..8).map(|n| lease(&format!("10.0.0.{n}"), &format!("c{n}\r\nnet1"))).collect();
    let held = |store: &mut Store, of: &Lease| {
        let Holder::Interface { container, .. } = &of.holder else { panic!("{of:?}") };
        let container = container.clone().try_into().unwrap();
        let held = store.decide(|known| known.held_by(&container, &"net1".parse().unwrap()));
        held.unwrap()
    };
    // Nothing is settled by one whose index is taken away.
    let kill = |mut store: Store| drop(store.index.take());
    let mut store = open();
    made[..5].iter().for_each(|lease| store.reserve(lease).unwrap());
    store.leases().unwrap();
    drop(store);
    assert!(open().index.is_some());

    // Killed with the index changed, before the stamp.
    let mut store = open();
    store.reserve(&made[5]).unwrap();
    kill(store);
    assert!(open().index.is_none());
    assert_eq!(held(&mut open(), &made[5]), [made[5].clone()]);
    assert!(open().index.is_some());

    // Killed with the lease changed, and not the index.
    let mut store = open();
    let index = store.index.take();
    store.release(&made[0]).unwrap();
    assert!(index.is_some());
    kill(store);
    assert!(open().index.is_none());
    assert_eq!(held(&mut open(), &made[0]), []);
    assert!(open().index.is_some());
}
