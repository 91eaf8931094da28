//! What differs from run to run in the guest's file system: init, its settings, the command, the
//! executable under test, and what the user adds.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

use crate::{Error, cpio::Archive, error::FileContext};

/// Directories of the guest that are links to the same name below `/usr`.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Directories of the guest that init mounts something over.
const MOUNTED: [&str; 4] = ["dev", "proc", "run", "sys"];

/// The plugins' names. In the lab they are hard links, as `podbond install --only bond,sriov,host-local`
/// makes them.
const PLUGINS: [&str; 3] = ["bond", "sriov", "host-local"];

/// Files of the guest that the lab brings itself: path, mode, content.
const FILES: [(&str, u32, &str); 11] = [
    ("init", 0o755, include_str!("../guest/init")),
    ("usr/local/sbin/lab-switch", 0o755, include_str!("../guest/lab-switch")),
    ("usr/local/lib/lab-port", 0o644, include_str!("../guest/lab-port")),
    ("etc/cni/net.d/10-default.conf", 0o644, include_str!("../guest/default-network.json")),
    ("etc/modprobe.d/lab.conf", 0o644, include_str!("../guest/modprobe.conf")),
    ("etc/profile", 0o644, include_str!("../guest/profile")),
    ("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\ntcpdump:x:100:100::/:/bin/false\n"),
    ("etc/group", 0o644, "root:x:0:\ntcpdump:x:100:\n"),
    ("etc/hostname", 0o644, "lab\n"),
    ("etc/hosts", 0o644, "127.0.0.1 localhost lab\n::1 localhost\n"),
    ("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files\n"),
];

/// A file or directory of this machine and its place in the guest.
#[derive(Debug, Clone)]
pub(crate) struct Added {
    pub(crate) host: PathBuf,
    pub(crate) guest: PathBuf,
}

/// The part of the guest that is made anew for each run.
pub(crate) struct Guest<'a> {
    /// `name=value` lines for init.
    pub(crate) settings: &'a str,
    /// What to run; none: an interactive shell.
    pub(crate) command: Option<&'a [OsString]>,
    pub(crate) podbond: Option<&'a Path>,
    pub(crate) added: &'a [Added],
    /// The unpacked userland, to know which directories there are.
    pub(crate) userland: &'a Path,
}

impl Guest<'_> {
    pub(crate) fn archive<W: io::Write>(&self, to: W) -> Result<W, Error> {
        let written = || Path::new("the guest's initramfs");
        let mut archive = Archive::new(to);
        for (path, mode, content) in FILES {
            self.parents(&mut archive, Path::new(path)).file("write", written())?;
            archive.file(path, mode, content.as_bytes()).file("write", written())?;
        }
        self.parents(&mut archive, Path::new("lab/x")).file("write", written())?;
        let settings = self.settings.as_bytes();
        archive.file("lab/settings", 0o644, settings).file("write", written())?;
        if let Some(argv) = self.command {
            let script = script(argv);
            archive.file("lab/command", 0o755, &script).file("write", written())?;
        }
        if let Some(podbond) = self.podbond {
            let content = fs::read(podbond).file("read", podbond)?;
            let plugins = PLUGINS.map(|name| format!("opt/cni/bin/{name}"));
            let mut names: Vec<_> = plugins.iter().map(String::as_str).collect();
            names.push("usr/local/bin/podbond");
            for name in ["opt/cni/bin/x", "usr/local/bin/x"] {
                self.parents(&mut archive, Path::new(name)).file("write", written())?;
            }
            archive.hard_links(&names, 0o755, &content).file("write", written())?;
        }
        for added in self.added {
            self.add(&mut archive, added)?;
        }
        archive.finish().file("write", written())
    }

    fn add<W: io::Write>(&self, archive: &mut Archive<W>, added: &Added) -> Result<(), Error> {
        let place = place(&added.guest)?;
        self.parents(archive, &place).file("add", &added.host)?;
        self.add_at(archive, &added.host, &place).file("add", &added.host)
    }

    fn add_at<W: io::Write>(
        &self,
        archive: &mut Archive<W>,
        host: &Path,
        place: &Path,
    ) -> io::Result<()> {
        let metadata = fs::metadata(host)?;
        let name = place.to_string_lossy();
        if !metadata.is_dir() {
            return archive.file(&name, metadata.mode() & 0o7777, &fs::read(host)?);
        }
        if !self.userland.join(place).is_dir() {
            archive.directory(&name, metadata.mode() & 0o7777)?;
        }
        for entry in fs::read_dir(host)? {
            let entry = entry?;
            self.add_at(archive, &entry.path(), &place.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Makes the directories above `place` that the userland does not have. Those that it has are
    /// left alone: the kernel would replace a link to a directory by a directory.
    fn parents<W: io::Write>(&self, archive: &mut Archive<W>, place: &Path) -> io::Result<()> {
        let mut parents: Vec<_> = place.ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents {
            if !self.userland.join(parent).is_dir() {
                archive.directory(&parent.to_string_lossy(), 0o755)?;
            }
        }
        Ok(())
    }
}

/// The name in the archive of a path in the guest.
pub(crate) fn place(guest: &Path) -> Result<PathBuf, Error> {
    let refused = || {
        Error::Other(format!(
            "`{}` is no place for a file in the lab: give an absolute path without `..`, below \
             no directory that is mounted at boot",
            guest.display()
        ))
    };
    let relative = guest.strip_prefix("/").map_err(|_| refused())?;
    let mut parts = relative.components();
    let is_mounted = MOUNTED.iter().any(|name| relative.starts_with(name));
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    if relative.as_os_str().is_empty() || !is_plain || is_mounted {
        return Err(refused());
    }
    let merged = MERGED.iter().any(|name| relative.starts_with(name));
    Ok(if merged { Path::new("usr").join(relative) } else { relative.to_owned() })
}

/// A shell script that becomes the command, whatever bytes its arguments hold.
fn script(argv: &[OsString]) -> Vec<u8> {
    let mut script = b"#!/bin/sh\nexec".to_vec();
    for word in argv {
        script.push(b' ');
        quote(word, &mut script);
    }
    script.push(b'\n');
    script
}

/// `it's` becomes `'it'\''s'`.
fn quote(word: &OsStr, to: &mut Vec<u8>) {
    to.push(b'\'');
    for &byte in word.as_bytes() {
        if byte == b'\'' {
            to.extend(b"'\\''");
        } else {
            to.push(byte);
        }
    }
    to.push(b'\'');
}

/// The `name=value` lines that init reads; values are plain words.
pub(crate) fn settings(values: &[(&str, &dyn std::fmt::Display)]) -> String {
    values.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}={value}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn arguments_are_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("command");
        let argv = ["printf", "<%s>", "two words", "it's", "$HOME `x` \"y\" \\", "line\nbreak", ""];
        fs::write(&path, script(&argv.map(OsString::from))).unwrap();
        let output = Command::new("sh").arg(&path).output().unwrap();
        let wanted = "<two words><it's><$HOME `x` \"y\" \\><line\nbreak><>";
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    }

    #[test]
    fn guest_path_is_absolute_and_follows_merged_usr() {
        assert_eq!(place(Path::new("/bin/x")).unwrap(), Path::new("usr/bin/x"));
        assert_eq!(place(Path::new("/opt/x")).unwrap(), Path::new("opt/x"));
        assert_eq!(place(Path::new("/library")).unwrap(), Path::new("library"));
        assert_eq!(place(Path::new("/tmp/x")).unwrap(), Path::new("tmp/x"));
        for bad in ["x", "/", "/a/../b", "", "/run/x", "/proc"] {
            assert!(place(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn existing_directories_are_not_made_again() {
        let userland = tempfile::tempdir().unwrap();
        fs::create_dir_all(userland.path().join("usr/local")).unwrap();
        let guest = Guest {
            settings: "",
            command: None,
            podbond: None,
            added: &[],
            userland: userland.path(),
        };
        let mut archive = Archive::new(Vec::new());
        guest.parents(&mut archive, Path::new("usr/local/bin/x")).unwrap();
        let bytes = String::from_utf8(archive.finish().unwrap()).unwrap();
        assert!(bytes.contains("usr/local/bin\0") && !bytes.contains("usr/local\0"), "{bytes}");
    }
}
