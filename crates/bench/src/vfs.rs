//! VFs of the lab's PFs, as sysfs shows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How long a VF may take to get its link.
const LINK_TIMEOUT: Duration = Duration::from_mins(1);

/// Returns the PCI address of a PF's VF.
pub fn vf_pci(pf: &str, vf: u32) -> Result<String, Error> {
    let link = PathBuf::from(format!("/sys/class/net/{pf}/device/virtfn{vf}"));
    let target = fs::read_link(&link).map_err(Error::file("read", &link))?;
    Ok(target.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// Waits for a VF's link and returns its name, from the `net` directory of its device.
pub fn wait_for_link(directory: &Path) -> Result<String, Error> {
    let end = Instant::now() + LINK_TIMEOUT;
    loop {
        match fs::read_dir(directory).ok().and_then(|mut links| links.next()) {
            Some(Ok(link)) => return Ok(link.file_name().to_string_lossy().into_owned()),
            _ if Instant::now() < end => sleep(Duration::from_millis(50)),
            _ => {
                let what = format!("waiting for a link in {}", directory.display());
                return Err(Error::Failed { what, why: "there is none".to_owned() });
            }
        }
    }
}
