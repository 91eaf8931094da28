//! What the tests share: the card, pods, and an IPAM plugin.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_cni::{
    Args, CniResult, Code, ContainerId, Delegates, Failure, IpConfig, Lookup, NetConf, Plugin,
    Request,
};
use podbond_kernel::{Apply, Kernel, LinkRef, LinkState, NamedNetns, Step, VfSettings};
use podbond_names::{LinkName, Mac, PciAddress};
use podbond_sriov::Sriov;
use serde_json::{Value, json};

const PF: &str = "/sys/class/net/pf0/device";
const VFS: usize = 2;

/// Records of attachments with an IPAM plugin, in the directory of the plugin's files.
pub(crate) const RECORDS: &str = "podbond/lib/attachments";

/// One test at a time: they share the card.
pub(crate) static CARD: Mutex<()> = Mutex::new(());

/// All that DEL has to restore.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    name: LinkName,
    mac: Option<Mac>,
    mtu: u32,
    state: LinkState,
    pub(crate) settings: VfSettings,
}

/// The card, a directory for the plugin's files, and an IPAM plugin.
pub(crate) struct Lab {
    pub(crate) pci: PciAddress,
    pub(crate) files: tempfile::TempDir,
    pub(crate) sriov: Sriov,
    pub(crate) ipam: Ipam,
    pub(crate) before: Seen,
}

impl Lab {
    /// Takes the first VF in this state of its link.
    pub(crate) fn new(state: LinkState) -> Self {
        let numvfs = Path::new(PF).join("sriov_numvfs");
        if fs::read_to_string(&numvfs).unwrap().trim() == "0" {
            fs::write(&numvfs, VFS.to_string()).unwrap();
        }
        // Making VFs resets the card: until its link is back it refuses rates.
        within("the PF has carrier", || {
            let carrier = fs::read_to_string("/sys/class/net/pf0/carrier").ok()?;
            (carrier.trim() == "1").then_some(())
        });
        let device = fs::read_link(Path::new(PF).join("virtfn0")).unwrap();
        let pci: PciAddress = device.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let mut kernel = Kernel::host().unwrap();
        let link = within("the VF has a link", || {
            kernel.sysfs().links_of(pci).unwrap().into_iter().next()
        });
        let at = LinkRef::host(link);
        // A new VF's address is not known to igb before Linux 6.3 until the VF is closed.
        within("the PF knows the VF's address", || {
            let known = kernel.vf(pci).unwrap().unwrap().settings.mac;
            let own = kernel.link(&at).unwrap().unwrap().mac;
            if known == own {
                return Some(());
            }
            for to in [LinkState::Up, LinkState::Down] {
                kernel.apply(&Step::SetState { at: at.clone(), to }).unwrap();
            }
            None
        });
        if kernel.link(&at).unwrap().unwrap().state != state {
            kernel.apply(&Step::SetState { at, to: state }).unwrap();
        }
        let files = tempfile::tempdir().unwrap();
        let sriov = Sriov::with_files_in(files.path());
        Self { pci, files, sriov, ipam: Ipam::default(), before: seen(pci).unwrap() }
    }

    pub(crate) fn request(&self, pod: &Pod, keys: &Value) -> Request {
        let mut conf = json!({
            "cniVersion": "1.0.0", "name": "sriovnet1", "type": "sriov", "deviceID": self.pci,
            "ipam": {"type": Ipam::NAME},
        });
        for (key, value) in keys.as_object().unwrap() {
            conf[key] = value.clone();
        }
        Request {
            container_id: ContainerId::try_from(pod.name.clone()).unwrap(),
            netns: Some(pod.path.clone()),
            ifname: "net1".parse().unwrap(),
            args: Args(BTreeMap::new()),
            path: Vec::new(),
            config: NetConf::parse(conf.to_string().as_bytes()).unwrap(),
        }
    }

    pub(crate) fn add(&self, request: &Request) -> Result<CniResult, Failure> {
        self.sriov.add(request, &Delegates::new(&[&self.ipam], Lookup::PathThenBuiltin))
    }

    pub(crate) fn del(&self, request: &Request) -> Result<(), Failure> {
        self.sriov.del(request, &Delegates::new(&[&self.ipam], Lookup::PathThenBuiltin))
    }

    pub(crate) fn check(&self, request: &Request, result: &CniResult) -> Result<(), Failure> {
        let mut request = request.clone();
        request.config.prev_result = Some(result.clone());
        self.sriov.check(&request, &Delegates::new(&[&self.ipam], Lookup::PathThenBuiltin))
    }

    pub(crate) fn settings(&self) -> VfSettings {
        Kernel::host().unwrap().vf(self.pci).unwrap().unwrap().settings
    }

    /// The node is as it was, and nothing tells of an attachment any more.
    pub(crate) fn assert_as_before(&self) {
        assert_eq!(seen(self.pci), Some(self.before.clone()));
        let files = |dir: &str| {
            let entries = fs::read_dir(self.files.path().join(dir)).into_iter().flatten();
            entries.flatten().filter(|entry| entry.path().is_file()).count()
        };
        let dirs = [".", "pci", RECORDS, "podbond/run/attachments"];
        assert_eq!(dirs.map(files), [0; 4], "files stay behind");
        assert_eq!(self.ipam.leased(), 0, "a lease stays behind");
    }
}

/// What the node shows of the VF; none while its link is not there.
pub(crate) fn seen(pci: PciAddress) -> Option<Seen> {
    let mut kernel = Kernel::host().unwrap();
    let name = kernel.sysfs().links_of(pci).unwrap().into_iter().next()?;
    let link = kernel.link(&LinkRef::host(name)).unwrap()?;
    let settings = kernel.vf(pci).unwrap().unwrap().settings;
    Some(Seen { name: link.name, mac: link.mac, mtu: link.mtu, state: link.state, settings })
}

fn within<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        sleep(Duration::from_millis(50));
    }
}

/// A pod's namespace, which goes away with it.
pub(crate) struct Pod {
    name: String,
    pub(crate) path: PathBuf,
}

impl Pod {
    pub(crate) fn new(name: &str) -> Self {
        let path = NamedNetns::create(name).unwrap().path().to_owned();
        Self { name: name.to_owned(), path }
    }

    pub(crate) fn kernel(&self) -> Kernel {
        Kernel::with_pod(&self.path).unwrap()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Ok(Some(netns)) = NamedNetns::find(&self.name) {
            let _ = netns.remove();
        }
    }
}

/// Gives one address, or none, and counts.
#[derive(Default)]
pub(crate) struct Ipam {
    pub(crate) leased: Mutex<i32>,
    pub(crate) empty: bool,
}

impl Ipam {
    pub(crate) const NAME: &str = "ipam-of-the-test";
    pub(crate) const ADDRESS: &str = "10.56.217.77/24";

    pub(crate) fn leased(&self) -> i32 {
        *self.leased.lock().unwrap()
    }
}

impl Plugin for Ipam {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn add(&self, _: &Request, _: &Delegates<'_>) -> Result<CniResult, Failure> {
        if self.empty {
            return Err(Failure::new(Code::EXHAUSTED, "no address left"));
        }
        *self.leased.lock().unwrap() += 1;
        let address = Self::ADDRESS.parse().unwrap();
        let ips = vec![IpConfig::new(address)];
        Ok(CniResult { ips, ..CniResult::default() })
    }

    fn del(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        let mut leased = self.leased.lock().unwrap();
        *leased = 0.max(*leased - 1);
        Ok(())
    }

    fn check(&self, _: &Request, _: &Delegates<'_>) -> Result<(), Failure> {
        Ok(())
    }
}
