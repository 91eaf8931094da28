//! The plugin beside an index: it gives the answers that all leases give, without reading them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::tests::{delegates, net_conf, request};
use super::*;

/// A directory of leases, and the indexes beside it.
pub(super) struct Scene {
    pub(super) dir: TempDir,
    pub(super) plugin: HostLocal,
    pub(super) ipam: Value,
}

impl Scene {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plugin = HostLocal::with_indexes(dir.path().join("indexes"));
        let scene = Self { dir, plugin, ipam: json!({"subnet": "10.56.0.0/16"}) };
        fs::create_dir(scene.leases()).unwrap();
        scene
    }

    /// The same with leases 10.56.1.0, … of containers o0, …, and with an index.
    fn with(leases: u16) -> Self {
        let scene = Self::new();
        for number in 0..leases {
            let [high, low] = number.to_be_bytes();
            scene.lease(&format!("10.56.{}.{low}", high + 1), &format!("o{number}\r\nnet3"));
        }
        scene.add("first").unwrap();
        scene
    }

    pub(super) fn leases(&self) -> PathBuf {
        self.dir.path().join("bond-net1")
    }

    /// The directory of the index.
    fn index(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.dir.path().join("indexes")).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    /// Writes a lease, as another plugin does.
    pub(super) fn lease(&self, address: &str, content: &str) {
        fs::write(self.leases().join(address), content).unwrap();
    }

    fn ipam(&self) -> Value {
        let mut ipam = json!({"type": "host-local", "dataDir": self.dir.path()});
        ipam.as_object_mut().unwrap().extend(self.ipam.as_object().unwrap().clone());
        json!({ "ipam": ipam })
    }

    pub(super) fn request(&self, container: &str) -> Request {
        request(self.dir.path(), container, &self.ipam())
    }

    pub(super) fn add(&self, container: &str) -> Result<Vec<String>, String> {
        self.add_by(&self.request(container))
    }

    pub(super) fn add_by(&self, request: &Request) -> Result<Vec<String>, String> {
        let result = self.plugin.add(request, &delegates()).map_err(|failure| failure.msg)?;
        Ok(result.ips.iter().map(|ip| ip.address.addr().to_string()).collect())
    }

    pub(super) fn del(&self, container: &str) {
        self.plugin.del(&self.request(container), &delegates()).unwrap();
    }

    pub(super) fn check(&self, container: &str) -> Result<(), String> {
        let request = self.request(container);
        self.plugin.check(&request, &delegates()).map_err(|failure| failure.msg)
    }

    pub(super) fn status(&self) -> Result<(), String> {
        let request = NodeRequest::status(Vec::new(), net_conf(self.dir.path(), &self.ipam()));
        self.plugin.status(&request, &delegates()).map_err(|failure| failure.msg)
    }

    pub(super) fn gc(&self, valid: &str) {
        let mut config = self.ipam();
        config["cni.dev/valid-attachments"] = json!([{"containerID": valid, "ifname": "net3"}]);
        let request = NodeRequest::gc(Vec::new(), net_conf(self.dir.path(), &config)).unwrap();
        self.plugin.gc(&request, &delegates()).unwrap();
    }

    /// Everything there is of leases, and who holds it.
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.leases()).unwrap().map(|entry| entry.unwrap());
        let file = |entry: fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
        };
        entries.map(file).collect()
    }

    /// Makes every lease but these say, in its place, that it is of this container: whoever reads
    /// another one than its own takes it for its own.
    fn lie(&self, container: &str, but: &[&str]) {
        for (name, _) in self.files().iter().filter(|(name, _)| name.starts_with("10.")) {
            if !but.contains(&name.as_str()) {
                self.lease(name, &format!("{container}\r\nnet3"));
            }
        }
    }
}

type Damage = Box<dyn Fn(&Path)>;

/// Gives a directory the time that it had, as nobody does who changes it.
fn unnoticed(dir: &Path, change: impl FnOnce()) {
    let before = fs::metadata(dir).unwrap().modified().unwrap();
    change();
    fs::File::open(dir).unwrap().set_modified(before).unwrap();
}

#[test]
fn among_a_thousand_leases_no_other_is_read() {
    let scene = Scene::with(1000);
    let before = scene.files().len();
    scene.lie("c1", &[]);
    let mine = scene.add("c1").unwrap();
    assert_eq!(mine, ["10.56.0.3"]);
    scene.check("c1").unwrap();
    scene.status().unwrap();
    scene.del("c1");
    assert_eq!(scene.files().len(), before, "nothing but its own lease is given back");
    scene.del("c1");
    assert_eq!(scene.files().len(), before, "one who holds nothing gives nothing back");
}

#[test]
fn an_address_that_was_requested_needs_no_other_lease() {
    let scene = Scene::with(5);
    scene.lie("c1", &[]);
    let mut wish = scene.request("c1");
    wish.args.0.insert("IP".to_owned(), "10.56.99.7".to_owned());
    assert_eq!(scene.add_by(&wish).unwrap(), ["10.56.99.7"]);
}

#[test]
fn a_pod_in_a_range_nearly_full_is_given_the_address_that_is_left() {
    let mut scene = Scene::with(1000);
    scene.ipam = json!({"subnet": "10.56.0.0/16", "gateway": "10.56.99.99",
                        "rangeStart": "10.56.1.0", "rangeEnd": "10.56.4.232"});
    scene.lie("c1", &[]);
    assert_eq!(scene.add("c1").unwrap(), ["10.56.4.232"]);
    assert!(scene.add("c2").unwrap_err().contains("(1001 leases)"));
    assert!(scene.status().unwrap_err().contains("no address is left"));
    fs::remove_file(scene.leases().join("10.56.2.244")).unwrap();
    scene.status().unwrap();
    assert_eq!(scene.add("c2").unwrap(), ["10.56.2.244"]);
}

#[test]
fn nothing_of_an_interface_stays_in_the_index_after_its_del() {
    let scene = Scene::with(5);
    let holders = |scene: &Scene| {
        let names = podbond_state::names(&scene.index()).unwrap();
        names.into_iter().filter(|name| !name.starts_with('+')).collect::<Vec<_>>()
    };
    scene.add("c1").unwrap();
    assert!(holders(&scene).contains(&"c1:net3".to_owned()));
    scene.del("c1");
    let others = ["first:net3", "o0:net3", "o1:net3", "o2:net3", "o3:net3", "o4:net3"];
    assert_eq!(holders(&scene), others);
    scene.gc("o3");
    assert_eq!(holders(&scene), ["o3:net3"]);
    let block = fs::read(scene.index().join("+10.56.0.0")).unwrap();
    assert_eq!(block.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
}

#[test]
fn what_others_do_is_seen() {
    let scene = Scene::with(5);
    let next = |scene: &Scene| scene.add("c1").map(|ips| (scene.del("c1"), ips).1);
    assert_eq!(next(&scene).unwrap(), ["10.56.0.3"]);
    scene.lease("10.56.0.4", "x\r\nnet3");
    assert_eq!(next(&scene).unwrap(), ["10.56.0.5"]);
    scene.check("x").unwrap();
    scene.lease("10.56.0.99", "c1\r\nnet3");
    assert!(next(&scene).unwrap_err().contains("has 10.56.0.99"));
    fs::remove_file(scene.leases().join("10.56.0.99")).unwrap();
    assert_eq!(next(&scene).unwrap(), ["10.56.0.6"]);
    scene.check("o1").unwrap();
    fs::remove_file(scene.leases().join("10.56.1.1")).unwrap();
    assert!(scene.check("o1").unwrap_err().contains("holds no address"));
}

#[test]
fn a_directory_in_the_place_of_another_is_read_anew() {
    let scene = Scene::with(5);
    fs::rename(scene.leases(), scene.dir.path().join("old")).unwrap();
    fs::create_dir(scene.leases()).unwrap();
    scene.lease("10.56.0.2", "other\r\nnet3");
    assert_eq!(scene.add("o1").unwrap(), ["10.56.0.3"]);
    // With the same inode, as a mount may have, and no time that tells.
    let scene = Scene::with(5);
    for name in scene.files().into_keys() {
        fs::remove_file(scene.leases().join(name)).unwrap();
    }
    assert_eq!(scene.add("o1").unwrap(), ["10.56.0.2"]);
}

#[test]
fn a_lease_that_says_something_else_by_now_is_not_trusted() {
    let scene = Scene::with(5);
    scene.check("o1").unwrap();
    scene.lease("10.56.1.1", "x\r\nnet3");
    assert!(scene.check("o1").unwrap_err().contains("holds no address"));
    scene.check("x").unwrap();
    scene.del("o1");
    assert!(scene.leases().join("10.56.1.1").exists(), "it is another's");
}

#[test]
fn a_lease_that_nobody_has_noted_is_not_given_twice() {
    let scene = Scene::with(5);
    unnoticed(&scene.leases(), || scene.lease("10.56.0.3", "x\r\nnet3"));
    assert_eq!(scene.add("c1").unwrap(), ["10.56.0.4"]);
    unnoticed(&scene.leases(), || fs::remove_file(scene.leases().join("10.56.1.2")).unwrap());
    assert!(scene.check("o2").unwrap_err().contains("holds no address"));
}

#[test]
fn a_damaged_index_costs_nothing_but_time() {
    let rewrite = |name: &'static str, content: &'static [u8]| {
        move |index: &Path| fs::write(index.join(name), content).unwrap()
    };
    let relink = |target: &'static str| {
        move |index: &Path| {
            fs::remove_file(index.join("o1:net3")).unwrap();
            std::os::unix::fs::symlink(target, index.join("o1:net3")).unwrap();
        }
    };
    let damages: [Damage; 8] = [
        Box::new(rewrite("+10.56.0.0", b"")),
        Box::new(rewrite("+10.56.0.0", &[0; 4097])),
        Box::new(rewrite("+10.56.0.0", &[0xff; 4096])),
        Box::new(rewrite("+10.56.0.0", &[0; 4096])),
        Box::new(relink("/etc/passwd")),
        Box::new(relink("10.56.1.4")),
        Box::new(|index| fs::remove_file(index.join("o1:net3")).unwrap()),
        Box::new(|index| {
            fs::remove_file(index.join("+10.56.0.0")).unwrap();
            fs::create_dir(index.join("+10.56.0.0")).unwrap();
        }),
    ];
    for (number, damage) in damages.iter().enumerate() {
        let mut scene = Scene::with(5);
        // Full but for one address, which comes last.
        scene.ipam = json!({"subnet": "10.56.0.0/16", "gateway": "10.56.99.99",
                            "rangeStart": "10.56.1.0", "rangeEnd": "10.56.1.5"});
        let index = scene.index();
        let change = || damage(&index);
        // A missing link is not to be told from one that is not there: it is noticed by its time.
        if number == 6 {
            change();
        } else {
            unnoticed(&index, change);
        }
        assert_eq!(scene.add("c1").unwrap(), ["10.56.1.5"], "damage {number}");
        scene.check("o1").unwrap_or_else(|error| panic!("damage {number}: {error}"));
        scene.del("o1");
        assert!(!scene.leases().join("10.56.1.1").exists(), "damage {number}");
        assert_eq!(scene.add("c2").unwrap(), ["10.56.1.1"], "damage {number}");
    }
}

#[test]
fn an_index_that_cannot_be_or_is_of_other_leases_is_not_used() {
    let (scene, other) = (Scene::with(5), Scene::with(9));
    fs::remove_dir_all(scene.index()).unwrap();
    let path = scene.dir.path().join("indexes");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "no directory").unwrap();
    assert_eq!(scene.add("c1").unwrap(), ["10.56.0.3"]);
    scene.del("c1");

    let scene = Scene::with(5);
    let index = scene.index();
    fs::remove_dir_all(&index).unwrap();
    std::os::unix::fs::symlink(other.index(), &index).unwrap();
    scene.check("o4").unwrap();
    assert!(scene.check("o8").is_err());
    assert_eq!(scene.add("c1").unwrap(), ["10.56.0.3"]);
    other.check("o8").unwrap();
    other.check("c1").unwrap_err();
}
