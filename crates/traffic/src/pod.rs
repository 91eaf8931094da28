//! A pod's namespace, with VFs from the sriov plugin and a bond from the bond plugin, each called
//! as a runtime calls it.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Error;
use crate::cell::{Cell, port_name};
use crate::command::{ip, run};
use crate::place::{BOND, POD};

/// How long a VF that was made may be without its link.
const LINK_PATIENCE: Duration = Duration::from_secs(20);

/// The names of the PFs, in order.
pub(crate) fn pfs() -> Result<Vec<String>, Error> {
    let entries = fs::read_dir("/sys/class/net").map_err(Error::io("list the links"))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let number = |name: &str| name.strip_prefix("pf").and_then(|n| n.parse::<u8>().ok());
    let mut pfs: Vec<String> = names.filter(|name| number(name).is_some()).collect();
    pfs.sort();
    Ok(pfs)
}

/// Makes as many VFs of each PF as `ports` ports need, and gives the ports' PCI addresses: the
/// first of the first PF, the first of the second, and so on.
pub(crate) fn make_vfs(pfs: &[String], ports: usize, mtu: u32) -> Result<Vec<String>, Error> {
    let each = ports.div_ceil(pfs.len().max(1));
    for pf in pfs {
        let device = format!("/sys/class/net/{pf}/device");
        let most = number(&format!("{device}/sriov_totalvfs"))?;
        if each > most {
            let pf = pf.clone();
            return Err(Error::TooFewVfs { wanted: ports, pfs: pfs.len(), each, pf, most });
        }
        ip(&format!("link set {pf} mtu {}", mtu.max(1500)))?;
        let path = format!("{device}/sriov_numvfs");
        if number(&path)? < each {
            let written = fs::write(&path, "0").and_then(|()| fs::write(&path, each.to_string()));
            written.map_err(Error::io(format!("write {path}")))?;
        }
    }
    (0..ports)
        .map(|port| {
            let path = format!(
                "/sys/class/net/{}/device/virtfn{}",
                pfs[port % pfs.len()],
                port / pfs.len()
            );
            let device = fs::read_link(&path).map_err(Error::io(format!("read {path}")))?;
            let pci = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
            await_link(&pci)?;
            Ok(pci)
        })
        .collect()
}

fn number(path: &str) -> Result<usize, Error> {
    let text = fs::read_to_string(path).map_err(Error::io(format!("read {path}")))?;
    text.trim()
        .parse()
        .map_err(|_| Error::Unread { command: path.to_owned(), output: text.clone() })
}

fn await_link(pci: &str) -> Result<(), Error> {
    let begun = Instant::now();
    let net = format!("/sys/bus/pci/devices/{pci}/net");
    while fs::read_dir(&net).map_or(0, Iterator::count) == 0 {
        if begun.elapsed() > LINK_PATIENCE {
            return Err(Error::NoLink { pci: pci.to_owned(), seconds: LINK_PATIENCE.as_secs() });
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The pod. Its VFs stay in it from cell to cell; the bond is made for each.
pub(crate) struct Pod {
    vfs: Vec<Value>,
    bond: Option<Value>,
}

impl Pod {
    /// A namespace with trusted VFs net1, net2, … that carry packets up to `mtu`.
    pub(crate) fn with_vfs(pcis: &[String], mtu: u32) -> Result<Self, Error> {
        ip(&format!("netns add {POD}"))?;
        let mut pod = Self { vfs: Vec::new(), bond: None };
        for (port, pci) in pcis.iter().enumerate() {
            let config = json!({
                "cniVersion": "1.0.0", "name": "traffic-vf", "type": "sriov", "deviceID": pci,
                "trust": "on", "spoofchk": "off",
            });
            call("ADD", &port_name(port), &config)?;
            pod.vfs.push(config);
            if mtu > 1500 {
                ip(&format!("-n {POD} link set {} mtu {mtu}", port_name(port)))?;
            }
        }
        Ok(pod)
    }

    /// Makes the cell's bond. VFs that are not its ports are down: the kernel would take a broadcast
    /// from each of them.
    pub(crate) fn bond(&mut self, cell: Cell) -> Result<(), Error> {
        let others = (cell.ports..self.vfs.len()).map(port_name);
        let lines: Vec<String> = others.map(|port| format!("link set {port} down\n")).collect();
        run(Command::new("ip").args(["-n", POD, "-batch", "-"]), &lines.concat())?;
        let config = cell.config();
        // Kept first: a runtime answers a failed ADD with a DEL.
        self.bond = Some(config.clone());
        call("ADD", BOND, &config)
    }

    /// Takes the bond away.
    pub(crate) fn unbond(&mut self) -> Result<(), Error> {
        match self.bond.take() {
            Some(config) => call("DEL", BOND, &config),
            None => Ok(()),
        }
    }
}

impl Drop for Pod {
    /// The lab may be used further, by the next test: an error is no news there.
    fn drop(&mut self) {
        let _ = self.unbond();
        for (port, config) in self.vfs.iter().enumerate() {
            let _ = call("DEL", &port_name(port), config);
        }
        let _ = ip(&format!("netns delete {POD}"));
    }
}

fn call(operation: &str, ifname: &str, config: &Value) -> Result<(), Error> {
    let plugin = config["type"].as_str().unwrap_or_default();
    let mut command = Command::new(format!("/opt/cni/bin/{plugin}"));
    command
        .env("CNI_COMMAND", operation)
        .env("CNI_CONTAINERID", POD)
        .env("CNI_NETNS", format!("/run/netns/{POD}"))
        .env("CNI_IFNAME", ifname)
        .env("CNI_PATH", "/opt/cni/bin");
    run(&mut command, &config.to_string()).map(drop)
}
