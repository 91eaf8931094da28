//! Trees of sysfs as real cards show them, and cards that behave like the kernel's on such a tree.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use podbond_api::{Object, SriovNetworkNodePolicy, read_manifests};
use podbond_inventory::{Cards, Error, Holdings, Inventory};
use podbond_kernel::{Apply, LinkState, NetnsIdentity, Step, Sysfs};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_record::{Record, Records};
use serde_json::json;
use tempfile::TempDir;

/// A model of card: what tells it from others in sysfs.
#[derive(Clone, Copy)]
pub(crate) struct Model {
    pub(crate) vendor: &'static str,
    pub(crate) device: &'static str,
    pub(crate) vf_device: &'static str,
    pub(crate) driver: &'static str,
    pub(crate) vf_driver: &'static str,
    /// `sriov_totalvfs` of each port.
    pub(crate) total_vfs: u16,
    /// `sriov_offset` of the first port: how far its first VF's routing ID is from its own.
    pub(crate) first_vf: u16,
    /// `sriov_stride`.
    pub(crate) stride: u16,
    /// How far the first VF of the second port is from that of the first, in routing IDs.
    pub(crate) port_gap: u16,
}

/// Intel X710, two ports.
pub(crate) const X710: Model = Model {
    vendor: "0x8086",
    device: "0x1572",
    vf_device: "0x154c",
    driver: "i40e",
    vf_driver: "iavf",
    total_vfs: 64,
    first_vf: 16,
    stride: 1,
    port_gap: 64,
};
/// Intel E810-XXV, two ports.
pub(crate) const E810: Model = Model {
    vendor: "0x8086",
    device: "0x159b",
    vf_device: "0x1889",
    driver: "ice",
    vf_driver: "iavf",
    total_vfs: 128,
    first_vf: 8,
    stride: 1,
    port_gap: 128,
};
/// Mellanox ConnectX-5, two ports, eight VFs set in firmware.
pub(crate) const CONNECTX5: Model = Model {
    vendor: "0x15b3",
    device: "0x1017",
    vf_device: "0x1018",
    driver: "mlx5_core",
    vf_driver: "mlx5_core",
    total_vfs: 8,
    first_vf: 2,
    stride: 1,
    port_gap: 8,
};
/// Mellanox ConnectX-6 Dx, two ports.
pub(crate) const CONNECTX6: Model = Model { device: "0x101d", vf_device: "0x101e", ..CONNECTX5 };
/// Intel 82576, two ports: what QEMU's igb is.
pub(crate) const I82576: Model = Model {
    vendor: "0x8086",
    device: "0x10c9",
    vf_device: "0x10ca",
    driver: "igb",
    vf_driver: "igbvf",
    total_vfs: 7,
    first_vf: 128,
    stride: 2,
    port_gap: 1,
};
/// Intel 82599, two ports.
pub(crate) const I82599: Model = Model {
    device: "0x10fb",
    vf_device: "0x10ed",
    driver: "ixgbe",
    vf_driver: "ixgbevf",
    total_vfs: 63,
    ..I82576
};

/// A node: a tree of sysfs and a state directory, in one temporary directory.
pub(crate) struct Node {
    directory: TempDir,
    ports: Vec<Port>,
    admin_macs: BTreeMap<PciAddress, Mac>,
    /// The step that fails, by its text's beginning.
    pub(crate) fails: Option<&'static str>,
    /// The link that udev renames just when a step is about to name it.
    pub(crate) renames: Option<(&'static str, &'static str)>,
    /// Whether the driver of VFs is loaded.
    pub(crate) binds_vfs: bool,
}

struct Port {
    model: Model,
    pci: String,
    bus: u16,
    function: u16,
}

impl Node {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir_all(directory.path().join("sys/bus/pci/devices")).unwrap();
        Self {
            directory,
            ports: Vec::new(),
            admin_macs: BTreeMap::new(),
            fails: None,
            renames: None,
            binds_vfs: true,
        }
    }

    /// Adds a card on a bus: a PF for each name.
    pub(crate) fn with_card(mut self, model: Model, bus: u16, names: &[&str]) -> Self {
        for (function, name) in (0..).zip(names) {
            let pci = format!("0000:{bus:02x}:00.{function}");
            self.add_function(&pci, model.device, model.vendor, model.driver);
            self.write(&pci, "sriov_totalvfs", &model.total_vfs.to_string());
            self.write(&pci, "sriov_numvfs", "0");
            let mac = format!("b4:96:91:00:{bus:02x}:{function:02x}");
            self.add_link(&pci, name, &mac, "0x1003");
            self.ports.push(Port { model, pci, bus, function });
        }
        self
    }

    /// A network card without SR-IOV, as most are.
    pub(crate) fn with_plain_card(self, bus: u16, name: &str) -> Self {
        let pci = format!("0000:{bus:02x}:00.0");
        self.add_function(&pci, "0x1533", "0x8086", "igb");
        self.add_link(&pci, name, "b4:96:91:ff:ff:ff", "0x1003");
        self
    }

    /// Lets the PFs show of each VF the address that the VF has.
    pub(crate) fn show_macs(&mut self) {
        for vf in self.seen().pfs.into_iter().flat_map(|pf| pf.vfs) {
            self.admin_macs.insert(vf.pci, vf.link.unwrap().mac.unwrap());
        }
    }

    pub(crate) fn sysfs(&self) -> Sysfs {
        Sysfs::new(self.path("sys"))
    }

    pub(crate) fn records(&self) -> Records {
        Records::new(&self.path("podbond"), &self.path("run"))
    }

    pub(crate) fn holdings(&self) -> Holdings {
        Holdings::new(&self.path("podbond"), self.records(), &self.path("cni-sriov"))
    }

    pub(crate) fn seen(&self) -> Inventory {
        Inventory::read(&self.sysfs()).unwrap()
    }

    /// The record of a pod's attachment, whose network namespace is there.
    pub(crate) fn record(&self, pod: &str, interface: &str) -> Record {
        let netns = self.path(&format!("netns-{pod}"));
        let _ = fs::remove_file(&netns);
        symlink("/proc/self/ns/net", &netns).unwrap();
        let netns = serde_json::to_value(NetnsIdentity::of(&netns).unwrap()).unwrap();
        let record = json!({
            "containerId": format!("id-of-{pod}"), "ifname": interface, "state": "active",
            "pod": {"namespace": "demo", "name": pod}, "network": "n", "netns": netns,
        });
        serde_json::from_value(record).unwrap()
    }

    /// Gives a pod's attachment a VF of a resource, as the meta-plugin does: its record names it.
    pub(crate) fn take(&self, resource: &str, record: Record) -> Result<Record, Error> {
        let (vf, _lock) = self.holdings().choose(&self.sysfs(), &resource.parse().unwrap())?;
        let record = Record { devices: vec![vf], ..record };
        self.records().write(&record).unwrap();
        Ok(record)
    }

    pub(crate) fn release(&self, record: &Record) {
        self.records().remove(&record.attachment()).unwrap();
    }

    /// Lets the namespace of an attachment be one of an earlier boot, as if it were gone.
    pub(crate) fn end_netns(&self, record: &Record) -> Record {
        let mut netns = serde_json::to_value(&record.netns).unwrap();
        netns["boot"] = json!("earlier");
        let record =
            Record { netns: Some(serde_json::from_value(netns).unwrap()), ..record.clone() };
        self.records().write(&record).unwrap();
        record
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Claims a VF for a namespace as SR-IOV CNI plugins do.
    pub(crate) fn claim(&self, vf: PciAddress, netns: &Path) {
        let directory = self.path("cni-sriov/pci");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(vf.to_string()), netns.to_str().unwrap()).unwrap();
    }

    /// Makes VFs as the kernel does, without any policy.
    pub(crate) fn set_num_vfs(&mut self, pf: &str, count: u16) {
        let port = self.ports.iter().find(|port| port.pci == pf).unwrap();
        let (model, bus, function) = (port.model, port.bus, port.function);
        for index in 0..model.total_vfs {
            let id = (bus << 8) + model.first_vf + function * model.port_gap + index * model.stride;
            let vf = format!("0000:{:02x}:{:02x}.{}", id >> 8, (id >> 3) & 31, id & 7);
            self.remove_function(&vf);
            let _ = fs::remove_file(self.device(pf).join(format!("virtfn{index}")));
            if index < count {
                self.add_function(&vf, model.vf_device, model.vendor, model.vf_driver);
                let mac = format!("02:00:00:{bus:02x}:{function:02x}:{index:02x}");
                if self.binds_vfs {
                    self.add_link(&vf, &format!("v{bus:x}p{function}v{index}"), &mac, "0x1002");
                } else {
                    self.bind_nothing(&vf);
                }
                symlink(format!("../{pf}"), self.device(&vf).join("physfn")).unwrap();
                symlink(format!("../{vf}"), self.device(pf).join(format!("virtfn{index}")))
                    .unwrap();
                self.admin_macs.insert(vf.parse().unwrap(), Mac::ZERO);
            }
        }
        self.write(pf, "sriov_numvfs", &count.to_string());
    }

    /// Moves a VF's link out of the host's sight.
    pub(crate) fn move_away(&self, vf: PciAddress) {
        fs::remove_dir_all(self.device(&vf.to_string()).join("net")).unwrap();
    }

    pub(crate) fn attribute(&self, pci: &str, name: &str) -> String {
        fs::read_to_string(self.device(pci).join(name)).unwrap().trim().to_owned()
    }

    pub(crate) fn write(&self, pci: &str, name: &str, value: &str) {
        let path = self.device(pci).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{value}\n")).unwrap();
    }

    fn device(&self, pci: &str) -> PathBuf {
        self.path("sys/devices/pci0000:00").join(pci)
    }

    fn add_function(&self, pci: &str, device: &str, vendor: &str, driver: &str) {
        for (name, value) in [("class", "0x020000"), ("device", device), ("vendor", vendor)] {
            self.write(pci, name, value);
        }
        let entry = self.path("sys/bus/pci/devices").join(pci);
        symlink(format!("../../../devices/pci0000:00/{pci}"), entry).unwrap();
        self.bind(pci, Some(driver));
    }

    fn remove_function(&self, pci: &str) {
        let _ = fs::remove_dir_all(self.device(pci));
        let _ = fs::remove_file(self.path("sys/bus/pci/devices").join(pci));
        self.bind_nothing(pci);
    }

    fn bind_nothing(&self, pci: &str) {
        let _ = fs::remove_file(self.device(pci).join("driver"));
    }

    fn bind(&self, pci: &str, driver: Option<&str>) {
        self.bind_nothing(pci);
        if let Some(driver) = driver {
            let target = format!("../../../bus/pci/drivers/{driver}");
            symlink(target, self.device(pci).join("driver")).unwrap();
        }
    }

    fn add_link(&self, pci: &str, name: &str, mac: &str, flags: &str) {
        for (file, value) in [("address", mac), ("flags", flags), ("mtu", "1500"), ("type", "1")] {
            self.write(pci, &format!("net/{name}/{file}"), value);
        }
    }

    fn owner_of(&self, link: &LinkName) -> String {
        let inventory = self.seen();
        let is_named = |it: &Option<podbond_inventory::NetLink>| {
            it.as_ref().is_some_and(|it| it.name == *link)
        };
        let pf = inventory.pfs.iter().find(|pf| is_named(&pf.link)).map(|pf| pf.pci);
        let vfs = || inventory.pfs.iter().flat_map(|pf| &pf.vfs);
        let vf = || vfs().find(|vf| is_named(&vf.link)).map(|vf| vf.pci);
        pf.or_else(vf).unwrap().to_string()
    }
}

impl Apply for Node {
    fn apply(&mut self, step: &Step) -> podbond_kernel::Result<()> {
        if self.fails.is_some_and(|start| step.to_string().starts_with(start)) {
            return Err(podbond_kernel::Error::Malformed {
                action: step.to_string(),
                reason: "fails by request".to_owned(),
            });
        }
        if let (Step::SetMtu { at, .. }, Some((old, new))) = (step, self.renames)
            && at.name.as_str() == old
        {
            let net = self.device(&self.owner_of(&at.name)).join("net");
            fs::rename(net.join(old), net.join(new)).unwrap();
            self.renames = None;
            return Err(podbond_kernel::Error::NoSuchLink {
                name: at.name.clone(),
                netns: at.netns,
            });
        }
        match step {
            Step::SetNumVfs { pf, to, .. } => self.set_num_vfs(&pf.to_string(), *to),
            Step::SetMtu { at, to, .. } => {
                let owner = self.owner_of(&at.name);
                self.write(&owner, &format!("net/{}/mtu", at.name), &to.to_string());
            }
            Step::SetState { at, to } => {
                let flags = if *to == LinkState::Up { "0x1003" } else { "0x1002" };
                let owner = self.owner_of(&at.name);
                self.write(&owner, &format!("net/{}/flags", at.name), flags);
            }
            Step::SetVf { pf, vf, to, .. } => {
                let pf = self.owner_of(pf).parse().unwrap();
                let vf = self.seen().pf(pf).unwrap().vf(*vf).unwrap().pci;
                self.admin_macs.insert(vf, to.mac.unwrap());
            }
            Step::BindDriver { pci, to, .. } => {
                let pci = pci.to_string();
                let _ = fs::remove_dir_all(self.device(&pci).join("net"));
                self.bind(&pci, to.as_deref());
            }
            other => panic!("no inventory makes this step: {other}"),
        }
        Ok(())
    }
}

impl Cards for Node {
    fn inventory(&mut self) -> Result<Inventory, Error> {
        let mut inventory = Inventory::read(&self.sysfs())?;
        for vf in inventory.pfs.iter_mut().flat_map(|pf| &mut pf.vfs) {
            vf.admin_mac = self.admin_macs.get(&vf.pci).copied();
        }
        Ok(inventory)
    }
}

/// A policy of this name whose `spec` has these further lines, `; ` standing for a line's end.
pub(crate) fn policy(name: &str, spec: &str) -> SriovNetworkNodePolicy {
    let text = format!(
        "apiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetworkNodePolicy\n\
         metadata: {{name: {name}, namespace: ops}}\nspec:\n  {}\n",
        spec.replace("; ", "\n  ")
    );
    match read_manifests(&text, "test").unwrap().remove(0) {
        Object::SriovNetworkNodePolicy(policy) => policy,
        other => panic!("not a policy: {other:?}"),
    }
}

pub(crate) fn pci(text: &str) -> PciAddress {
    text.parse().unwrap()
}
