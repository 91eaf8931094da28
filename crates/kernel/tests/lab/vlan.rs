use podbond_kernel::{
    BondMode, BondOptions, LinkState, NewBond, NewVlan, Step, Vlan, VlanProtocol, VlanTag,
};

use crate::pod::{Pod, name, pod};

#[test]
fn vlan_interface_follows_its_lower_link() {
    let mut node = Pod::new("kernel-vlan");
    node.ip("link add net1 type dummy");
    let options = BondOptions::new(BondMode::BalanceRr);
    node.must(&Step::AddBond(NewBond { at: pod("net3-bond"), options, mtu: 1400, mac: None }));
    node.must(&Step::Enslave { port: pod("net1"), bond: name("net3-bond") });
    node.must(&Step::SetState { at: pod("net3-bond"), to: LinkState::Up });
    for protocol in [VlanProtocol::Dot1Q, VlanProtocol::Dot1Ad] {
        let tag = VlanTag { id: 4094, protocol };
        let add =
            Step::AddVlan(NewVlan { at: pod("net3"), lower: name("net3-bond"), tag, mtu: 1300 });
        node.must(&add);
        let (vlan, bond) = (node.shown(&pod("net3")), node.shown(&pod("net3-bond")));
        assert_eq!(vlan.vlan, Some(Vlan { tag, lower: bond.index }));
        assert_eq!((vlan.mtu, vlan.mac, vlan.state), (1300, bond.mac, LinkState::Down));
        assert_eq!((bond.vlan, vlan.bond), (None, None));
        // What changed while it was down it learns when it comes up.
        for address in ["02:00:00:00:00:77", "02:00:00:00:00:78"] {
            node.ip(&format!("link set net3-bond address {address}"));
            node.must(&Step::SetState { at: pod("net3"), to: LinkState::Up });
            assert_eq!(node.shown(&pod("net3")).mac, address.parse().ok());
        }
        node.must(&add.inverse());
        assert_eq!(node.link(&pod("net3")).unwrap(), None);
    }
}

#[test]
fn only_a_vlan_interface_is_removed_as_one() {
    let mut node = Pod::new("kernel-no-vlan");
    node.ip("link add net3 type dummy");
    node.ip("link add net1 type dummy");
    let tag = VlanTag { id: 7, protocol: VlanProtocol::Dot1Q };
    let add = Step::AddVlan(NewVlan { at: pod("net3"), lower: name("net1"), tag, mtu: 1500 });
    assert!(node.refused(&add.inverse()).is_gone());
    assert_eq!(node.shown(&pod("net3")).kind.as_deref(), Some("dummy"));
}
