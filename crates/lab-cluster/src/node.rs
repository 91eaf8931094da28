//! A node: a machine of the lab with two SR-IOV cards that goes on as a Kubernetes node.

use std::{
    fs,
    path::{Path, PathBuf},
};

use podbond_lab::{Builder, Kernel, Lab, Switch};
use serde_json::{Value, json};

use crate::{
    certificates::{Authority, Identity, kubeconfig},
    disk::{Disks, SANDBOX_IMAGE},
    error::{Error, FileContext},
    network::{HOST, PFS, PORT, node_address, node_mac, node_name, pf_tap, pods},
    process::Component,
    state::State,
};

/// Memory for containerd, the kubelet and pods, beside what the lab's machine has for itself.
const MORE_MEGABYTES: u64 = 1500;

/// The scripts of a node: path in the machine's initramfs, content.
const SCRIPTS: [(&str, &str); 2] = [
    ("/lab/node", include_str!("../guest/node")),
    ("/lab/files/usr/local/sbin/node-init", include_str!("../guest/node-init")),
];

/// Where a node's certificates are.
const PKI: &str = "/etc/kubernetes/pki";

/// Where the device plugin is.
const DEVICE_PLUGIN: &str = "/lab/files/usr/local/sbin/podbond-lab-device-plugin";

/// The resource of each PF's VFs, as `guest/node-init` has them: those of the documentation.
pub(crate) const RESOURCES: [&str; PFS as usize] =
    ["openshift.io/sriovnic1", "openshift.io/sriovnic2"];

/// Where containerd of each node tells of itself, in the form of Prometheus: how long its plugins took, for one.
pub(crate) const METRICS_PORT: u16 = 1338;

/// Programs of a node whose output goes to a log of ours each.
const LOGS: [&str; 3] = ["containerd", "kubelet", "device-plugin"];

/// One node of so many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) number: u8,
    pub(crate) nodes: u8,
    /// The VFs of each PF from the start.
    pub(crate) vfs: u8,
}

impl Node {
    pub(crate) fn name(self) -> String {
        node_name(self.number)
    }

    /// Returns the machine's description: the scripts, and what is this node's alone, which is written
    /// into the folder of the cluster first.
    pub(crate) fn describe(
        self,
        kernel: Kernel,
        device_plugin: &Path,
        authority: &Authority,
        state: &State,
    ) -> Result<Builder, Error> {
        let mut files = self.write_files(authority, state)?;
        files.push((device_plugin.to_owned(), DEVICE_PLUGIN.to_owned()));
        let builder = Lab::builder().pfs(PFS).vfs(self.vfs).kernel(kernel).switch(Switch::Ports);
        Ok(files.into_iter().fold(builder, |builder, (host, guest)| builder.add(host, guest)))
    }

    /// Starts the machine. Its console and its programs' output are in logs.
    pub(crate) fn start(self, lab: &Lab, disks: &Disks, state: &State) -> Result<Component, Error> {
        let name = self.name();
        let address = node_address(self.number);
        let mac = node_mac(self.number);
        let mut machine = lab.machine(
            self.number,
            &[
                ("name", &name),
                ("number", &self.number),
                ("nodes", &self.nodes),
                ("address", &address),
                ("gateway", &HOST),
                ("mac", &mac),
            ],
            MORE_MEGABYTES,
        )?;
        let command = machine.command();
        // What a node changes on its disks is in a file that has no name any more.
        command.env("TMPDIR", state.path("tmp"));
        for (disk, serial) in [(&disks.root, "root"), (&disks.kubernetes, "kubernetes")] {
            // QEMU reads a doubled comma as one.
            let file = disk.to_string_lossy().replace(',', ",,");
            let options = format!("id={serial},if=none,format=raw,snapshot=on,cache=unsafe");
            command.arg("-drive").arg(format!("{options},file={file}"));
            command.arg("-device").arg(format!("virtio-blk-pci,drive={serial},serial={serial}"));
        }
        let tap = |id: &str, tap: &str| format!("tap,id={id},ifname={tap},script=no,downscript=no");
        command.arg("-netdev").arg(tap("lan", &name));
        command.arg("-device").arg(format!("virtio-net-pci,netdev=lan,mac={mac},romfile="));
        for pf in 0..PFS {
            // A third end for the PF's cable, beside the card and the node's own `switch` namespace.
            command.arg("-netdev").arg(tap(&format!("tap{pf}"), &pf_tap(self.number, pf)));
            let end = format!("hubport,id=out{pf},hubid={pf},netdev=tap{pf}");
            command.arg("-netdev").arg(end);
        }
        let console = state.log(&name);
        command.arg("-serial").arg(file_argument("file:", &console));
        command.args(["-device", "virtio-serial-pci"]);
        for log in LOGS {
            let path = self.log(log, state);
            command.arg("-chardev").arg(file_argument(&format!("file,id={log},path="), &path));
            command.arg("-device").arg(format!("virtserialport,chardev={log},name={log}"));
        }
        command.stdin(std::process::Stdio::null());
        let messages = state.log(&format!("{name}-qemu"));
        let messages = fs::File::create(&messages).file("make", messages)?;
        command.stdout(messages.try_clone().file("share", &console)?).stderr(messages);
        Ok(Component::started(&name, machine.start()?, console))
    }

    /// Returns the log of a program of this node.
    pub(crate) fn log(self, program: &str, state: &State) -> PathBuf {
        state.log(&format!("{}-{program}", self.name()))
    }

    /// Returns the logs that may tell why the node is not Ready.
    pub(crate) fn logs(self, state: &State) -> Vec<PathBuf> {
        let mut logs = vec![state.log(&self.name()), state.log(&format!("{}-qemu", self.name()))];
        logs.extend(LOGS.map(|program| self.log(program, state)));
        logs
    }

    /// Writes what is this node's alone, and returns it with its places in the initramfs.
    fn write_files(
        self,
        authority: &Authority,
        state: &State,
    ) -> Result<Vec<(PathBuf, String)>, Error> {
        let name = self.name();
        let user = format!("system:node:{name}");
        let client = Identity::Client { name: &user, group: Some("system:nodes") };
        authority.sign(&name, &client)?;
        let server = format!("{name}-server");
        let reached = vec![name.clone(), node_address(self.number).to_string()];
        authority.sign(&server, &Identity::Server { name: &name, reached })?;
        let pki = |file: &str| format!("/lab/files{PKI}/{file}");
        let mut files = vec![
            (authority.path("ca", "crt"), pki("ca.crt")),
            (authority.path(&name, "crt"), pki("kubelet.crt")),
            (authority.path(&name, "key"), pki("kubelet.key")),
            (authority.path(&server, "crt"), pki("server.crt")),
            (authority.path(&server, "key"), pki("server.key")),
        ];
        let dir = state.path(&name);
        fs::create_dir(&dir).file("make", &dir)?;
        for (path, mode, text) in self.configuration() {
            let host = dir.join(path.rsplit('/').next().unwrap_or(&path));
            fs::write(&host, text).file("write", &host)?;
            rustix::fs::chmod(&host, mode.into()).map_err(Into::into).file("write", &host)?;
            files.push((host, path));
        }
        Ok(files)
    }

    /// Returns the files of a node's configuration with their modes.
    fn configuration(self) -> Vec<(String, u32, String)> {
        let mut files: Vec<_> =
            SCRIPTS.map(|(path, text)| (path.to_owned(), 0o755, text.to_owned())).into();
        let kubeconfig = kubeconfig(HOST, PORT, Path::new(PKI), "kubelet");
        for (path, text) in [
            ("etc/kubernetes/kubelet.kubeconfig", kubeconfig),
            ("etc/kubernetes/kubelet.yaml", format!("{:#}\n", kubelet_configuration())),
            ("etc/containerd/config.toml", containerd_configuration()),
            ("etc/cni/net.d/10-lab.conflist", format!("{:#}\n", self.primary_network())),
        ] {
            files.push((format!("/lab/files/{path}"), 0o644, text));
        }
        files
    }

    /// The cluster's own network on this node: Debian's plugins, one range of addresses for each node.
    fn primary_network(self) -> Value {
        json!({
            "cniVersion": "1.0.0",
            "name": "lab",
            "plugins": [{
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": pods(self.number) }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            }],
        })
    }
}

fn file_argument(before: &str, path: &Path) -> String {
    format!("{before}{}", path.to_string_lossy().replace(',', ",,"))
}

/// The kubelet asks the API server who its clients are and what they may do.
fn kubelet_configuration() -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": format!("{PKI}/ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": format!("{PKI}/server.crt"),
        "tlsPrivateKeyFile": format!("{PKI}/server.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "staticPodPath": "/etc/kubernetes/manifests",
        // No systemd, no swap, and a disk that is as small as it needs to be.
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0%",
            "imagefs.available": "0%",
        },
    })
}

fn containerd_configuration() -> String {
    format!(
        "version = 3\n\
         [plugins.'io.containerd.cri.v1.images'.pinned_images]\n\
         sandbox = '{SANDBOX_IMAGE}'\n\
         [plugins.'io.containerd.cri.v1.runtime'.cni]\n\
         bin_dirs = ['/opt/cni/bin']\n\
         conf_dir = '/etc/cni/net.d'\n\
         [metrics]\n\
         address = '0.0.0.0:{METRICS_PORT}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pf_has_its_resource() {
        for (pf, resource) in (0..PFS).zip(RESOURCES) {
            assert!(SCRIPTS[1].1.contains(&format!(" {resource}=pf{pf}")), "{resource}");
        }
    }

    #[test]
    fn nodes_differ_in_range_and_name_alone() {
        let node = |number| Node { number, nodes: 2, vfs: 4 }.configuration();
        let text = |files: Vec<(String, u32, String)>| {
            files.into_iter().flat_map(|(path, _, text)| [path, text]).collect::<String>()
        };
        let (one, two) = (text(node(1)), text(node(2)));
        assert!(one.contains("10.244.1.0/24") && !one.contains("10.244.2.0/24"));
        assert_eq!(one.replace("10.244.1.0/24", "10.244.2.0/24"), two);
    }
}
