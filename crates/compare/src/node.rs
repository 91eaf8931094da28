//! The lab's node and the pod in which a case happens: made alike for each run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use podbond_bench::{Error, Process, ip_batch, netns_path, wait_for_link};
use tempfile::TempDir;

use crate::cases::Case;
use crate::facts::Seen;

/// The pod, which has its container's ID for a name.
pub(crate) const POD: &str = "pod";

/// The VFs that cases use, by PF and number.
const VFS: [(&str, u32); 2] = [("pf0", 0), ("pf1", 0)];

/// Takes away what the run before has left.
const CLEAN: &str = "
for link in node1 node2; do ip link del $link; done
ip netns del pod
rm -rf /var/lib/cni/networks /var/lib/cni/sriov /var/lib/podbond /run/podbond /etc/podbond
";

/// A pod with a default network of both families, and two links to bond. A runtime's pod has `lo` up.
const MAKE_POD: &str = "
ip netns add pod
ip -n pod -batch - <<END
link set lo up
link add eth0 address 02:00:00:00:00:10 type dummy
link set eth0 up
address add 10.244.0.5/24 dev eth0
address add fd00:244::5/64 dev eth0 nodad
route add default via 10.244.0.1
route add default via fd00:244::1
link add net1 address 02:00:00:00:00:01 type dummy
link set net1 up
link add net2 address 02:00:00:00:00:02 type dummy
link set net2 up
END
";

/// Links and their addresses, routes, and what the kernel is told to do on each link.
const SHOW: &str = "
ip -j -d address show
ip -j -d route show table all
cd /proc/sys/net && grep . ipv4/conf/*/arp_notify ipv6/conf/*/ndisc_notify \
    ipv6/conf/*/optimistic_dad ipv6/conf/*/keep_addr_on_down ipv6/conf/*/disable_ipv6 \
    ipv6/conf/*/accept_dad ipv6/conf/*/addr_gen_mode
";

/// The node, with its VFs as they were at the start.
pub(crate) struct Node {
    vfs: Vec<Vf>,
    /// For configurations and the like.
    pub(crate) directory: TempDir,
}

struct Vf {
    pf: &'static str,
    number: u32,
    name: String,
    mac: String,
}

impl Node {
    /// Reads what the VFs are like. A policy tells the PF the MAC address of each: so does this.
    pub(crate) fn prepare() -> Result<Self, Error> {
        let mut vfs = Vec::new();
        for (pf, number) in VFS {
            let name = format!("{pf}v{number}");
            vfs.push(Vf { pf, number, mac: mac(&name)?, name });
        }
        Ok(Self { vfs, directory: tempfile::tempdir()? })
    }

    /// Makes the pod of a case anew, with the node as it was at the start.
    pub(crate) fn begin(&self, case: &Case) -> Result<(), Error> {
        shell(CLEAN).end()?;
        let mut commands = String::new();
        for vf in &self.vfs {
            commands += &vf.commands_home()?;
        }
        ip_batch("home", None, &commands, self.directory.path())?.run()?;
        shell(&[MAKE_POD, &case.before].concat()).run().map(drop)
    }

    /// Returns names for the MAC addresses of cards and VFs, which the kernel makes up at boot.
    pub(crate) fn macs(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut macs = BTreeMap::new();
        for vf in &self.vfs {
            macs.insert(vf.mac.clone(), vf.name.clone());
            macs.insert(mac(vf.pf)?, vf.pf.to_owned());
        }
        Ok(macs)
    }
}

/// Returns what there is in the pod.
pub(crate) fn see_pod() -> Result<Seen, Error> {
    Seen::parse(&shell(SHOW).in_netns(netns_path(POD)).end()?.stdout)
}

/// Returns what there is on the node.
pub(crate) fn see_node() -> Result<Seen, Error> {
    Seen::parse(&shell(SHOW).end()?.stdout)
}

impl Vf {
    /// Returns the commands of iproute2 that make the VF and its link what they were at the start.
    fn commands_home(&self) -> Result<String, Error> {
        let Self { pf, number, name, mac: home } = self;
        let directory = format!("/sys/class/net/{pf}/device/virtfn{number}/net");
        let now = wait_for_link(Path::new(&directory))?;
        let mut commands = vec![format!("link set {now} down")];
        if now != *name {
            commands.push(format!("link set {now} name {name}"));
        }
        if mac(&now)? != *home {
            commands.push(format!("link set {pf} vf {number} mac {home} trust on"));
            commands.push(format!("link set {name} address {home}"));
        }
        // igbvf takes the MAC address of its PF for its permanent one with another MTU.
        commands.extend([1400, 1500].map(|mtu| format!("link set {name} mtu {mtu}")));
        let settings = "vlan 0 spoofchk on trust off max_tx_rate 0";
        commands.push(format!("link set {pf} vf {number} mac {home} {settings}\n"));
        Ok(commands.join("\n"))
    }
}

fn shell(script: &str) -> Process {
    Process::new("/usr/bin/sh").arguments(["-c", script])
}

fn mac(link: &str) -> Result<String, Error> {
    let path = format!("/sys/class/net/{link}/address");
    let text = fs::read_to_string(&path).map_err(Error::file("read", Path::new(&path)))?;
    Ok(text.trim().to_owned())
}
