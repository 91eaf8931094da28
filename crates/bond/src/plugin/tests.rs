use podbond_cni::{Args, Lookup, NetConf};
use podbond_kernel::LinkState;
use serde_json::{Value, json};

use super::*;
use crate::plan::tests::link;

/// A plugin whose files are in a directory of its own.
fn bond() -> (tempfile::TempDir, Bond) {
    let dir = tempfile::tempdir().unwrap();
    let debts = Debts::new(dir.path().join("debts"));
    let bond = Bond { state: dir.path().join("bond"), debts };
    (dir, bond)
}

fn request(netns: &str, config: &Value) -> Request {
    Request {
        container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
        netns: Some(netns.into()),
        ifname: "net3".parse().unwrap(),
        args: Args::default(),
        path: Vec::new(),
        config: NetConf::parse(config.to_string().as_bytes()).unwrap(),
    }
}

fn delegates() -> Delegates<'static> {
    Delegates::new(&[], Lookup::PathOnly)
}

#[test]
fn a_del_that_leads_to_the_nodes_own_namespace_finds_the_pods_gone() {
    let (_dir, bond) = bond();
    for in_pod in [true, false] {
        let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond",
            "linksInContainer": in_pod, "links": [{"name": "none1"}, {"name": "none2"}]});
        bond.remove(&request("/proc/self/ns/net", &config), &delegates()).unwrap();
    }
}

#[test]
fn room_for_an_add_is_made_by_what_the_dead_one_was_asked_for() {
    let (_dir, bond) = bond();
    let config = |name: &str, ipam: &str| {
        json!({"cniVersion": "1.0.0", "name": name, "type": "bond", "mode": "active-backup",
            "links": [{"name": "none1"}, {"name": "none2"}], "ipam": {"type": ipam}})
    };
    let dead = request("/run/netns/dead", &config("before", "not-installed"));
    let made = Made { add: Some(dead.clone()), ..Made::default() };
    bond.records().write(&dead.container_id, &dead.ifname, &made).unwrap();
    let add = request("/run/netns/alive", &config("today", "host-local"));
    bond.make_room(&add, &delegates()).unwrap();
    assert_eq!(bond.records().read(&add.container_id, &add.ifname).unwrap(), Reading::Nothing);
    let owed = bond.debts.list().unwrap();
    let networks: Vec<&str> = owed.iter().map(|debt| debt.request.config.name.as_str()).collect();
    assert_eq!(networks, ["before"]);
}

#[test]
fn a_link_that_the_bond_before_has_brought_down_is_brought_up_by_the_next() {
    let (_dir, bond) = bond();
    let conf = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond", "mode": "active-backup",
        "linksInContainer": false, "links": [{"name": "net1"}, {"name": "net2"}]});
    let request = request("/run/netns/next", &conf);
    let config = Config::parse(&request.config, &request.args).unwrap();
    let up = View { host: vec![link(2, "net1"), link(3, "net2")], ..View::default() };
    let mut down = up.clone();
    down.host[0].state = LinkState::Down;
    let seen = |view: &View| {
        let mut view = view.clone();
        bond.take_over(&config, &request, &mut view);
        view
    };
    assert_eq!(seen(&down), down);
    let plan = crate::plan::plan(&config, &request.ifname, &up, &Surroundings::default()).unwrap();
    let made = Made::of(&plan, &config, &up);
    // It was its own: that is for itself to say.
    bond.records().write(&request.container_id, &request.ifname, &made).unwrap();
    assert_eq!(seen(&down), down);
    let dead = ContainerId::try_from("dead".to_owned()).unwrap();
    bond.records().write(&dead, &request.ifname, &made).unwrap();
    assert_eq!(seen(&down), up);
    // Another link has the name by now.
    down.host[0].parent = None;
    assert_eq!(seen(&down), down);
}

/// An ADD to a namespace that cannot be looked at, and its record.
fn unseen(dir: &tempfile::TempDir, bond: &Bond) -> (Request, Made) {
    let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond"});
    let circle = dir.path().join("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    let add = request(circle.to_str().unwrap(), &config);
    let made = Made { add: Some(add.clone()), ..Made::default() };
    bond.records().write(&add.container_id, &add.ifname, &made).unwrap();
    (add, made)
}

#[test]
fn a_del_whose_namespace_cannot_be_looked_at_fails_and_keeps_the_record() {
    let (dir, bond) = bond();
    let (unseen, made) = unseen(&dir, &bond);
    assert!(bond.remove(&unseen, &delegates()).is_err());
    let still = bond.records().read(&unseen.container_id, &unseen.ifname).unwrap();
    assert_eq!(still, Reading::Whole(Box::new(made)));
}

#[test]
fn an_attachment_whose_namespace_cannot_be_looked_at_is_added_already() {
    let (dir, bond) = bond();
    let (unseen, _) = unseen(&dir, &bond);
    let again = Request { netns: Some("/run/netns/alive".into()), ..unseen };
    let refused = bond.make_room(&again, &delegates());
    assert!(matches!(refused, Err(Error::AlreadyAdded { .. })), "{refused:?}");
}
