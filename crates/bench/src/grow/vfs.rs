//! More and more VFs on three cards.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_bench::Growth;

use super::{extend, points};
use crate::case::Method;
use crate::error::Error;
use crate::ip::ip;
use crate::sriov;

/// How many VFs each of the cards has: one more first on the card whose VF is used.
const SIZES: [[u32; 3]; 4] = [[2, 1, 1], [4, 3, 3], [5, 5, 5], [7, 7, 7]];

/// How long a card may take to make its VFs.
const PATIENCE: Duration = Duration::from_mins(1);

/// A VF for a pod.
pub(super) fn growth(method: Method<'_>) -> Result<Vec<Growth>, Error> {
    let directory = tempfile::tempdir()?;
    let mut lines = Vec::new();
    for counts in SIZES {
        let size = counts.iter().sum();
        eprintln!("growing: {size} VFs");
        for (card, count) in counts.into_iter().enumerate() {
            make(card, count)?;
        }
        let subjects = sriov::case(None, directory.path())?.subjects;
        extend(&mut lines, &subjects, points(&subjects, size, method)?);
    }
    let (name, of) = ("sriov ADD among VFs".to_owned(), "VFs on three cards".to_owned());
    Ok(vec![Growth { name, of, lines }])
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
