//! The operations that are measured, each with its floor: start, bond, sriov, host-local, and the
//! documented pod by one call of the meta-plugin.

use std::fs;
use std::path::{Path, PathBuf};

use podbond_bench::{Error, PODBOND, Peer, Plugin, Process, ip, ip_batch, vf_pci};
use serde_json::{Value, json};

use crate::operation::{FLOOR, Operation, Subject};

/// The pod in which bonds over two dummy links are made.
pub(crate) const BOND_NETNS: &str = "bench-bond";

const SRIOV_NETNS: &str = "bench-sriov";

const CHAIN_NETNS: &str = "bench-chain";

/// Makes the pods of the operations.
pub(crate) fn prepare() -> Result<(), Error> {
    bond_pod(BOND_NETNS)?;
    ip(&format!("netns add {SRIOV_NETNS}"))?;
    ip(&format!("netns add {CHAIN_NETNS}"))
}

/// Makes a pod with two dummy links. Of them the kernel takes and gives back a port at once, so that
/// what is measured is the cost of who asks for it.
pub(crate) fn bond_pod(netns: &str) -> Result<(), Error> {
    ip(&format!("netns add {netns}"))?;
    ip(&format!("-n {netns} link add net1 up type dummy"))?;
    ip(&format!("-n {netns} link add net2 up type dummy"))
}

/// Starts a static C program that does nothing, and plugins that are asked for their VERSION.
pub(crate) fn start(
    name: &str,
    nothing: &Path,
    podbond: &Path,
    peers: &[Peer],
    directory: &Path,
) -> Result<Operation, Error> {
    let input = directory.join("version.json");
    fs::write(&input, r#"{"cniVersion":"1.0.0"}"#).map_err(Error::file("write", &input))?;
    let subject = |name: &str, program: PathBuf| {
        let version = Process::new(program).variable("CNI_COMMAND", "VERSION").input(&input);
        Subject { name: name.to_owned(), add: vec![version], del: Vec::new() }
    };
    let mut subjects = vec![subject(FLOOR, nothing.into()), subject(PODBOND, podbond.into())];
    subjects.extend(peers.iter().map(|peer| subject(&peer.plugin, peer.path.clone())));
    Ok(Operation { name: name.to_owned(), subjects })
}

/// Returns the configuration of the documented bond over two links, with its host-local network or
/// without addresses.
pub(crate) fn bond_config(links: [&str; 2], ipam: bool) -> Value {
    let mut config = json!({
        "type": "bond", "cniVersion": "0.3.1", "name": "bond-net1", "mode": "active-backup",
        "failOverMac": 1, "linksInContainer": true, "miimon": "100", "mtu": 1500,
        "links": links.map(|link| json!({"name": link})),
    });
    if ipam {
        config["ipam"] = json!({
            "type": "host-local", "subnet": "10.56.217.0/24",
            "routes": [{"dst": "0.0.0.0/0"}], "gateway": "10.56.217.1",
        });
    }
    config
}

/// A port is down while it is enslaved, and is opened by that. A bond has MTU 1500 unasked.
const BOND_ADD: &str = "\
link add net3 type bond mode active-backup miimon 100 fail_over_mac active
link set net1 down
link set net1 master net3
link set net2 down
link set net2 master net3
link set net3 up
";

const BOND_ADD_ADDRESS: &str = "\
address add 10.56.217.2/24 broadcast + dev net3
route prepend default via 10.56.217.1 dev net3
";

/// The ports of a bond that is deleted are closed by that.
const BOND_DEL: &str = "\
link del net3
link set net1 up
link set net2 up
";

/// Makes and deletes a bond over two dummy links, with or without an address.
pub(crate) fn bond(ipam: bool, peers: &[Peer], directory: &Path) -> Result<Operation, Error> {
    let commands = if ipam { [BOND_ADD, BOND_ADD_ADDRESS].concat() } else { BOND_ADD.to_owned() };
    let add = ip_batch("bond-add", Some(BOND_NETNS), &commands, directory)?;
    let del = ip_batch("bond-del", Some(BOND_NETNS), BOND_DEL, directory)?;
    let mut subjects = vec![Subject::new(FLOOR, add, del)];
    let config = bond_config(["net1", "net2"], ipam);
    for plugin in Plugin::with_peer("bond", peers) {
        subjects.push(Subject::attachment(&plugin, BOND_NETNS, "net3", &config, directory)?);
    }
    let name = if ipam { "bond ADD+DEL with IPAM" } else { "bond ADD+DEL" };
    Ok(Operation { name: name.to_owned(), subjects })
}

/// What the PF keeps of the VF, and its move into the pod.
const SRIOV_ADD_NODE: &str = "\
link set pf0 vf 0 vlan 100 spoofchk off trust on
link set pf0v0 netns bench-sriov name net1
";

const SRIOV_ADD_POD: &str = "link set net1 up\n";

const SRIOV_DEL: &str = "link set pf0 vf 0 vlan 0 spoofchk on trust off\n";

/// Returns a shell that has the driver make the links of VFs anew, on the node, gives each its name there,
/// then runs commands of iproute2. A link that is moved back would keep what a pod has done to it.
fn renew_vfs(vfs: &[(&str, &str)], commands: &str) -> Process {
    let renew = |(pci, name): &(&str, &str)| {
        format!(
            "echo {pci} >/sys/bus/pci/drivers/igbvf/unbind; \
             echo {pci} >/sys/bus/pci/drivers/igbvf/bind; \
             set -- /sys/bus/pci/devices/{pci}/net/*; echo link set ${{1##*/}} name {name};"
        )
    };
    let renewed = vfs.iter().map(renew).collect::<Vec<_>>().join(" ");
    let script = format!("{{ {renewed} printf '{commands}'; }} | ip -batch -");
    Process::new("/usr/bin/dash").arguments(["-c", &script])
}

/// Moves a VF into a pod, with a VLAN, trusted and without spoof checking, and takes it back as new.
pub(crate) fn sriov(peers: &[Peer], directory: &Path) -> Result<Operation, Error> {
    let (pod, vf) = (Some(SRIOV_NETNS), vf_pci("pf0", 0)?);
    let floor = Subject {
        name: FLOOR.to_owned(),
        add: vec![
            ip_batch("sriov-add-node", None, SRIOV_ADD_NODE, directory)?,
            ip_batch("sriov-add-pod", pod, SRIOV_ADD_POD, directory)?,
        ],
        del: vec![renew_vfs(&[(&vf, "pf0v0")], SRIOV_DEL)],
    };
    let config = json!({
        "type": "sriov", "cniVersion": "1.0.0", "name": "sriovnet1", "deviceID": vf,
        "vlan": 100, "spoofchk": "off", "trust": "on",
    });
    let mut subjects = vec![floor];
    for plugin in Plugin::with_peer("sriov", peers) {
        subjects.push(Subject::attachment(&plugin, SRIOV_NETNS, "net1", &config, directory)?);
    }
    Ok(Operation { name: "sriov ADD+DEL".to_owned(), subjects })
}

/// Where the floor writes its lease: beside those of the plugins, on the same file system.
const FLOOR_LEASES: &str = "/var/lib/cni/networks/bench-floor";

/// Leases an address and releases it. The kernel's network is not asked for anything: the floor is a
/// shell that writes the two files, and one program that removes the lease.
pub(crate) fn host_local(peers: &[Peer], directory: &Path) -> Result<Operation, Error> {
    fs::create_dir_all(FLOOR_LEASES).map_err(Error::file("make", Path::new(FLOOR_LEASES)))?;
    let lease = format!("{FLOOR_LEASES}/10.56.217.2");
    let write = format!(
        r"printf 'bench\r\nnet1' >{lease}; printf 10.56.217.2 >{FLOOR_LEASES}/last_reserved_ip.0"
    );
    let add = Process::new("/usr/bin/dash").arguments(["-c", &write]);
    let del = Process::new("/usr/bin/rm").arguments([&lease]);
    let config = json!({
        "type": "bond", "cniVersion": "1.0.0", "name": "bench-lease",
        "ipam": {"type": "host-local", "subnet": "10.56.217.0/24", "gateway": "10.56.217.1"},
    });
    let mut subjects = vec![Subject::new(FLOOR, add, del)];
    for plugin in Plugin::with_peer("host-local", peers) {
        subjects.push(Subject::attachment(&plugin, BOND_NETNS, "net1", &config, directory)?);
    }
    Ok(Operation { name: "host-local ADD+DEL".to_owned(), subjects })
}

/// The VFs have the settings that are asked for. They stay down: the bond opens its ports.
const CHAIN_ADD_NODE: &str = "\
link set pf0v0 netns bench-chain name net0
link set pf1v0 netns bench-chain name net1
";

const CHAIN_ADD_POD: &str = "\
link add net2 type bond mode active-backup miimon 100 fail_over_mac active
link set net0 master net2
link set net1 master net2
link set net2 up
address add 10.56.217.2/24 broadcast + dev net2
route prepend default via 10.56.217.1 dev net2
";

const CHAIN_DEL: &str = "link del net2\n";

/// Attaches the documented pod, two VFs of two PFs and a bond with an address, by one call of a
/// meta-plugin. The first network gets the interface name of the call, the others net1 and net2.
pub(crate) fn chain(peers: &[Peer], directory: &Path) -> Result<Operation, Error> {
    let pod = Some(CHAIN_NETNS);
    let (vf0, vf1) = (vf_pci("pf0", 0)?, vf_pci("pf1", 0)?);
    let floor = Subject {
        name: FLOOR.to_owned(),
        add: vec![
            ip_batch("chain-add-node", None, CHAIN_ADD_NODE, directory)?,
            ip_batch("chain-add-pod", pod, CHAIN_ADD_POD, directory)?,
        ],
        del: vec![
            ip_batch("chain-del-pod", pod, CHAIN_DEL, directory)?,
            renew_vfs(&[(&vf0, "pf0v0"), (&vf1, "pf1v0")], ""),
        ],
    };
    let vfs = [("sriovnet1", vf0), ("sriovnet2", vf1)];
    let [first, second] = vfs.map(|(name, pci)| {
        json!({
            "type": "sriov", "cniVersion": "0.3.1", "name": name,
            "vlan": 0, "vlanQoS": 0, "deviceID": pci,
        })
    });
    let delegates = json!([first, second, bond_config(["net0", "net1"], true)]);
    let mut subjects = vec![floor];
    for plugin in Plugin::with_peer("multus", peers) {
        let config = json!({
            "type": "multus", "cniVersion": "0.3.1", "name": "multus-cni-network",
            "binDir": plugin.path.split(':').next(), "delegates": delegates,
        });
        subjects.push(Subject::attachment(&plugin, CHAIN_NETNS, "net0", &config, directory)?);
    }
    Ok(Operation { name: "chain ADD+DEL".to_owned(), subjects })
}
