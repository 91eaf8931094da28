use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_kernel::{
    Apply, Kernel, LinkEvent, LinkMonitor, LinkState, NamedNetns, NetnsIdentity, Step, Vf,
    VfLinkState, VfSettings, VlanProtocol,
};
use podbond_names::{Mac, PciAddress};

use crate::pod::{Pod, errno, host, ip, name, pod};

const EOPNOTSUPP: i32 = 95;
const VFS: u16 = 4;

/// There is one pf0 for all tests.
static PF0: Mutex<()> = Mutex::new(());

/// pf0 with VFs, which are taken back at the end.
struct Vfs {
    kernel: Kernel,
    pf: PciAddress,
    _alone: MutexGuard<'static, ()>,
}

impl Vfs {
    fn new() -> Self {
        let alone = PF0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kernel = Kernel::host().unwrap();
        let pf = kernel.link(&host("pf0")).unwrap().unwrap().parent.unwrap();
        kernel.apply(&Step::SetNumVfs { pf, from: 0, to: VFS }).unwrap();
        Self { kernel, pf, _alone: alone }
    }

    /// igb resets its card when VFs are made, and refuses rates until it has carrier again.
    fn await_carrier(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.kernel.link(&host("pf0")).unwrap().unwrap().carrier {
            assert!(Instant::now() < end, "pf0 gets no carrier");
            sleep(Duration::from_millis(50));
        }
    }

    fn vf(&mut self, index: u16) -> Vf {
        self.kernel.vfs(&name("pf0")).unwrap().remove(usize::from(index))
    }

    fn set(&mut self, from: VfSettings, to: VfSettings) -> podbond_kernel::Result<()> {
        self.kernel.apply(&Step::SetVf { pf: name("pf0"), vf: 1, from, to })
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        self.kernel.apply(&Step::SetNumVfs { pf: self.pf, from: VFS, to: 0 }).unwrap();
    }
}

#[test]
fn vfs_are_created_and_removed() {
    let mut node = Vfs::new();
    let vfs = node.kernel.vfs(&name("pf0")).unwrap();
    let indices: Vec<u16> = vfs.iter().map(|vf| vf.index).collect();
    assert_eq!(indices, [0, 1, 2, 3]);
    for vf in &vfs {
        assert_eq!((vf.pf, &vf.pf_link), (node.pf, &name("pf0")));
        assert_eq!(vf.driver.as_deref(), Some("igbvf"));
        let links = node.kernel.sysfs().links_of(vf.pci).unwrap();
        let link =
            node.kernel.link(&podbond_kernel::LinkRef::host(links[0].clone())).unwrap().unwrap();
        assert_eq!(link.parent, Some(vf.pci));
        assert_eq!(node.kernel.vf(vf.pci).unwrap().as_ref(), Some(vf));
    }
    // A PF is no VF.
    assert_eq!(node.kernel.vf(node.pf).unwrap(), None);
    // From one number to another without 0 in between, as far as the caller can see.
    node.kernel.apply(&Step::SetNumVfs { pf: node.pf, from: VFS, to: 2 }).unwrap();
    assert_eq!(node.kernel.vfs(&name("pf0")).unwrap().len(), 2);
    node.kernel.apply(&Step::SetNumVfs { pf: node.pf, from: 2, to: VFS }).unwrap();
    let pf = node.pf;
    drop(node);
    let mut kernel = Kernel::host().unwrap();
    assert_eq!(kernel.vfs(&name("pf0")).unwrap(), []);
    assert_eq!(kernel.sysfs().attribute(pf, "sriov_numvfs").unwrap().as_deref(), Some("0"));
}

#[test]
fn too_many_vfs_are_refused() {
    let mut node = Vfs::new();
    let error = node.kernel.apply(&Step::SetNumVfs { pf: node.pf, from: VFS, to: 99 });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("sriov_numvfs"), "{text}");
    // Those that were there are there again.
    assert_eq!(node.kernel.vfs(&name("pf0")).unwrap().len(), usize::from(VFS));
}

#[test]
fn vf_settings_are_set_and_undone() {
    let mut node = Vfs::new();
    node.await_carrier();
    let before = node.vf(1).settings;
    let to = VfSettings {
        mac: Some(Mac::new([2, 0, 0, 0, 1, 1])),
        vlan: Some(100),
        qos: Some(3),
        vlan_proto: Some(VlanProtocol::Dot1Q),
        spoofchk: Some(!before.spoofchk.unwrap()),
        trust: Some(!before.trust.unwrap()),
        link_state: None,
        min_tx_rate: Some(0),
        max_tx_rate: Some(100),
    };
    let from = VfSettings { link_state: None, ..before.clone() };
    let step = Step::SetVf { pf: name("pf0"), vf: 1, from, to: to.clone() };
    node.kernel.apply(&step).unwrap();
    assert_eq!(node.vf(1).settings, before.with(&to));
    let shown = ip("link show dev pf0");
    let line = shown.lines().find(|line| line.contains("vf 1 ")).unwrap();
    for part in ["02:00:00:00:01:01", "vlan 100, qos 3", "max_tx_rate 100Mbps"] {
        assert!(line.contains(part), "{line}");
    }
    // Its neighbours are as they were.
    assert_eq!(node.vf(2).settings.vlan, Some(0));
    node.kernel.apply(&step.inverse()).unwrap();
    assert_eq!(node.vf(1).settings, before);
}

#[test]
fn half_of_an_attribute_keeps_the_other_half() {
    let mut node = Vfs::new();
    let vlan = |vlan, qos| VfSettings { vlan, qos, ..VfSettings::default() };
    node.set(vlan(Some(0), Some(0)), vlan(Some(100), Some(3))).unwrap();
    node.set(vlan(Some(100), None), vlan(Some(200), None)).unwrap();
    let settings = node.vf(1).settings;
    assert_eq!((settings.vlan, settings.qos), (Some(200), Some(3)));
}

#[test]
fn refused_setting_undoes_the_others() {
    let mut node = Vfs::new();
    let before = node.vf(1).settings;
    let trust = before.trust.unwrap();
    let change = |trust, state, vlan| VfSettings {
        trust: Some(trust),
        link_state: Some(state),
        vlan: Some(vlan),
        qos: Some(0),
        ..VfSettings::default()
    };
    let error = node
        .set(change(trust, VfLinkState::Auto, 0), change(!trust, VfLinkState::Enable, 7))
        .unwrap_err();
    assert_eq!(errno(&error), Some(EOPNOTSUPP), "{error}");
    assert!(error.to_string().starts_with("set VF 1 of pf0 to vlan 7 "), "{error}");
    assert_eq!(node.vf(1).settings, before);
    // igb knows customer tags alone.
    let service = VfSettings {
        vlan: Some(9),
        qos: Some(0),
        vlan_proto: Some(VlanProtocol::Dot1Ad),
        ..VfSettings::default()
    };
    assert!(node.set(VfSettings::default(), service).is_err());
    assert_eq!(node.vf(1).settings, before);
}

#[test]
fn moved_vf_is_found_by_its_function() {
    let mut vfs = Vfs::new();
    let vf = vfs.vf(0);
    let mut node = Pod::new("kernel-vf");
    let link = vfs.kernel.sysfs().links_of(vf.pci).unwrap().remove(0);
    let at = host(link.as_str());
    let before = node.shown(&at);
    let step = Step::Move { from: at.clone(), to: pod("net1") };
    let up = Step::SetState { at: pod("net1"), to: LinkState::Up };
    node.must(&step);
    node.must(&up);
    let moved = node.shown(&pod("net1"));
    assert_eq!((moved.parent, moved.mac), (Some(vf.pci), before.mac));
    // sysfs of the node does not show it any more, but its PF still does.
    assert_eq!(vfs.kernel.sysfs().links_of(vf.pci).unwrap(), []);
    assert_eq!(vfs.kernel.vf(vf.pci).unwrap(), Some(vf));
    node.must(&up.inverse());
    node.must(&step.inverse());
    assert_eq!(node.shown(&at), before);
}

#[test]
fn vf_is_unbound_and_bound() {
    let mut node = Vfs::new();
    let vf = node.vf(2);
    let driver = vf.driver.clone();
    let step = Step::BindDriver { pci: vf.pci, from: driver.clone(), to: None };
    node.kernel.apply(&step).unwrap();
    assert_eq!(node.kernel.vf(vf.pci).unwrap().unwrap().driver, None);
    node.kernel.apply(&step.inverse()).unwrap();
    assert_eq!(node.kernel.vf(vf.pci).unwrap().unwrap().driver, driver);
    let shown = node.kernel.sysfs().attribute(vf.pci, "driver_override").unwrap();
    assert_eq!(shown.as_deref(), Some("(null)"));
    // A driver that does not exist: the one before it is bound again.
    let to = Some("no-such-driver".to_owned());
    let error = node.kernel.apply(&Step::BindDriver { pci: vf.pci, from: driver.clone(), to });
    assert!(error.unwrap_err().to_string().contains("is its module loaded?"));
    assert_eq!(node.kernel.vf(vf.pci).unwrap().unwrap().driver, driver);
}

/// A namespace without a name is over once nothing holds it: then its VFs are home.
#[test]
fn vf_of_a_namespace_that_is_only_watched_comes_home() {
    let mut node = Vfs::new();
    let vf = node.vf(3);
    let link = node.kernel.sysfs().links_of(vf.pci).unwrap().remove(0);
    let netns = NamedNetns::create("kernel-vf-home").unwrap();
    let mut monitor = LinkMonitor::open().unwrap();
    let identity = NetnsIdentity::of(netns.path()).unwrap();
    let number = identity.number().unwrap().unwrap();
    ip(&format!("link set {link} netns kernel-vf-home name net1"));
    assert_eq!(node.kernel.sysfs().links_of(vf.pci).unwrap(), []);

    let held = Kernel::with_pod(netns.path()).unwrap();
    netns.remove().unwrap();
    sleep(Duration::from_secs(2));
    assert_eq!(node.kernel.sysfs().links_of(vf.pci).unwrap(), [], "a socket holds it");
    let begun = Instant::now();
    drop(held);
    while node.kernel.sysfs().links_of(vf.pci).unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the VF is not home");
        sleep(Duration::from_millis(10));
    }
    println!("home after {:?}", begun.elapsed());
    let mut heard = std::iter::from_fn(|| monitor.next_event().unwrap());
    assert!(heard.any(|event| event == LinkEvent::NamespaceOver(number)));
}
