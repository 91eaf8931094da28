//! What the agent puts on the node: the plugins, and the runtime's configuration that calls them.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::sleep;

use crate::error::Error;
use crate::primary::{FILE, conflist, primary};

/// Between two looks at the primary network's file.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Installs the plugins by the executable `podbond` that came with the agent: each file is renamed into place.
pub(crate) async fn plugins(podbond: &Path, bin_dir: &Path) -> Result<(), Error> {
    let failed = |problem: String| Error::Install { program: podbond.to_owned(), problem };
    let output = Command::new(podbond).arg("install").arg(bin_dir).output().await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', "; ");
    if !output.status.success() {
        return Err(failed(format!("{}: {}", output.status, said(&output.stderr))));
    }
    tracing::info!(said = said(&output.stdout), "the plugins are installed");
    Ok(())
}

/// Keeps podbond's file in the runtime's configuration directory as it should be, for as long as the agent runs:
/// it is written once the primary network's is there, and only where it differs. It stays when the agent ends.
pub(crate) async fn keep_configuration(conf_dir: &Path) {
    let mut told = String::new();
    loop {
        let outcome = match write_configuration(conf_dir) {
            Ok(outcome) => outcome,
            Err(error) => error.to_string(),
        };
        if outcome != told {
            tracing::info!(directory = %conf_dir.display(), "{outcome}");
            told = outcome;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn write_configuration(conf_dir: &Path) -> Result<String, Error> {
    let Some(primary) = primary(conf_dir)? else {
        return Ok("waiting for the primary network's configuration".to_owned());
    };
    let (path, text) = (conf_dir.join(FILE), conflist(&primary));
    let is_there = podbond_state::read(&path)?.is_some_and(|bytes| bytes == text.as_bytes());
    if !is_there {
        podbond_state::write_synced(&path, text.as_bytes())?;
    }
    Ok(format!("{FILE} refers to {}", primary.file.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn configuration_is_written_when_the_primarys_is_there_and_only_where_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write_configuration(dir.path()).unwrap().starts_with("waiting"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(dir.path().join("10-net.conf"), r#"{"name": "n", "type": "bridge"}"#).unwrap();
        write_configuration(dir.path()).unwrap();
        let inode = || fs::metadata(dir.path().join(FILE)).unwrap().ino();
        let first = inode();
        write_configuration(dir.path()).unwrap();
        assert_eq!(inode(), first);
        fs::rename(dir.path().join("10-net.conf"), dir.path().join("11-net.conf")).unwrap();
        assert!(write_configuration(dir.path()).unwrap().ends_with("11-net.conf"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
