//! What `cargo xtask demo` shows, run inside the lab: the documented pod, from its manifests to its
//! removal. Everything is done with the commands that a person would type, and each claim is
//! checked against what they print; the first that does not hold ends the demo with status 1.

mod error;
mod failover;
mod log;
mod look;
mod node;
mod pings;
mod vfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::error::Error;
use crate::node::{podbond, run, show};
use crate::vfs::Vfs;

/// The documented manifests, where `cargo xtask demo` puts them in the guest.
const EXAMPLES: &str = "/root/examples";

/// The documented pod.
const POD: &str = "bondpod1";

/// The bond's gateway: an address of the switch.
const GATEWAY: &str = "10.56.217.1";

fn main() -> ExitCode {
    match tell() {
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

fn tell() -> Result<(), Error> {
    heading("The manifests");
    let files = manifests(Path::new(EXAMPLES))?;
    for file in &files {
        let text = fs::read_to_string(file)
            .map_err(|source| Error::start("read the manifests", source))?;
        println!("# {}\n{}", file.display(), text.trim_end());
        println!();
    }

    heading("The cards get their VFs");
    for file in files.iter().filter(|file| !is_pod(file)) {
        show(podbond(["apply", "-f"]).arg(file))?;
    }
    let before = Vfs::read()?;
    before.print();

    let pod_file = files.iter().find(|file| is_pod(file)).ok_or(Error::NoPod)?;
    round("The pod gets its bond", pod_file, "net3", &before)?;

    let renamed = PathBuf::from("/tmp/bondpod1-bond0.yaml");
    let text = fs::read_to_string(pod_file).and_then(|text| {
        fs::write(&renamed, text.replace("demo/bond-net1", "demo/bond-net1@bond0"))
    });
    text.map_err(|source| Error::start("write the manifest of the second pod", source))?;
    round("The same with demo/bond-net1@bond0", &renamed, "bond0", &before)?;

    heading("All is taken back");
    show(podbond(["delete", "-f", EXAMPLES]))?;
    let left = run(podbond(["status"]))?;
    claim(left.trim() == "no pods here", "no pod is left", &left)
}

/// One life of the pod: applied, looked at, failed over, deleted.
fn round(title: &str, manifest: &Path, bond: &str, before: &Vfs) -> Result<(), Error> {
    heading(title);
    show(podbond(["apply", "-f"]).arg(manifest))?;
    show(podbond(["exec", "-n", "demo", POD, "--", "ip", "a"]))?;
    check_interfaces(bond)?;
    show(podbond(["status"]))?;
    show(podbond([
        "exec", "-n", "demo", POD, "--", "ping", "-n", "-c", "3", "-i", "0.2", "-I", bond, GATEWAY,
    ]))?;

    heading("A card fails under the active port");
    failover::run(bond)?;
    show(podbond(["status"]))?;

    heading("The pod is deleted");
    show(podbond(["delete", "pod", POD, "-n", "demo"]))?;
    let after = Vfs::read()?;
    after.print();
    claim(
        after == *before,
        "every VF is as it was: name, MAC, MTU, trust, spoofchk, vlan",
        &before.differences(&after),
    )
}

/// What the documentation promises that `ip a` shows in the pod.
fn check_interfaces(bond: &str) -> Result<(), Error> {
    let text = run(podbond(["exec", "-n", "demo", POD, "--", "ip", "-j", "a"]))?;
    let links: Value = serde_json::from_str(&text).map_err(|_| Error::unread("ip -j a", &text))?;
    let link = |name: &str| {
        links.as_array().and_then(|links| links.iter().find(|link| link["ifname"] == name))
    };
    for port in ["net1", "net2"] {
        let is_port = link(port).is_some_and(|link| link["master"] == bond && is_up(link));
        claim(is_port, &format!("{port} is UP with master {bond}"), &text)?;
    }
    let has_address = |link: &Value| {
        let addresses = link["addr_info"].as_array().into_iter().flatten();
        addresses.into_iter().any(|address| {
            let local = address["local"].as_str().unwrap_or_default();
            local.starts_with("10.56.217.") && address["prefixlen"] == 24
        })
    };
    let bonded = link(bond).is_some_and(|link| is_up(link) && has_address(link));
    claim(bonded, &format!("{bond} is UP with 10.56.217.x/24"), &text)?;
    let routes = run(podbond(["exec", "-n", "demo", POD, "--", "ip", "route", "show", "default"]))?;
    let first = routes.lines().next().unwrap_or_default();
    claim(first.contains("dev eth0"), "eth0 of the default network has the default route", &routes)
}

fn is_up(link: &Value) -> bool {
    link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"))
}

fn manifests(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(|source| Error::start("list the manifests", source))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    // Told in the order in which they build on each other.
    let order = ["policies", "networks", "bond-net1", "bondpod1"];
    files.sort_by_key(|file| {
        order.iter().position(|stem| file.file_stem().is_some_and(|name| name == *stem))
    });
    Ok(files)
}

fn is_pod(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "bondpod1")
}

fn heading(text: &str) {
    println!("\n=== {text} ===");
}

/// Says that something holds, or fails with what was seen instead.
fn claim(holds: bool, what: &str, seen: &str) -> Result<(), Error> {
    if holds {
        println!("  [ok] {what}");
        Ok(())
    } else {
        Err(Error::NotSeen { what: what.to_owned(), seen: seen.trim_end().to_owned() })
    }
}
