//! `podbond install`: installs this executable as the node's CNI plugins.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::output::say;
use crate::plugins::Plugins;

/// Copies this executable into `dir` and links it there under each plugin's name.
///
/// The copy is renamed into place, so that a plugin that runs just now keeps its file and one that
/// starts finds a whole one. All names are one file: plugins then call each other in one process.
pub(crate) fn install(dir: &Path) -> Result<(), Error> {
    let own = Path::new("/proc/self/exe");
    fs::create_dir_all(dir).map_err(failed("create", dir))?;
    let target = dir.join("podbond");
    let copy = dir.join(format!(".podbond.{}", std::process::id()));
    fs::copy(own, &copy)
        .map_err(failed("write", &copy))
        .and_then(|_| fs::rename(&copy, &target).map_err(failed("write", &target)))
        // Half a copy shall not stay.
        .inspect_err(|_| drop(fs::remove_file(&copy)))?;
    for plugin in Plugins::default().table() {
        let path = dir.join(plugin.name());
        // A link cannot replace a file: make it beside, then rename it over.
        let link = dir.join(format!(".{}.{}", plugin.name(), std::process::id()));
        fs::hard_link(&target, &link).map_err(failed("link", &link))?;
        let renamed = fs::rename(&link, &path).map_err(failed("link", &path));
        // Renaming a link over another of the same file leaves both: that is rename(2).
        let _ = fs::remove_file(&link);
        renamed?;
        say(path.display());
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn every_plugin_is_one_file_also_when_installed_twice() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            install(dir.path()).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["bond", "host-local", "podbond", "sriov"]);
        let inode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().ino();
        assert!(names.iter().all(|name| inode(name) == inode("podbond")));
    }

    #[test]
    fn copy_that_cannot_be_renamed_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("podbond/in-the-way")).unwrap();
        let message = install(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with("cannot write "), "{message}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
