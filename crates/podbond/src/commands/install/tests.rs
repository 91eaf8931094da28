//! Tests over directories of every form.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::plan::Change;
use super::*;

const BOND_AND_SRIOV: [PluginName; 2] = [PluginName::Bond, PluginName::Sriov];

/// A node's plugins of another make.
fn node() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, mode, content) in
        [("bond", 0o755, "bond-cni"), ("sriov", 0o500, "sriov-cni"), ("host-local", 0o755, "hl")]
    {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    dir
}

/// Mode, inode and content (or target) of everything, by path.
fn tree(dir: &Path) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let content = if metadata.is_dir() {
            all.extend(tree(&path).into_iter().map(|(below, it)| (format!("{name}/{below}"), it)));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        all.insert(name, (metadata.mode(), metadata.ino(), content));
    }
    all
}

fn names(dir: &Path) -> Vec<String> {
    tree(dir).into_keys().collect()
}

fn inode(dir: &Path, name: &str) -> u64 {
    fs::metadata(dir.join(name)).unwrap().ino()
}

fn is_ours(dir: &Path, name: &str) -> bool {
    inode(dir, name) == inode(dir, "podbond")
}

#[test]
fn host_local_of_the_node_stays_by_default() {
    let dir = node();
    install(dir.path(), &[]).unwrap();
    assert!(is_ours(dir.path(), "bond") && is_ours(dir.path(), "sriov"));
    assert_eq!(fs::read(dir.path().join("host-local")).unwrap(), b"hl");
    assert_eq!(fs::metadata(dir.path().join("podbond")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(
        names(dir.path()),
        [".podbond", ".podbond/bond", ".podbond/sriov", "bond", "host-local", "podbond", "sriov"]
    );
}

#[test]
fn installing_again_changes_nothing() {
    let dir = node();
    install(dir.path(), &[]).unwrap();
    let before = tree(dir.path());
    install(dir.path(), &[]).unwrap();
    assert!(before == tree(dir.path()));
    install(dir.path(), &PluginName::ALL).unwrap();
    assert!(PluginName::ALL.iter().all(|plugin| is_ours(dir.path(), plugin.file())));
    // Those that are podbond's are kept up to date.
    fs::write(dir.path().join("podbond"), "of another version, which is all of its links").unwrap();
    install(dir.path(), &[]).unwrap();
    assert!(is_ours(dir.path(), "host-local"), "its host-local is an old one");
    assert_eq!(fs::read(dir.path().join(".podbond/host-local")).unwrap(), b"hl");
}

#[test]
fn only_what_is_named_is_installed() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("cni/bin");
    install(&below, &[PluginName::Bond]).unwrap();
    assert_eq!(names(&below), ["bond", "podbond"]);
    uninstall(&below, &[PluginName::Sriov]).unwrap();
    assert_eq!(names(&below), ["bond", "podbond"]);
    uninstall(&below, &[PluginName::Bond]).unwrap();
    assert!(names(&below).is_empty());
}

/// Promise: uninstall-restores
#[test]
fn uninstall_puts_back_mode_bytes_and_links() {
    let dir = node();
    fs::remove_file(dir.path().join("bond")).unwrap();
    symlink("../no/such/bond", dir.path().join("bond")).unwrap();
    let before = tree(dir.path());
    for _ in 0..2 {
        install(dir.path(), &PluginName::ALL).unwrap();
    }
    for _ in 0..2 {
        uninstall(dir.path(), &[]).unwrap();
        assert!(before == tree(dir.path()), "{:?}", names(dir.path()));
    }
}

/// Promise: uninstall-restores
#[test]
fn kept_original_is_not_replaced_by_an_earlier_podbond() {
    let dir = node();
    let before = tree(dir.path());
    install(dir.path(), &[]).unwrap();
    // An earlier podbond, whose links are no longer one file.
    let mut earlier = fs::read(dir.path().join("podbond")).unwrap();
    earlier.push(0);
    for name in ["bond", "sriov"] {
        fs::remove_file(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name), &earlier).unwrap();
    }
    install(dir.path(), &[]).unwrap();
    assert!(is_ours(dir.path(), "bond") && is_ours(dir.path(), "sriov"));
    uninstall(dir.path(), &[]).unwrap();
    assert!(before == tree(dir.path()));
}

/// Promise: uninstall-restores
#[test]
fn plugin_that_came_after_install_is_kept_or_left() {
    let dir = node();
    install(dir.path(), &[]).unwrap();
    let newer = |name: &str| {
        fs::remove_file(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name), "newer").unwrap();
    };
    newer("bond");
    install(dir.path(), &[]).unwrap();
    newer("sriov");
    uninstall(dir.path(), &[]).unwrap();
    let content = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!((content("bond"), content("sriov")), ("newer".to_owned(), "newer".to_owned()));
    assert_eq!(content(".podbond/sriov"), "sriov-cni", "it is the person's to remove");
    assert!(!dir.path().join("podbond").exists());
}

#[test]
fn plugins_of_the_node_are_not_removed() {
    let dir = node();
    let before = tree(dir.path());
    uninstall(dir.path(), &[]).unwrap();
    assert!(before == tree(dir.path()));
    let error = uninstall(&dir.path().join("none"), &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read "), "{error}");
}

#[test]
fn what_cannot_be_replaced_is_refused_before_anything_changes() {
    for (name, said) in
        [("podbond", "is a directory"), ("sriov", "is a directory"), (".podbond", "move away")]
    {
        let dir = node();
        let _ = fs::remove_file(dir.path().join(name));
        if name == ".podbond" {
            symlink("/tmp", dir.path().join(name)).unwrap();
        } else {
            fs::create_dir_all(dir.path().join(name).join("in-the-way")).unwrap();
        }
        let before = tree(dir.path());
        let message = install(dir.path(), &[]).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
        assert!(before == tree(dir.path()), "{name}: {:?}", names(dir.path()));
    }
}

/// Makes only the first changes of a plan, as a process that is killed does, and leaves the lock's file.
fn killed_after(dir: &Path, changes: usize, plan: impl Fn(&Observed) -> Plan) {
    let dir = PluginDir::open(dir).unwrap();
    let lock = dir.lock().unwrap();
    let plan = plan(&dir.observe().unwrap());
    plan.changes.iter().take(changes).for_each(|change| dir.apply(change).unwrap());
    drop(lock);
    fs::write(dir.path().join(".podbond/lock"), "").unwrap();
}

/// Promise: uninstall-restores
#[test]
fn killed_install_or_uninstall_is_run_again() {
    let all = Wanted::Only(&PluginName::ALL);
    for changes in 0..16 {
        let dir = node();
        let before = tree(dir.path());
        killed_after(dir.path(), changes, |observed| plan::install(observed, all));
        let whole = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len() > 1;
        assert!(["bond", "sriov", "host-local"].into_iter().all(whole), "after {changes} changes");
        if changes % 2 == 0 {
            killed_after(dir.path(), changes, |observed| plan::install(observed, all));
            install(dir.path(), &BOND_AND_SRIOV).unwrap();
        }
        killed_after(dir.path(), changes / 3, |observed| plan::uninstall(observed, all));
        uninstall(dir.path(), &[]).unwrap();
        assert!(before == tree(dir.path()), "after {changes} changes: {:?}", names(dir.path()));
    }
}

#[test]
fn half_a_copy_is_made_anew() {
    let dir = node();
    fs::create_dir(dir.path().join(".podbond")).unwrap();
    fs::write(dir.path().join(".podbond/new"), "half").unwrap();
    let own = fs::metadata("/proc/self/exe").unwrap().len();
    install(dir.path(), &[]).unwrap();
    assert_eq!(fs::metadata(dir.path().join("podbond")).unwrap().len(), own);
    assert!(!dir.path().join(".podbond/new").exists());
}

#[test]
fn each_file_has_a_line() {
    let observed = Observed {
        executable: plan::Found::Nothing,
        plugins: vec![
            (PluginName::Bond, plan::Found::Other, plan::Kept::Nothing),
            (PluginName::Sriov, plan::Found::Nothing, plan::Kept::Nothing),
            (PluginName::HostLocal, plan::Found::Other, plan::Kept::Nothing),
        ],
    };
    let plan = plan::install(&observed, Wanted::Default);
    assert_eq!(
        plan.lines(Path::new("/opt/cni/bin")),
        [
            "/opt/cni/bin/podbond: installed",
            "/opt/cni/bin/bond: installed; what was there is kept as /opt/cni/bin/.podbond/bond",
            "/opt/cni/bin/sriov: installed",
            "/opt/cni/bin/host-local: left as it is: not podbond's",
        ]
    );
    assert!(matches!(plan.changes[0], Change::Copy { .. }));
}
