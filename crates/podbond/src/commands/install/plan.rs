//! What `podbond install` and `podbond uninstall` change in a directory of CNI plugins. Pure.

use std::path::{Path, PathBuf};

use crate::arguments::PluginName;

/// The executable's own name, by which it is the meta-plugin and the command for people.
pub(super) const EXECUTABLE: &str = "podbond";

/// The directory of what is kept and of what is not finished, below that of the plugins: a
/// configuration's `type` holds no `/`, so that nothing in it can be called as a plugin.
pub(super) const OWN_DIR: &str = ".podbond";

/// A file that is not finished.
const UNFINISHED: &str = ".podbond/new";

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// This executable, as it is to be.
    Current,
    /// Another version of podbond, or this one in another form.
    Earlier,
    /// Something that podbond did not install.
    Other,
}

/// What is kept of an earlier `install`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    /// The file itself that is at the plugin's path, as a killed `install` leaves it.
    SameFile,
    Another,
}

/// What a directory of plugins holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) executable: Found,
    pub(super) plugins: Vec<(PluginName, Found, Kept)>,
}

/// Which plugins a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// Those that it is about when the person names none.
    Default,
    Only(&'a [PluginName]),
}

/// A change of the directory; the paths are below it. What is at `to` is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Copies this executable.
    Copy {
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove(PathBuf),
}

/// What has become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Installed,
    InstalledKeepingOther,
    Unchanged,
    Removed,
    PutBack,
    NotInstalled,
    LeftOther,
    /// As before, and what podbond had replaced is still kept.
    LeftOtherAndKept,
    /// The executable stays, as plugins are links to it.
    StillUsed,
}

/// The changes, and what has become of each file when they are made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) outcomes: Vec<(&'static str, Outcome)>,
}

/// Returns the way to have this executable under the wanted names. Each file is whole at any time, and
/// nothing is replaced before it is kept.
pub(super) fn install(observed: &Observed, wanted: Wanted<'_>) -> Plan {
    let mut plan = Plan::default();
    if observed.executable == Found::Current {
        plan.outcomes.push((EXECUTABLE, Outcome::Unchanged));
    } else {
        plan.changes.push(Change::Copy { to: UNFINISHED.into() });
        plan.changes.push(Change::Rename { from: UNFINISHED.into(), to: EXECUTABLE.into() });
        plan.outcomes.push((EXECUTABLE, Outcome::Installed));
    }
    for &(plugin, found, kept) in &observed.plugins {
        let is_wanted = match wanted {
            Wanted::Only(only) => only.contains(&plugin),
            Wanted::Default if plugin == PluginName::HostLocal => is_podbond(found),
            Wanted::Default => true,
        };
        let outcome = match (is_wanted, found) {
            (false, Found::Nothing) => Outcome::NotInstalled,
            (false, Found::Other) => Outcome::LeftOther,
            (false, _) | (true, Found::Current) => Outcome::Unchanged,
            (true, Found::Nothing | Found::Earlier) => Outcome::Installed,
            (true, Found::Other) => {
                if kept != Kept::SameFile {
                    plan.link(plugin.file().into(), kept_path(plugin));
                }
                Outcome::InstalledKeepingOther
            }
        };
        if matches!(outcome, Outcome::Installed | Outcome::InstalledKeepingOther) {
            plan.link(EXECUTABLE.into(), plugin.file().into());
        }
        plan.outcomes.push((plugin.file(), outcome));
    }
    plan
}

/// Returns the way to have what was there before `install`.
pub(super) fn uninstall(observed: &Observed, wanted: Wanted<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut is_used = false;
    for &(plugin, found, kept) in &observed.plugins {
        if let Wanted::Only(only) = wanted
            && !only.contains(&plugin)
        {
            is_used |= is_podbond(found);
            continue;
        }
        let path = PathBuf::from(plugin.file());
        let outcome = match (found, kept) {
            (Found::Nothing, Kept::Nothing) => Outcome::NotInstalled,
            (Found::Other, Kept::Nothing) => Outcome::LeftOther,
            (Found::Other, Kept::Another) => Outcome::LeftOtherAndKept,
            (_, Kept::SameFile) => {
                plan.changes.push(Change::Remove(kept_path(plugin)));
                Outcome::LeftOther
            }
            (_, Kept::Another) => {
                plan.changes.push(Change::Rename { from: kept_path(plugin), to: path });
                Outcome::PutBack
            }
            (Found::Current | Found::Earlier, Kept::Nothing) => {
                plan.changes.push(Change::Remove(path));
                Outcome::Removed
            }
        };
        plan.outcomes.push((plugin.file(), outcome));
    }
    let outcome = match observed.executable {
        Found::Nothing => Outcome::NotInstalled,
        _ if is_used => Outcome::StillUsed,
        Found::Other => Outcome::LeftOther,
        Found::Current | Found::Earlier => {
            plan.changes.push(Change::Remove(EXECUTABLE.into()));
            Outcome::Removed
        }
    };
    // What an `install` that was killed has left.
    plan.changes.push(Change::Remove(UNFINISHED.into()));
    plan.outcomes.push((EXECUTABLE, outcome));
    plan
}

const fn is_podbond(found: Found) -> bool {
    matches!(found, Found::Current | Found::Earlier)
}

/// Returns where what a plugin replaces is kept.
pub(super) fn kept_path(plugin: PluginName) -> PathBuf {
    Path::new(OWN_DIR).join(plugin.file())
}

impl Plan {
    /// Adds the changes that link a file under another name, whatever is there. link(2) replaces nothing:
    /// the link is made beside, then renamed.
    fn link(&mut self, from: PathBuf, to: PathBuf) {
        self.changes.push(Change::Link { from, to: UNFINISHED.into() });
        self.changes.push(Change::Rename { from: UNFINISHED.into(), to });
    }

    /// Returns what is printed: a line for each file.
    pub(super) fn lines(&self, dir: &Path) -> Vec<String> {
        let line = |(file, outcome): &(&str, Outcome)| {
            let kept = dir.join(OWN_DIR).join(file);
            let kept = kept.display();
            let words = match outcome {
                Outcome::Installed => "installed".to_owned(),
                Outcome::InstalledKeepingOther => {
                    format!("installed; what was there is kept as {kept}")
                }
                Outcome::Unchanged => "unchanged".to_owned(),
                Outcome::Removed => "removed".to_owned(),
                Outcome::PutBack => "put back as it was before podbond".to_owned(),
                Outcome::NotInstalled => "not installed".to_owned(),
                Outcome::LeftOther => "left as it is: not podbond's".to_owned(),
                Outcome::LeftOtherAndKept => format!(
                    "left as it is: not podbond's; what podbond had replaced is still {kept}: \
                     remove it, or move it into place"
                ),
                Outcome::StillUsed => "stays: it is other plugins too".to_owned(),
            };
            format!("{}: {words}", dir.join(file).display())
        };
        self.outcomes.iter().map(line).collect()
    }
}
