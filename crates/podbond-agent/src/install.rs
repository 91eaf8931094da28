//! What the agent puts on the node: the plugins, and the runtime's configuration that calls them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cluster::{About, Cluster, Event, EventType};
use podbond_names::OneLine;
use tokio::process::Command;
use tokio::time::sleep;

use crate::error::Error;
use crate::primary::{FILE, conflist, file_before, primary, rules};

/// Between two looks at the runtime's configuration directory.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Installs the plugins by the executable `podbond` that came with the agent: each file is renamed into place.
pub(crate) async fn plugins(podbond: &Path, bin_dir: &Path) -> Result<(), Error> {
    run(podbond, "install", bin_dir).await
}

/// Removes the plugins, and puts back what they have replaced.
pub(crate) async fn remove_plugins(podbond: &Path, bin_dir: &Path) -> Result<(), Error> {
    run(podbond, "uninstall", bin_dir).await
}

async fn run(podbond: &Path, command: &'static str, bin_dir: &Path) -> Result<(), Error> {
    let failed = |problem: String| Error::Podbond { program: podbond.to_owned(), command, problem };
    let output = Command::new(podbond).arg(command).arg(bin_dir).output().await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    let said = |bytes: &[u8]| OneLine(String::from_utf8_lossy(bytes).trim()).to_string();
    if !output.status.success() {
        return Err(failed(format!("{}: {}", output.status, said(&output.stderr))));
    }
    tracing::info!(said = said(&output.stdout), "podbond {command}");
    Ok(())
}

/// Keeps podbond's file in the runtime's configuration directory as it should be, for as long as the agent runs:
/// it is written once the primary network's is there, and only where it differs. It stays when the agent ends.
/// What keeps the runtime from asking podbond is told by an event about the node.
pub(crate) async fn keep_configuration(
    conf_dir: &Path,
    named_rules: Option<&Path>,
    cluster: &Cluster,
) {
    let (mut last, mut was_there) = (None, false);
    loop {
        let outcome = match write_configuration(conf_dir, named_rules, was_there) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        was_there |= matches!(outcome, Outcome::Refers { .. });
        if last.as_ref() != Some(&outcome) {
            let note = outcome.to_string();
            if outcome.is_as_it_should_be() {
                tracing::info!(directory = %conf_dir.display(), "{note}");
            } else {
                tracing::warn!(directory = %conf_dir.display(), "{note}");
                let (about, kind) = (About::Node, EventType::Warning);
                let reason = "PodbondConfiguration";
                cluster.send(&Event { about, kind, reason, note }).await;
            }
            last = Some(outcome);
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// What the runtime's configuration directory is like.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
enum Outcome {
    /// No other file is there: the primary network is not installed yet, or another program has taken it away.
    #[error("waiting for the primary network's configuration")]
    Waiting,
    #[error(
        "the primary network's configuration is gone, which {FILE} refers to: see to it that the primary \
         network's pod on this node is ready"
    )]
    PrimaryGone,
    #[error("{FILE} refers to {}", OneLine(primary.display()))]
    Refers { primary: PathBuf },
    #[error(
        "{FILE} was removed or renamed by another program, and is written again: where that is the primary \
         network's (Cilium: set cni.exclusive to false), forbid it, or pods get no other networks meanwhile"
    )]
    Taken,
    #[error(
        "{} sorts before {FILE}, so that the runtime does not ask podbond and pods get no other networks: \
         rename it to one that sorts after",
        OneLine(file.display())
    )]
    After { file: PathBuf },
    #[error("{0}")]
    Failed(String),
}

impl Outcome {
    fn is_as_it_should_be(&self) -> bool {
        matches!(self, Self::Waiting | Self::Refers { .. })
    }
}

fn write_configuration(
    conf_dir: &Path,
    named_rules: Option<&Path>,
    was_there: bool,
) -> Result<Outcome, Error> {
    let path = conf_dir.join(FILE);
    let present = podbond_state::read(&path)?;
    let Some(primary) = primary(conf_dir)? else {
        return Ok(if present.is_some() { Outcome::PrimaryGone } else { Outcome::Waiting });
    };
    let text = conflist(&primary, &rules(conf_dir, named_rules)?);
    let is_same = present.as_ref().is_some_and(|bytes| *bytes == text.as_bytes());
    if !is_same {
        podbond_state::write_synced(&path, text.as_bytes())?;
    }
    if let Some(file) = file_before(conf_dir)? {
        return Ok(Outcome::After { file });
    }
    if present.is_none() && was_there {
        return Ok(Outcome::Taken);
    }
    Ok(Outcome::Refers { primary: primary.file })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn write(dir: &Path, name: &str) {
        fs::write(dir.join(name), r#"{"name": "n", "type": "bridge"}"#).unwrap();
    }

    #[test]
    fn configuration_is_written_when_the_primarys_is_there_and_only_where_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(write_configuration(dir, None, false).unwrap(), Outcome::Waiting);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
        write(dir, "10-net.conf");
        let refers = |name: &str| Outcome::Refers { primary: dir.join(name) };
        assert_eq!(write_configuration(dir, None, false).unwrap(), refers("10-net.conf"));
        let inode = || fs::metadata(dir.join(FILE)).unwrap().ino();
        let first = inode();
        assert_eq!(write_configuration(dir, None, true).unwrap(), refers("10-net.conf"));
        assert_eq!(inode(), first);
        fs::rename(dir.join("10-net.conf"), dir.join("11-net.conf")).unwrap();
        assert_eq!(write_configuration(dir, None, true).unwrap(), refers("11-net.conf"));
        assert_eq!(fs::read_dir(dir).unwrap().count(), 2);
    }

    #[test]
    fn what_keeps_the_runtime_from_asking_podbond_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, "10-net.conf");
        write_configuration(dir, None, false).unwrap();
        fs::rename(dir.join(FILE), dir.join("00-00-podbond.conflist.bak")).unwrap();
        assert_eq!(write_configuration(dir, None, true).unwrap(), Outcome::Taken);
        assert!(dir.join(FILE).exists());
        fs::rename(dir.join("10-net.conf"), dir.join("10-net.conf.bak")).unwrap();
        assert_eq!(write_configuration(dir, None, true).unwrap(), Outcome::PrimaryGone);
        write(dir, "00-00-a.conf");
        let after = Outcome::After { file: dir.join("00-00-a.conf") };
        assert_eq!(write_configuration(dir, None, true).unwrap(), after);
    }
}
