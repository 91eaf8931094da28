//! More and more VFs on three cards, all others in a pod.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_bench::Growth;
use serde_json::json;

use super::{extend, points};
use crate::case::{Method, Subject};
use crate::error::Error;
use crate::ip::ip;
use crate::plugin::Plugin;
use crate::sriov::{self, pci_of_vf};

/// The pod of all the others.
const NETNS: &str = "bench-others";

/// How many VFs each of the cards has: one more first on the card whose VF is used.
const SIZES: [[u32; 3]; 4] = [[2, 1, 1], [4, 3, 3], [5, 5, 5], [7, 7, 7]];

/// How long a card may take to make its VFs.
const PATIENCE: Duration = Duration::from_mins(1);

/// A VF for a pod.
pub(super) fn growth(method: Method<'_>) -> Result<Vec<Growth>, Error> {
    ip(&format!("netns add {NETNS}"))?;
    let directory = tempfile::tempdir()?;
    let mut lines = Vec::new();
    for counts in SIZES {
        let size = counts.iter().sum();
        eprintln!("growing: {size} VFs");
        for (card, count) in counts.into_iter().enumerate() {
            make(card, count)?;
        }
        let others = others(counts, directory.path())?;
        for other in &others {
            other.add_alone()?;
        }
        let subjects = sriov::case(None, directory.path())?.subjects;
        extend(&mut lines, &subjects, points(&subjects, size, method)?);
        for other in &others {
            other.delete_alone()?;
        }
    }
    let name = "sriov ADD among VFs".to_owned();
    let of = "VFs on three cards, the others in a pod".to_owned();
    Ok(vec![Growth { name, of, lines }])
}

/// The attachments of all VFs but the first card's first.
fn others(counts: [u32; 3], directory: &Path) -> Result<Vec<Subject>, Error> {
    let all = counts.into_iter().enumerate();
    let all = all.flat_map(|(card, count)| (0..count as usize).map(move |vf| (card, vf)));
    all.filter(|&other| other != (0, 0))
        .map(|(card, vf)| {
            let config = json!({
                "type": "sriov", "cniVersion": "1.0.0", "name": "others",
                "deviceID": pci_of_vf(&format!("pf{card}"), vf)?,
            });
            let plugin = Plugin::podbond("sriov");
            plugin.subject(NETNS, &format!("net{card}v{vf}"), &config, directory)
        })
        .collect()
}

/// Gives a card so many VFs; the first of them is named as the lab does.
fn make(card: usize, count: u32) -> Result<(), Error> {
    let device = PathBuf::from(format!("/sys/class/net/pf{card}/device"));
    let numvfs = device.join("sriov_numvfs");
    for number in [0, count] {
        fs::write(&numvfs, number.to_string()).map_err(Error::file("write", &numvfs))?;
    }
    let first = link(&device.join("virtfn0/net"))?;
    let wanted = format!("pf{card}v0");
    if first == wanted { Ok(()) } else { ip(&format!("link set {first} name {wanted}")) }
}

/// The name of the only link in a directory of sysfs, once it is there.
fn link(directory: &Path) -> Result<String, Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = fs::read_dir(directory).ok().and_then(|mut links| links.next());
        match found {
            Some(Ok(link)) => return Ok(link.file_name().to_string_lossy().into_owned()),
            _ if Instant::now() < end => sleep(Duration::from_millis(50)),
            _ => {
                let what = directory.display().to_string();
                return Err(Error::Refused { what, why: "no link has come".to_owned() });
            }
        }
    }
}
