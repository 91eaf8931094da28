//! Costs of an ADD at a few sizes of what surrounds it: leases, pods at once, VFs, links.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread::scope;
use std::time::{Duration, Instant};

use podbond_bench::{
    Error, PODBOND, Plugin, Point, ip, ip_batch, median_ms, vf_pci, wait_for_link,
};
use serde_json::json;

use crate::operation::{Operation, Subject, run_in_turn};
use crate::operations::{self, BOND_NETNS, bond_config, bond_pod};

const LEASES: [u32; 3] = [10, 100, 1000];

const PODS: [u32; 3] = [1, 10, 100];

/// VFs of each of three PFs.
const VFS: [[u32; 3]; 2] = [[2, 1, 1], [7, 7, 7]];

const LINKS: [u32; 3] = [10, 100, 1000];

/// The first leased address.
const FIRST_LEASE: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);

/// The pod of the VFs that are not measured.
const OTHERS_NETNS: &str = "bench-others";

/// Measures everything. The links come last, as they stay on the node.
pub(crate) fn all(runs: u32) -> Result<Vec<Point>, Error> {
    let mut points = leases(runs)?;
    points.extend(pods_at_once(runs.div_ceil(3))?);
    points.extend(vfs(runs)?);
    points.extend(links(runs)?);
    Ok(points)
}

/// Measures the ADD of each subject, undone each time.
fn measure(
    operation: &str,
    size: u32,
    subjects: &[Subject],
    runs: u32,
) -> Result<Vec<Point>, Error> {
    eprintln!("measuring: {operation}: {size}");
    let times = run_in_turn(subjects, runs)?;
    let points = subjects.iter().zip(times).map(|(subject, times)| Point {
        operation: operation.to_owned(),
        size,
        subject: subject.name.clone(),
        ms: median_ms(times.iter().map(|run| run.add)),
    });
    Ok(points.collect())
}

/// host-local in a range of 65,533 addresses, and in one with room for one more.
fn leases(runs: u32) -> Result<Vec<Point>, Error> {
    let directory = tempfile::tempdir()?;
    let mut points = Vec::new();
    for (operation, is_full) in
        [("host-local ADD among leases", false), ("host-local ADD in a range nearly full", true)]
    {
        for size in LEASES {
            let network = format!("bench-{}-{size}", if is_full { "full" } else { "wide" });
            write_leases(&network, size)?;
            let mut ipam = json!({
                "type": "host-local", "subnet": "10.60.0.0/16", "rangeStart": FIRST_LEASE,
                // Outside of every range here.
                "gateway": "10.60.255.254",
            });
            if is_full {
                ipam["rangeEnd"] = json!(lease_address(size));
            }
            let config =
                json!({"type": "bond", "cniVersion": "1.0.0", "name": network, "ipam": ipam});
            let plugin = Plugin::podbond("host-local");
            let subject =
                Subject::attachment(&plugin, BOND_NETNS, "net1", &config, directory.path())?;
            points.extend(measure(operation, size, &[subject], runs)?);
        }
    }
    Ok(points)
}

/// Leases the first addresses of a network, in the reference plugin's form.
fn write_leases(network: &str, count: u32) -> Result<(), Error> {
    let directory = Path::new("/var/lib/cni/networks").join(network);
    fs::create_dir_all(&directory).map_err(Error::file("make", &directory))?;
    let leases = (0..count)
        .map(|number| (lease_address(number).to_string(), format!("container{number}\r\nnet1")));
    let last = ("last_reserved_ip.0".to_owned(), lease_address(count - 1).to_string());
    for (name, text) in leases.chain([last]) {
        let path = directory.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

fn lease_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_LEASE.to_bits() + number)
}

/// Bonds with an address of pods that get theirs at once: ms for each. The ports are
/// dummy links, as there are too few VFs.
fn pods_at_once(runs: u32) -> Result<Vec<Point>, Error> {
    let directory = tempfile::tempdir()?;
    let config = bond_config(["net1", "net2"], true);
    let mut pods = Vec::new();
    let mut points = Vec::new();
    for size in PODS {
        while pods.len() < size as usize {
            let netns = format!("bench-at-once-{}", pods.len());
            bond_pod(&netns)?;
            let plugin = Plugin::podbond("bond");
            pods.push(Subject::attachment(&plugin, &netns, "net3", &config, directory.path())?);
        }
        let operation = "bond ADD with IPAM, pods at once";
        eprintln!("measuring: {operation}: {size}");
        let times: Vec<Duration> =
            (0..=runs).map(|_| add_at_once(&pods)).collect::<Result<_, _>>()?;
        points.push(Point {
            operation: operation.to_owned(),
            size,
            subject: PODBOND.to_owned(),
            ms: median_ms(times.iter().skip(1).map(|time| *time / size)),
        });
    }
    Ok(points)
}

/// Returns the time from the first start of the pods' ADDs to the last end. They are undone one by
/// one.
fn add_at_once(pods: &[Subject]) -> Result<Duration, Error> {
    let begun = Instant::now();
    scope(|scope| {
        let adds: Vec<_> = pods.iter().map(|pod| scope.spawn(|| pod.add())).collect();
        adds.into_iter().try_for_each(|add| match add.join() {
            Ok(done) => done.map(drop),
            Err(_) => Err(Error::Failed { what: "ADD".to_owned(), why: "a panic".to_owned() }),
        })
    })?;
    let time = begun.elapsed();
    pods.iter().try_for_each(|pod| pod.del().map(drop))?;
    Ok(time)
}

/// A VF for a pod, with all other VFs of three PFs in another pod.
fn vfs(runs: u32) -> Result<Vec<Point>, Error> {
    ip(&format!("netns add {OTHERS_NETNS}"))?;
    let directory = tempfile::tempdir()?;
    let mut points = Vec::new();
    for counts in VFS {
        let mut others = Vec::new();
        for (pf, count) in ["pf0", "pf1", "pf2"].into_iter().zip(counts) {
            make_vfs(pf, count)?;
            for vf in (0..count).filter(|&vf| (pf, vf) != ("pf0", 0)) {
                let config = json!({
                    "type": "sriov", "cniVersion": "1.0.0", "name": "others",
                    "deviceID": vf_pci(pf, vf)?,
                });
                let ifname = format!("{pf}net{vf}");
                let plugin = Plugin::podbond("sriov");
                others.push(Subject::attachment(
                    &plugin,
                    OTHERS_NETNS,
                    &ifname,
                    &config,
                    directory.path(),
                )?);
            }
        }
        others.iter().try_for_each(|other| other.add().map(drop))?;
        let subjects = operations::sriov(&[], directory.path())?.subjects;
        points.extend(measure("sriov ADD among VFs", counts.iter().sum(), &subjects, runs)?);
        others.iter().try_for_each(|other| other.del().map(drop))?;
    }
    Ok(points)
}

/// Gives a PF so many VFs anew; the link of the first is named as the lab does, `pf0v0`.
fn make_vfs(pf: &str, count: u32) -> Result<(), Error> {
    let device = PathBuf::from(format!("/sys/class/net/{pf}/device"));
    let numvfs = device.join("sriov_numvfs");
    for number in [0, count] {
        fs::write(&numvfs, number.to_string()).map_err(Error::file("write", &numvfs))?;
    }
    let link = wait_for_link(&device.join("virtfn0/net"))?;
    let wanted = format!("{pf}v0");
    if link == wanted { Ok(()) } else { ip(&format!("link set {link} name {wanted}")) }
}

/// A bond in a pod, and a VF that leaves the node, with dummy links on the node.
fn links(runs: u32) -> Result<Vec<Point>, Error> {
    let directory = tempfile::tempdir()?;
    let Operation { subjects: bond, .. } = operations::bond(false, &[], directory.path())?;
    let Operation { subjects: sriov, .. } = operations::sriov(&[], directory.path())?;
    let (mut points, mut made) = (Vec::new(), 0);
    for size in LINKS {
        let mut commands = String::new();
        for number in made..size {
            // Writing to a String cannot fail.
            let _ = writeln!(commands, "link add more{number} type dummy");
        }
        ip_batch("more-links", None, &commands, directory.path())?.run()?;
        made = size;
        points.extend(measure("bond ADD among links", size, &bond, runs)?);
        points.extend(measure("sriov ADD among links", size, &sriov, runs)?);
    }
    Ok(points)
}
