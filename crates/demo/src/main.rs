//! The demo of `cargo xtask demo`, run inside the lab: the documented pod, from its manifests to its
//! removal.
//!
//! Everything is done with the commands that a person would type, and each claim is checked against
//! what they print; the first that does not hold ends the demo with status 1.

mod commands;
mod error;
mod failover;
mod pings;
mod vfs;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::commands::{in_pod, podbond, run, run_json, show};
use crate::error::Error;

/// Where `cargo xtask demo` puts the documented manifests in the guest.
const EXAMPLES: &str = "/root/examples";

/// The manifests that the pod needs, in the order in which they build on each other.
const MANIFESTS: [&str; 3] = ["policies.yaml", "networks.yaml", "bond-net1.yaml"];

/// The documented pod.
const POD: &str = "bondpod1";

/// The bond's gateway: an address of the switch.
const GATEWAY: &str = "10.56.217.1";

fn main() -> ExitCode {
    match demo() {
        Ok(()) => {
            println!("\nAll of this was seen to be true.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nThe demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), Error> {
    heading("The manifests");
    let manifest = |name: &str| Path::new(EXAMPLES).join(name);
    let pod_manifest = manifest("bondpod1.yaml");
    let manifests = MANIFESTS.map(manifest);
    for file in manifests.iter().chain([&pod_manifest]) {
        let text = fs::read_to_string(file).map_err(Error::io("read a manifest"))?;
        println!("# {}\n{}\n", file.display(), text.trim_end());
    }

    heading("The cards get their VFs");
    for file in &manifests {
        show(podbond(["apply", "-f"]).arg(file))?;
    }
    let before = vfs::read()?;
    print_all(&before);
    live_and_die("The pod gets its bond", &pod_manifest, "net3", &before)?;

    let renamed = Path::new("/tmp/bondpod1-bond0.yaml");
    let text = fs::read_to_string(&pod_manifest).map_err(Error::io("read a manifest"))?;
    fs::write(renamed, text.replace("demo/bond-net1", "demo/bond-net1@bond0"))
        .map_err(Error::io("write the manifest of the second pod"))?;
    live_and_die("The same with demo/bond-net1@bond0", renamed, "bond0", &before)?;

    heading("Everything is deleted");
    show(podbond(["delete", "-f", EXAMPLES]))?;
    let status = run(podbond(["status"]))?;
    claim(status.trim() == "no pods here", "no pod is left", &status)
}

/// Applies the pod, looks at it, lets a card fail, and deletes it.
fn live_and_die(
    title: &str,
    manifest: &Path,
    bond: &str,
    before: &BTreeSet<String>,
) -> Result<(), Error> {
    heading(title);
    show(podbond(["apply", "-f"]).arg(manifest))?;
    show(in_pod(["ip", "a"]))?;
    check_interfaces(bond)?;
    show(podbond(["status"]))?;
    show(in_pod(["ping", "-n", "-c", "3", "-i", "0.2", "-I", bond, GATEWAY]))?;

    heading("A card fails under the active port");
    failover::show_failover(bond)?;
    show(podbond(["status"]))?;

    heading("The pod is deleted");
    show(podbond(["delete", "pod", POD, "-n", "demo"]))?;
    let after = vfs::read()?;
    print_all(&after);
    let what = "every VF is as it was: name, MAC, MTU, trust, spoofchk, vlan";
    claim(after == *before, what, &vfs::differences(before, &after))
}

/// Checks what the documentation promises that `ip a` shows in the pod.
fn check_interfaces(bond: &str) -> Result<(), Error> {
    let links = run_json(in_pod(["ip", "-j", "a"]))?;
    let seen = links.to_string();
    for port in ["net1", "net2"] {
        let link = find_link(&links, port);
        let is_port = link.is_some_and(|link| is_up(link) && link["master"] == bond);
        claim(is_port, &format!("{port} is UP with master {bond}"), &seen)?;
    }
    let bonded = find_link(&links, bond).is_some_and(|link| is_up(link) && has_address(link));
    claim(bonded, &format!("{bond} is UP with 10.56.217.x/24"), &seen)?;
    let routes = run(in_pod(["ip", "route", "show", "default"]))?;
    let first = routes.lines().next().unwrap_or_default();
    let what = format!("{bond} has the default route, before that of eth0");
    claim(first.contains(&format!("dev {bond}")), &what, &routes)
}

fn find_link<'l>(links: &'l Value, name: &str) -> Option<&'l Value> {
    links.as_array()?.iter().find(|link| link["ifname"] == name)
}

fn is_up(link: &Value) -> bool {
    link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"))
}

fn has_address(link: &Value) -> bool {
    let mut addresses = link["addr_info"].as_array().into_iter().flatten();
    addresses.any(|address| {
        let local = address["local"].as_str().unwrap_or_default();
        local.starts_with("10.56.217.") && address["prefixlen"] == 24
    })
}

fn heading(text: &str) {
    println!("\n=== {text} ===");
}

fn print_all(lines: &BTreeSet<String>) {
    for line in lines {
        println!("  {line}");
    }
}

/// Prints a claim that holds; one that does not is an error, with what was seen instead.
fn claim(holds: bool, claim: &str, seen: &str) -> Result<(), Error> {
    if holds {
        println!("  [ok] {claim}");
        Ok(())
    } else {
        Err(Error::NotTrue { claim: claim.to_owned(), seen: seen.trim_end().to_owned() })
    }
}
