use podbond_kernel::VfSettings;
use serde_json::{Value, json};

use super::*;
use crate::add::plan::tests::{config, link, name, pci, two_vfs};

/// A bond of two trusted VFs of two PFs, in order in every respect, with changes.
struct Case {
    changes: Value,
    view: View,
    around: Surroundings,
}

fn case(changes: Value) -> Case {
    let mut view = two_vfs(true);
    for (number, vf) in (2..).zip(&mut view.vfs) {
        let mut pf = link(number + 3, vf.pf_link.as_str());
        pf.parent = Some(vf.pf);
        view.host.push(pf);
    }
    let fast = Speed { mbits: 25_000, duplex: Duplex::Full };
    let speeds = view.vfs.iter().map(|vf| (vf.pf, fast)).collect();
    let pf_drivers = view.vfs.iter().map(|vf| (vf.pf, "igb".to_owned())).collect();
    Case { changes, view, around: Surroundings { speeds, pf_drivers, bonds: Vec::new() } }
}

/// The documented bond, in another mode.
fn mode(mode: &str) -> Case {
    case(json!({ "mode": mode, "failOverMac": null }))
}

impl Case {
    fn seen(mut self, change: impl FnOnce(&mut View)) -> Self {
        change(&mut self.view);
        self
    }

    fn second_vf(self, change: impl FnOnce(&mut VfSettings)) -> Self {
        self.seen(|view| change(&mut view.vfs[1].settings))
    }

    fn findings(&self) -> Vec<Finding> {
        findings(&config(&self.changes), &self.view, &self.around)
    }

    /// Severity, object and code of each.
    fn reported(&self) -> Vec<String> {
        let reported = |found: Finding| {
            // Each is a sentence without holes.
            assert!(!found.to_string().contains("  "), "{found}");
            format!("{} {}: {}", found.severity, found.object, found.code())
        };
        self.findings().into_iter().map(reported).collect()
    }

    fn reason(&self) -> String {
        let mut found = self.findings();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0).reason
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn sound_bond_has_no_findings() {
    for &any in BondMode::ALL {
        assert_eq!(mode(any.name()).reported(), NOTHING, "{any}");
    }
}

#[test]
fn ports_over_one_pf_are_reported() {
    let shared = case(json!({})).seen(|view| {
        view.vfs[1].pf = view.vfs[0].pf;
        view.vfs[1].pf_link = view.vfs[0].pf_link.clone();
    });
    assert_eq!(shared.reported(), ["warning PF pf2: ports-share-a-pf"]);
    assert!(shared.reason().starts_with("net1, net2 all run over it"));
    let with_the_pf_itself = case(json!({})).seen(|view| {
        view.vfs.remove(1);
        view.pod[1].parent = Some(view.vfs[0].pf);
    });
    assert_eq!(with_the_pf_itself.reported(), ["warning PF pf2: ports-share-a-pf"]);
}

#[test]
fn pfs_of_one_card_are_a_note() {
    let second = |address: &str| {
        let address: PciAddress = address.parse().unwrap();
        case(json!({})).seen(|view| view.vfs[1].pf = address)
    };
    // The first is 0000:02:00.0.
    assert_eq!(second("0000:02:00.1").reported(), ["note card 0000:02:00: ports-share-a-card"]);
    assert_eq!(second("0000:02:01.0").reported(), NOTHING);
}

#[test]
fn links_without_vf_have_no_findings() {
    for &any in BondMode::ALL {
        let case = mode(any.name()).seen(|view| {
            view.vfs.clear();
            view.pod[0].parent = None;
            view.pod[1].parent = None;
        });
        assert_eq!(case.reported(), NOTHING, "{any}");
        let case = mode(any.name()).seen(|view| view.vfs.clear());
        assert_eq!(case.reported(), NOTHING, "{any}");
    }
}

/// The bond over VFs that are not trusted, whose PF's driver is this, and has set their addresses or not.
fn untrusted(case: Case, driver: &str, has_set: bool) -> Case {
    let mut case = case.seen(|view| {
        for (vf, link) in view.vfs.iter_mut().zip(&view.pod) {
            vf.settings.trust = Some(false);
            vf.settings.mac = if has_set { link.mac } else { Some(Mac::ZERO) };
        }
    });
    case.around.pf_drivers.values_mut().for_each(|of_pf| driver.clone_into(of_pf));
    case
}

#[test]
fn trust_matters_where_the_mode_changes_macs() {
    let reported = |case| untrusted(case, "igb", true).reported();
    for any in ["balance-rr", "balance-xor", "broadcast", "802.3ad"] {
        assert_eq!(reported(mode(any)), ["error port net2: untrusted-shared-mac"], "{any}");
    }
    for any in ["balance-tlb", "balance-alb"] {
        assert_eq!(reported(mode(any)), ["error ports net1, net2: untrusted-swap"], "{any}");
    }
    for number in [0, 2] {
        let of = |rest: Value| {
            let mut changes = json!({ "failOverMac": number });
            changes.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            reported(case(changes))
        };
        assert_eq!(of(json!({})), ["error ports net1, net2: untrusted-fail-over"]);
        let allowed = ["warning ports net1, net2: untrusted-fail-over"];
        assert_eq!(of(json!({ "allowUntrusted": true })), allowed);
    }
    assert_eq!(reported(case(json!({ "failOverMac": 1 }))), NOTHING);
    // A bond that is there: the link has the bond's address, the card knows another one.
    let there = untrusted(mode("balance-xor"), "igb", true).seen(|view| {
        view.vfs[0].settings.trust = Some(true);
        view.pod[1].mac = view.pod[0].mac;
    });
    assert_eq!(there.reported(), ["error port net2: untrusted-shared-mac"]);
    let unknown = mode("balance-rr").second_vf(|vf| vf.trust = None);
    assert_eq!(unknown.reported(), NOTHING);
}

#[test]
fn only_a_pf_that_keeps_the_address_it_has_set_makes_it_an_error() {
    let severity = |driver: &str, has_set| {
        let found = untrusted(mode("balance-xor"), driver, has_set).findings();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].severity
    };
    for driver in ["igb", "ixgbe", "i40e", "ice"] {
        assert_eq!(severity(driver, true), Severity::Error, "{driver}");
        assert_eq!(severity(driver, false), Severity::Warning, "{driver}");
    }
    for driver in ["mlx5_core", "bnxt_en", ""] {
        assert_eq!(severity(driver, true), Severity::Warning, "{driver}");
    }
    // One port of each.
    let mut mixed = untrusted(mode("balance-alb"), "ice", true);
    let second = mixed.view.vfs[1].pf;
    mixed.around.pf_drivers.insert(second, "mlx5_core".to_owned());
    let expected = ["error port net1: untrusted-swap", "warning port net2: untrusted-swap"];
    assert_eq!(mixed.reported(), expected);
    mixed.around.pf_drivers.clear();
    assert_eq!(mixed.reported(), ["warning ports net1, net2: untrusted-swap"]);
}

#[test]
fn strict_refuses_all_of_trust_and_spoof_checking() {
    let refused = |changes: Value, driver: &str| {
        let case = untrusted(case(changes), driver, true);
        let config = config(&case.changes);
        let found = case.findings();
        found.iter().filter_map(|found| config.refusal(found)).map(|it| it.to_string()).collect()
    };
    let xor = |rest: Value| {
        let mut changes = json!({ "mode": "balance-xor", "failOverMac": null });
        changes.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        changes
    };
    let all: Vec<String> = refused(xor(json!({})), "mlx5_core");
    assert_eq!(all, NOTHING);
    for rest in [json!({ "strict": true }), json!({ "strict": true, "allowUntrusted": true })] {
        let all: Vec<String> = refused(xor(rest), "mlx5_core");
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert!(one.ends_with("(untrusted-shared-mac), which strict forbids"), "{one}");
    }
    let all: Vec<String> = refused(xor(json!({})), "igb");
    assert!(all.len() == 1 && !all[0].contains("forbids"), "{all:?}");
    let checked = mode("balance-xor").second_vf(|vf| vf.spoofchk = Some(true)).seen(|view| {
        view.vfs[1].driver = Some("mlx5_core".to_owned());
    });
    let config = config(&xor(json!({ "strict": true })));
    let found = findings(&config, &checked.view, &checked.around);
    assert_eq!(found.iter().filter_map(|found| config.refusal(found)).count(), 1);
}

#[test]
fn spoofchk_matters_where_a_port_sends_with_another_mac() {
    let given = |mac: Option<Mac>| {
        move |view: &mut View| {
            view.vfs[1].driver = Some("mlx5_core".to_owned());
            view.vfs[1].settings.spoofchk = Some(true);
            view.vfs[1].settings.mac = mac;
        }
    };
    let reported = ["warning port net2: spoof-check"];
    let zero = Some(Mac::ZERO);
    for any in ["balance-rr", "balance-xor", "broadcast", "802.3ad"] {
        // The port has the bond's address already, but was given another.
        let own = |view: &mut View| {
            given(Some(Mac::new([2, 0, 0, 0, 0, 9])))(view);
            view.pod[1].mac = view.pod[0].mac;
        };
        assert_eq!(mode(any).seen(own).reported(), reported, "{any}");
        assert_eq!(mode(any).seen(given(zero)).reported(), reported, "{any}");
        assert_eq!(mode(any).seen(given(link(2, "net1").mac)).reported(), NOTHING, "{any}");
    }
    for number in [0, 2] {
        let case = case(json!({ "failOverMac": number }));
        assert_eq!(case.seen(given(None)).reported(), reported);
    }
    assert_eq!(case(json!({ "failOverMac": 1 })).seen(given(None)).reported(), NOTHING);
    let followed = mode("balance-xor").seen(given(None)).seen(|view| {
        view.vfs[1].driver = Some("iavf".to_owned());
    });
    assert_eq!(followed.reported(), NOTHING);
    let off = mode("balance-xor").seen(given(None)).second_vf(|vf| vf.spoofchk = Some(false));
    assert_eq!(off.reported(), NOTHING);
}

#[test]
fn bond_without_monitoring_is_reported() {
    let reported = ["warning miimon: no-monitoring"];
    assert_eq!(case(json!({ "miimon": 0 })).reported(), reported);
    let arp = json!({ "miimon": 0, "arpInterval": 100, "arpIpTarget": "10.0.0.1" });
    assert_eq!(case(arp).reported(), NOTHING);
    assert_eq!(case(json!({ "miimon": null })).reported(), NOTHING);
}

#[test]
fn link_state_that_hides_the_pf_is_reported() {
    let enabled = |changes| case(changes).second_vf(|vf| vf.link_state = Some(VfLinkState::Enable));
    assert_eq!(enabled(json!({})).reported(), ["warning port net2: link-state-enable"]);
    assert!(enabled(json!({})).reason().contains("when PF pf3 has none"));
    let arp = json!({ "arpInterval": 100, "arpIpTarget": "10.0.0.1" });
    assert_eq!(enabled(arp).reported(), NOTHING);
    let set = |state| case(json!({})).second_vf(|vf| vf.link_state = Some(state)).reported();
    assert_eq!(set(VfLinkState::Disable), ["warning port net2: link-state-disable"]);
    assert_eq!(set(VfLinkState::Auto), NOTHING);
}

#[test]
fn pf_without_carrier_is_reported_once() {
    let pf = |change: fn(&mut Link)| case(json!({})).seen(|view| change(&mut view.host[1]));
    let no_carrier = pf(|pf| pf.carrier = false);
    assert_eq!(no_carrier.reported(), ["warning PF pf3: pf-without-carrier"]);
    let down = pf(|pf| (pf.state, pf.carrier) = (LinkState::Down, false));
    assert_eq!(down.reported(), ["warning PF pf3: pf-down"]);
    assert_eq!(down.reason(), "it is down, so that net2 can carry nothing");
    let unseen = case(json!({})).seen(|view| view.host.clear());
    assert_eq!(unseen.reported(), NOTHING);
}

#[test]
fn pf_with_a_master_is_reported() {
    let below = |kind: &str| {
        case(json!({})).seen(|view| {
            view.host[1].master = Some(8);
            let mut master = link(8, "uplink");
            master.kind = Some(kind.to_owned());
            view.host.push(master);
        })
    };
    assert_eq!(below("bond").reported(), ["warning PF pf3: pf-has-a-master"]);
    assert_eq!(below("bridge").reason(), "it is itself a port of the node's bridge uplink");
}

#[test]
fn second_lacp_bond_on_a_pf_is_reported() {
    let beside = |own: &str, other: BondMode, pfs: Vec<PciAddress>| {
        let mut case = mode(own);
        case.around.bonds.push(OtherBond {
            name: "pod demo/other net3".to_owned(),
            mode: other,
            pfs,
        });
        case.reported()
    };
    let of_second = || vec![case(json!({})).view.vfs[1].pf];
    let reported = beside("802.3ad", BondMode::Lacp, of_second());
    assert_eq!(reported, ["error PF pf3: lacp-twice-on-a-pf"]);
    assert_eq!(beside("802.3ad", BondMode::ActiveBackup, of_second()), NOTHING);
    assert_eq!(beside("balance-xor", BondMode::Lacp, of_second()), NOTHING);
    assert_eq!(beside("802.3ad", BondMode::Lacp, vec![pci(9)]), NOTHING);
}

#[test]
fn unequal_ports_are_reported_where_it_matters() {
    let second = |any: &str, speed: Speed| {
        let mut case = mode(any);
        let pf = case.view.vfs[1].pf;
        case.around.speeds.insert(pf, speed);
        case
    };
    let slow = Speed { mbits: 10_000, duplex: Duplex::Full };
    let half = Speed { mbits: 25_000, duplex: Duplex::Half };
    for any in ["802.3ad", "balance-rr"] {
        let reported = second(any, slow).reported();
        assert_eq!(reported, ["warning ports net1, net2: unequal-speeds"], "{any}");
        let reported = second(any, half).reported();
        assert_eq!(reported, ["warning ports net1, net2: unequal-duplex"], "{any}");
    }
    assert!(second("802.3ad", half).reason().starts_with("net2 is alone half-duplex"));
    assert_eq!(second("balance-xor", slow).reported(), NOTHING);
    let mut unknown = mode("802.3ad");
    unknown.around.speeds.pop_first();
    assert_eq!(unknown.reported(), NOTHING);
}

#[test]
fn port_without_carrier_is_reported() {
    let dead = |master| {
        case(json!({})).seen(|view| (view.pod[1].carrier, view.pod[1].master) = (false, master))
    };
    assert_eq!(dead(Some(9)).reported(), ["warning port net2: port-without-carrier"]);
    assert_eq!(dead(None).reported(), NOTHING, "before ADD it means nothing");
    let with_its_pf = dead(Some(9)).seen(|view| view.host[1].carrier = false);
    assert_eq!(with_its_pf.reported(), ["warning PF pf3: pf-without-carrier"]);
}

#[test]
fn each_requirement_refuses_its_findings() {
    let shared = |changes: Value| {
        let case = case(changes).seen(|view| {
            view.vfs[1].pf = view.vfs[0].pf;
            view.vfs[1].pf_link = view.vfs[0].pf_link.clone();
            view.host[0].carrier = false;
        });
        let config = config(&case.changes);
        crate::plan(&config, &name("net3"), &case.view, &case.around)
    };
    assert_eq!(shared(json!({})).unwrap().findings.len(), 2);
    for key in ["requireDistinctPFs", "requireDistinctCards"] {
        let refused = shared(json!({ key: true })).unwrap_err().to_string();
        assert!(refused.contains("net1, net2 all run over it"), "{refused}");
        assert!(refused.ends_with(&format!("which {key} forbids")), "{refused}");
    }
    let both = shared(json!({ "requireDistinctPFs": true, "requireCarrier": true }));
    let both = both.unwrap_err().to_string();
    assert!(both.contains("all run over it") && both.contains("no carrier"), "{both}");
}
