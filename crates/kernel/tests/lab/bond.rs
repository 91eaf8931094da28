use podbond_kernel::bond::table;
use podbond_kernel::{
    BondMode, BondOptions, FailOverMac, LinkState, Netns, NewBond, Step, transact,
};
use podbond_names::Mac;

use crate::pod::{Pod, errno, name, pod};

const EEXIST: i32 = 17;

fn add_bond(options: BondOptions) -> Step {
    Step::AddBond(NewBond { at: pod("bond0"), options, mtu: 1400, mac: None })
}

fn active_backup() -> BondOptions {
    BondOptions::new(BondMode::ActiveBackup)
        .with(&table::MIIMON, 100)
        .with(&table::FAIL_OVER_MAC, FailOverMac::Active)
}

fn enslave(port: &str) -> Step {
    Step::Enslave { port: pod(port), bond: name("bond0") }
}

fn two_dummies(netns: &str) -> Pod {
    let node = Pod::new(netns);
    node.ip("link add net1 type dummy");
    node.ip("link add net2 type dummy");
    node
}

#[test]
fn every_mode_is_created_with_its_options() {
    let mut node = Pod::new("kernel-modes");
    for &mode in BondMode::ALL {
        let balances = matches!(mode, BondMode::BalanceTlb | BondMode::BalanceAlb);
        let hashes = matches!(mode, BondMode::BalanceXor | BondMode::Lacp);
        let mut options =
            BondOptions::new(mode).with(&table::MIIMON, 50).with(&table::ALL_SLAVES_ACTIVE, true);
        if hashes {
            options = options.with(&table::XMIT_HASH_POLICY, 1);
        }
        if balances {
            options = options.with(&table::TLB_DYNAMIC_LB, false);
        }
        let mac = Mac::new([2, 0, 0, 0, 0, mode.number()]);
        let add = Step::AddBond(NewBond {
            at: pod("bond0"),
            options: options.clone(),
            mtu: 1400,
            mac: Some(mac),
        });
        node.must(&add);
        let bond = node.shown(&pod("bond0"));
        assert_eq!((bond.mtu, bond.mac, bond.state), (1400, Some(mac), LinkState::Down));
        let shown = bond.bond.unwrap();
        assert_eq!(shown.mode, mode);
        assert_eq!(options.mismatches(&shown), []);
        node.must(&add.inverse());
        assert_eq!(node.link(&pod("bond0")).unwrap(), None);
    }
}

#[test]
fn port_is_up_while_enslaved() {
    let mut node = two_dummies("kernel-ports");
    node.must(&add_bond(active_backup()));
    node.must(&enslave("net1"));
    node.must(&enslave("net2"));
    node.must(&Step::SetState { at: pod("bond0"), to: LinkState::Up });
    let (bond, net1, net2) =
        (node.shown(&pod("bond0")), node.shown(&pod("net1")), node.shown(&pod("net2")));
    assert_eq!((net1.master, net2.master), (Some(bond.index), Some(bond.index)));
    assert_eq!((net1.state, net1.mtu), (LinkState::Up, 1400));
    assert_eq!(bond.bond.unwrap().active_port, Some(net1.index));
    let (first, second) = (net1.port.unwrap(), net2.port.unwrap());
    assert!(first.active && first.mii_up && !second.active && second.mii_up);
    assert_eq!(first.permanent_mac, net1.mac);
    let ports = node.ports(Netns::Pod, bond.index).unwrap();
    assert_eq!(ports, [node.shown(&pod("net1")), node.shown(&pod("net2"))]);
    assert_eq!(node.ports(Netns::Pod, net1.index).unwrap(), []);
    assert_eq!(node.link_by_index(Netns::Pod, net2.index).unwrap().unwrap().name, name("net2"));

    node.must(&enslave("net1").inverse());
    let net1 = node.shown(&pod("net1"));
    assert_eq!((net1.master, net1.state, net1.mtu), (None, LinkState::Down, 1500));
    // Once more, and for a link that was never a port: nothing to do.
    node.must(&enslave("net1").inverse());
    node.must(&add_bond(active_backup()).inverse());
    assert_eq!(node.shown(&pod("net2")).master, None);
}

#[test]
fn extended_ack_is_reported() {
    let mut node = two_dummies("kernel-extack");
    node.must(&add_bond(active_backup()));
    node.ip("link set net1 up");
    let error = node.refused(&enslave("net1"));
    assert_eq!(errno(&error), Some(1), "{error}");
    let words = error.extack().unwrap();
    assert!(words.contains("enslaved"), "{words}");
    let text = error.to_string();
    assert!(text.starts_with("make net1 (pod) a port of bond0: "), "{text}");
}

#[test]
fn taken_name_is_refused() {
    let mut node = two_dummies("kernel-taken");
    let at = pod("net1");
    let options = active_backup();
    let add = Step::AddBond(NewBond { at: at.clone(), options, mtu: 1500, mac: None });
    assert_eq!(errno(&node.refused(&add)), Some(EEXIST));
    // Its inverse does not remove a link that is not a bond.
    assert!(node.refused(&add.inverse()).is_gone());
    assert_eq!(node.shown(&at).kind.as_deref(), Some("dummy"));
}

#[test]
fn failed_transaction_is_undone() {
    let mut node = two_dummies("kernel-undo");
    node.must(&add_bond(active_backup()));
    node.must(&enslave("net2"));
    let before = node.links(Netns::Pod).unwrap();
    let other =
        Step::AddBond(NewBond { at: pod("bond1"), options: active_backup(), mtu: 1500, mac: None });
    let steps = vec![
        other,
        Step::SetMtu { at: pod("net1"), from: 1500, to: 9000 },
        Step::Enslave { port: pod("net1"), bond: name("bond1") },
        // Already a port of bond0.
        Step::Enslave { port: pod("net2"), bond: name("bond1") },
    ];
    let failed = transact(&mut *node, |transaction| transaction.apply(steps)).unwrap_err();
    let words = "net2 (pod) is a port of bond0 already: take it out of it first";
    assert_eq!(failed.to_string(), words);
    assert!(failed.not_undone.is_empty(), "{failed}");
    let after = node.links(Netns::Pod).unwrap();
    assert_eq!(after, before);
}
