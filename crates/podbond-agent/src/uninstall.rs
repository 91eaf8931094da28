//! `podbond-agent uninstall`: the node as it was before the agent came, once no pod of it needs podbond.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use podbond_agent_socket::{READY_SINCE_BOOT, SOCKET};
use podbond_names::OneLine;
use podbond_record::Records;

use crate::error::Error;
use crate::install::remove_plugins;
use crate::primary::{FILE, files_that_name_podbond};
use crate::run::NodeArgs;

/// Pods that an error names; the others are counted.
const NAMED: usize = 10;

/// Removes the runtime's configuration, the plugins and what was made beside them. The primary network's
/// configuration is what the runtime reads next.
///
/// # Errors
/// [`Error::InUse`] while there are records; nothing is changed then.
pub(crate) async fn uninstall(node: &NodeArgs) -> Result<(), Error> {
    let records = Records::default();
    expect_no_pods(&records)?;
    let path = node.cni_conf_dir.join(FILE);
    let text = podbond_state::read(&path)?;
    podbond_state::remove(&path)?;
    // A pod may have been attached between the look and the removal; none can be any more.
    if let (Err(error), Some(text)) = (expect_no_pods(&records), text) {
        podbond_state::write_synced(&path, &text)?;
        return Err(error);
    }
    remove_plugins(&node.podbond, &node.cni_bin_dir).await?;
    for file in [SOCKET, READY_SINCE_BOOT] {
        podbond_state::remove(Path::new(file))?;
    }
    for dir in ["/run/podbond", podbond_state::DIR] {
        remove_empty(Path::new(dir))?;
    }
    for file in files_that_name_podbond(&node.cni_conf_dir)? {
        tracing::warn!(
            file = %OneLine(file.display()),
            "a meta-plugin took podbond for the primary network, and calls it in vain: start that anew"
        );
    }
    tracing::info!("podbond is removed from the node");
    Ok(())
}

fn expect_no_pods(records: &Records) -> Result<(), Error> {
    let (records, _) = records.all()?;
    let name = |record: &podbond_record::Record| match &record.pod {
        Some(pod) => pod.key().to_string(),
        None => record.to_string(),
    };
    let pods: BTreeSet<String> = records.iter().map(name).collect();
    if pods.is_empty() {
        return Ok(());
    }
    let more = pods.len().saturating_sub(NAMED);
    let mut named: Vec<String> = pods.into_iter().take(NAMED).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    Err(Error::InUse { pods: named.join(", ") })
}

/// Removes the folders below one that are empty, and itself if that is: what is in them is somebody's.
fn remove_empty(dir: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("read", dir)(error)),
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        // It is a mount of the agent's container.
        Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(()),
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed.map_err(Error::file("remove", dir)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_folders_are_removed_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let podbond = dir.path().join("podbond");
        fs::create_dir_all(podbond.join("attachments")).unwrap();
        fs::create_dir_all(podbond.join("policies")).unwrap();
        fs::write(podbond.join("policies/a"), "").unwrap();
        remove_empty(&podbond).unwrap();
        assert!(!podbond.join("attachments").exists() && podbond.join("policies/a").exists());
        fs::remove_file(podbond.join("policies/a")).unwrap();
        remove_empty(&podbond).unwrap();
        assert!(!podbond.exists());
        remove_empty(&podbond).unwrap();
    }
}
