//! More and more leases in a range, and ranges of which one address is left.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use podbond_bench::{Growth, Line};
use serde_json::{Value, json};

use super::{extend, points};
use crate::case::{Method, Subject};
use crate::error::Error;
use crate::plugin::Plugin;

const SIZES: [u32; 3] = [10, 100, 1000];

/// Where host-local keeps its leases.
const NETWORKS: &str = "/var/lib/cni/networks";

/// The first address that is leased.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);

/// host-local in a wide range, and in a range that is nearly full.
pub(super) fn growth(method: Method<'_>) -> Result<Vec<Growth>, Error> {
    let mut all = Vec::new();
    for (name, of, full) in [
        ("host-local ADD among leases", "leases in a range of 65,533", false),
        ("host-local ADD in a range nearly full", "leases in a range with room for one more", true),
    ] {
        let directory = tempfile::tempdir()?;
        let mut lines: Vec<Line> = Vec::new();
        for size in SIZES {
            eprintln!("growing: {name}: {size}");
            let network = format!("bench-{}-{size}", if full { "full" } else { "wide" });
            lease(&network, size)?;
            let subjects = subjects(&network, full.then_some(size), directory.path())?;
            extend(&mut lines, &subjects, points(&subjects, size, method)?);
        }
        all.push(Growth { name: name.to_owned(), of: of.to_owned(), lines });
    }
    Ok(all)
}

fn subjects(network: &str, full: Option<u32>, directory: &Path) -> Result<Vec<Subject>, Error> {
    let mut ipam = json!({"type": "host-local", "subnet": "10.60.0.0/16", "rangeStart": FIRST});
    if let Some(size) = full {
        ipam["rangeEnd"] = Value::from(address(size).to_string());
    }
    // The router's own address, outside of every range here.
    ipam["gateway"] = json!("10.60.255.254");
    let config = json!({"type": "bond", "cniVersion": "1.0.0", "name": network, "ipam": ipam});
    let directory = directory.join(network);
    fs::create_dir(&directory).map_err(Error::file("make", &directory))?;
    let podbond = Plugin::podbond("host-local");
    Ok(vec![podbond.subject("bench-bond", "net1", &config, &directory)?])
}

/// Leases the first so many addresses, as the reference plugin would have.
fn lease(network: &str, count: u32) -> Result<(), Error> {
    let directory = Path::new(NETWORKS).join(network);
    fs::create_dir_all(&directory).map_err(Error::file("make", &directory))?;
    let write = |name: String, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))
    };
    for number in 0..count {
        write(address(number).to_string(), format!("container{number}\r\nnet1"))?;
    }
    write("last_reserved_ip.0".to_owned(), address(count - 1).to_string())
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST.to_bits() + number)
}
