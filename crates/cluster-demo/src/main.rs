//! The demo of `cargo xtask cluster demo`: the documented pod in a Kubernetes cluster, from its manifests to
//! its removal.
//!
//! Everything is done with kubectl, as a person would, and each claim is checked against what it prints; the
//! first that does not hold ends the demo with status 1.

mod show;

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use podbond_lab_cluster::kubectl::{self, NodeShell};
use serde_json::Value;

use show::{Error, claim, say, show};

/// The pod and its namespace, as the manifests have them.
const NAMESPACE: &str = "demo";
const POD: &str = "bondpod1";

/// The bond in the pod: the third network.
const BOND: &str = "net3";

/// The address of the switch on the bond's network.
const SWITCH: &str = "10.56.217.1";

/// How long a pod may take until it runs, under emulation on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(2);

/// How long a VF may take to see that its PF is down or up: igbvf looks every 2 s, and takes up to 13 s
/// under emulation to find carrier again.
const CARRIER_LIMIT: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    let Some(examples) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("name the folder of the examples");
        return ExitCode::FAILURE;
    };
    match demo(&examples) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(examples: &std::path::Path) -> Result<(), Error> {
    let file = |name: &str| examples.join(name).display().to_string();
    say("the networks and the pod of the documentation");
    show(&["apply", "--filename", &file("cluster/networks.yaml")])?;
    show(&["apply", "--filename", &file("bond-net1.yaml")])?;
    show(&["apply", "--filename", &file("cluster/bondpod1.yaml")])?;
    kubectl::wait_until_ready(NAMESPACE, POD, READY_LIMIT)?;
    show(&["get", "pods", "--namespace", NAMESPACE, "--output", "wide"])?;

    say("in the pod: the cluster's own network, the two VFs, the bond over them");
    show_exec(&["ip", "-br", "link"])?;
    show_exec(&["ip", "-br", "-4", "address"])?;
    check_links()?;
    let bond_file = show_exec(&["cat", &format!("/proc/net/bonding/{BOND}")])?;
    for port in ["net1", "net2"] {
        let is_port = bond_file.lines().any(|line| line == format!("Slave Interface: {port}"));
        claim(is_port, &format!("{port} is a port of {BOND}"), &bond_file)?;
    }
    show_exec(&["ping", "-c", "2", "-I", BOND, SWITCH])?;
    claim(true, "the switch answers over the bond", "")?;

    say("what Kubernetes knows of it");
    let pod = kubectl::get(NAMESPACE, "pod", POD)?;
    let vfs = check_status(&pod)?;
    let node_name = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();

    let node = NodeShell::open(&node_name)?;
    fail_over(&node, &node_name)?;

    say("the pod is deleted");
    show(&["delete", "pod", "--namespace", NAMESPACE, POD, "--grace-period=1"])?;
    for vf in &vfs {
        let links = ["ls", &format!("/sys/bus/pci/devices/{vf}/net")];
        let home = kubectl::wait_for(&format!("VF {vf} on {node_name}"), READY_LIMIT, || {
            Ok(node.run(&links).ok().filter(|name| !name.trim().is_empty()))
        })?;
        claim(
            home.starts_with("pf"),
            &format!("VF {vf} is on {node_name} again, as {}", home.trim()),
            &home,
        )?;
    }
    two_nodes(&file("cluster/two-nodes.yaml"))?;
    modes(&file("cluster/modes.yaml"))
}

/// Runs a command in the pod, shows it and what it prints, and returns that.
fn show_exec(words: &[&str]) -> Result<String, Error> {
    let mut arguments = vec!["exec", "--namespace", NAMESPACE, POD, "--"];
    arguments.extend(words);
    show(&arguments)
}

/// Checks the addresses of the pod's links.
fn check_links() -> Result<(), Error> {
    for (link, network) in [("eth0", "10.244."), (BOND, "10.56.217.")] {
        let addresses =
            kubectl::exec(NAMESPACE, POD, &["ip", "-o", "-4", "address", "show", "dev", link])?;
        let address = addresses.split_whitespace().skip_while(|word| *word != "inet").nth(1);
        let address = address.unwrap_or("no address");
        claim(address.starts_with(network), &format!("{link} has {address}"), &addresses)?;
    }
    Ok(())
}

/// Checks the status of networks and bonds in the API, and returns the addresses of the VFs.
fn check_status(pod: &Value) -> Result<Vec<String>, Error> {
    let annotation = &pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"];
    let text = annotation.as_str().unwrap_or_default();
    println!("{text}");
    let status: Value = serde_json::from_str(text).unwrap_or_default();
    let names: Vec<_> =
        status.as_array().into_iter().flatten().map(|of| &of["interface"]).collect();
    claim(names == ["eth0", "net1", "net2", BOND], "it has the four interfaces", text)?;
    let bond_ips = status[3]["ips"].to_string();
    claim(bond_ips.contains("10.56.217."), "it has the address of the bond", text)?;
    let vf = |at: usize| status[at]["device-info"]["pci"]["pci-address"].as_str();
    let vfs: Vec<_> = [1, 2].into_iter().filter_map(vf).map(str::to_owned).collect();
    claim(vfs.len() == 2 && vfs[0] != vfs[1], "it has the VF of each port", text)?;
    let text = pod["metadata"]["annotations"]["podbond.dev/bonds"].as_str().unwrap_or_default();
    println!("{text}");
    let bonds: Value = serde_json::from_str(text).unwrap_or_default();
    let ports = bonds[0]["ports"].as_array().map_or(0, Vec::len);
    claim(ports == 2, "podbond.dev/bonds has the bond with both ports", text)?;
    Ok(vfs)
}

/// Returns what the kernel shows of the bond.
fn bond_file() -> Result<String, podbond_lab_cluster::Error> {
    kubectl::exec(NAMESPACE, POD, &["cat", &format!("/proc/net/bonding/{BOND}")])
}

/// Waits until both ports have carrier, and returns what the kernel shows of the bond.
fn wait_for_carrier() -> Result<String, Error> {
    Ok(kubectl::wait_for("carrier on both ports", CARRIER_LIMIT, || {
        let file = bond_file()?;
        // The bond's own line, and one for each port.
        Ok((file.matches("MII Status: up").count() == 3).then_some(file))
    })?)
}

/// Returns the active port in what the kernel shows of a bond.
fn active(bond_file: &str) -> &str {
    let mut lines = bond_file.lines();
    lines.find_map(|line| line.strip_prefix("Currently Active Slave: ")).unwrap_or_default()
}

/// Takes the PF under the active port down, and brings it back.
fn fail_over(node: &NodeShell, node_name: &str) -> Result<(), Error> {
    let before = wait_for_carrier()?;
    let before = active(&before);
    let pf = if before == "net1" { "pf0" } else { "pf1" };
    say(&format!("{before} is active: {pf} of {node_name}, under it, goes down"));
    node.run(&["ip", "link", "set", pf, "down"])?;
    let after = kubectl::wait_for("another active port", CARRIER_LIMIT, || {
        let file = bond_file()?;
        let port = active(&file);
        Ok((port != before && port.starts_with("net")).then(|| port.to_owned()))
    })?;
    claim(true, &format!("{after} has become the active port"), "")?;
    show_exec(&["ping", "-c", "2", "-I", BOND, SWITCH])?;
    claim(true, "the switch answers over it", "")?;
    let event = kubectl::wait_for("the event about it", CARRIER_LIMIT, event_of_fail_over)?;
    claim(event.contains(before), &format!("an event tells it: {event}"), &event)?;
    node.run(&["ip", "link", "set", pf, "up"])?;
    wait_for_carrier()?;
    claim(true, &format!("{pf} is back: both ports have carrier again"), "")
}

/// Returns the text of the event about the bond's fail-over, once it is there.
fn event_of_fail_over() -> Result<Option<String>, podbond_lab_cluster::Error> {
    let of_pod = format!("involvedObject.name={POD},reason=BondFailover");
    let text = ["--field-selector", &of_pod, "--output", "jsonpath={.items[*].message}"];
    let mut arguments = vec!["get", "events", "--namespace", NAMESPACE];
    arguments.extend(text);
    let note = kubectl::run(&arguments)?;
    Ok((!note.is_empty()).then_some(note))
}

/// Two pods on two nodes, whose bonds are called bond0, reach each other over them.
fn two_nodes(file: &str) -> Result<(), Error> {
    say("two pods on two nodes, with bonds called bond0 and addresses that they ask for");
    show(&["apply", "--filename", file])?;
    for pod in ["bondpod2", "bondpod3"] {
        kubectl::wait_until_ready(NAMESPACE, pod, READY_LIMIT)?;
    }
    let node = |pod| -> Result<String, Error> {
        Ok(kubectl::get(NAMESPACE, "pod", pod)?["spec"]["nodeName"].to_string())
    };
    let (one, other) = (node("bondpod2")?, node("bondpod3")?);
    claim(one != other, &format!("they are on {one} and {other}"), &one)?;
    let (pod, at) = ("bondpod2", ["10.56.217.72", "10.56.217.73"]);
    let ping = ["ping", "-c", "3", "-W", "5", "-I", "bond0", at[1]];
    let mut arguments = vec!["exec", "--namespace", NAMESPACE, pod, "--"];
    arguments.extend(ping);
    let said = kubectl::wait_for("an answer over the bonds", CARRIER_LIMIT, || {
        Ok(kubectl::run(&arguments).ok())
    })?;
    claim(said.contains(", 0% packet loss"), &format!("{} answers over bond0", at[1]), &said)?;
    show(&["delete", "--filename", file, "--grace-period=1"]).map(drop)
}

/// A pod of each of the other documented modes.
fn modes(file: &str) -> Result<(), Error> {
    say("the modes balance-rr and balance-xor");
    show(&["apply", "--filename", file])?;
    for mode in ["rr", "xor"] {
        let pod = format!("bondpod-{mode}");
        kubectl::wait_until_ready(NAMESPACE, &pod, READY_LIMIT)?;
        let mode_file = format!("/sys/class/net/{BOND}/bonding/mode");
        let seen = kubectl::exec(NAMESPACE, &pod, &["cat", &mode_file])?;
        let is_mode = seen.starts_with(&format!("balance-{mode} "));
        claim(is_mode, &format!("{pod} has a bond of mode {}", seen.trim()), &seen)?;
        let said = kubectl::wait_for("the switch's answer over it", CARRIER_LIMIT, || {
            let ping = ["ping", "-c", "2", "-W", "5", "-I", BOND, SWITCH];
            Ok(kubectl::exec(NAMESPACE, &pod, &ping).ok())
        })?;
        claim(said.contains("received"), "the switch answers over it", &said)?;
    }
    show(&["delete", "--filename", file, "--grace-period=1"]).map(drop)
}
