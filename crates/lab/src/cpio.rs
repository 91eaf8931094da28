//! Writes the kernel's initramfs format: cpio archives of the "newc" kind, one after another
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{
    fs,
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// One archive being written. Everything in it belongs to root.
pub(crate) struct Archive<W> {
    to: W,
    inode: u32,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, inode: 0 }
    }

    /// A directory. Its parent must exist; where it exists already, it gets this mode.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.inode += 1;
        self.entry(path.as_bytes(), DIRECTORY | mode, 2, b"")
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.hard_links(&[path], mode, content)
    }

    /// One file under several names. The first carries the content.
    pub(crate) fn hard_links(
        &mut self,
        paths: &[&str],
        mode: u32,
        content: &[u8],
    ) -> io::Result<()> {
        self.inode += 1;
        let links = u32::try_from(paths.len()).map_err(io::Error::other)?;
        for (i, path) in paths.iter().enumerate() {
            self.entry(path.as_bytes(), FILE | mode, links, if i == 0 { content } else { b"" })?;
        }
        Ok(())
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.inode += 1;
        self.entry(path.as_bytes(), SYMLINK | 0o777, 1, target.as_bytes())
    }

    /// Everything below `dir`, named relative to it, but for what `keep` refuses.
    pub(crate) fn tree(&mut self, dir: &Path, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        self.subtree(dir, dir, keep)
    }

    fn subtree(&mut self, root: &Path, dir: &Path, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = path.strip_prefix(root).map_err(io::Error::other)?;
            if !keep(name) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path)?;
            let kind = metadata.file_type();
            let mode = metadata.mode();
            let name = name.as_os_str().as_bytes();
            self.inode += 1;
            if kind.is_dir() {
                self.entry(name, mode, 2, b"")?;
                self.subtree(root, &path, keep)?;
            } else if kind.is_symlink() {
                self.entry(name, mode, 1, fs::read_link(&path)?.as_os_str().as_bytes())?;
            } else if kind.is_file() {
                self.entry(name, mode, 1, &fs::read(&path)?)?;
            }
        }
        Ok(())
    }

    /// Ends the archive; another one may follow.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.entry(b"TRAILER!!!", 0, 1, b"")?;
        Ok(self.to)
    }

    fn entry(&mut self, name: &[u8], mode: u32, links: u32, content: &[u8]) -> io::Result<()> {
        let inode = self.inode;
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_size = name.len() + 1;
        // Magic, then: inode, mode, uid, gid, links, mtime, size, 4 device numbers, name, checksum.
        write!(
            self.to,
            "070701{inode:08X}{mode:08X}{0:08X}{0:08X}{links:08X}{0:08X}{size:08X}",
            0
        )?;
        write!(self.to, "{0:08X}{0:08X}{0:08X}{0:08X}{name_size:08X}{0:08X}", 0)?;
        self.to.write_all(name)?;
        // Name with its NUL and content are each padded to four bytes; the header is 110 long.
        self.to.write_all(&[0; 4][..=padding(110 + name_size)])?;
        self.to.write_all(content)?;
        self.to.write_all(&[0; 4][..padding(content.len())])
    }
}

fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// The fields that a test looks at, read back by the format's own rules.
    fn parse(mut bytes: &[u8]) -> Vec<(String, u32, u32, Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |i: usize| {
                let at = 6 + 8 * i;
                u32::from_str_radix(std::str::from_utf8(&bytes[at..at + 8]).unwrap(), 16).unwrap()
            };
            let (name_size, size) = (field(11) as usize, field(6) as usize);
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).unwrap();
            let body = (110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(bytes.len(), body);
                return found;
            }
            found.push((name, field(0), field(1), bytes[body..body + size].to_vec()));
            bytes = &bytes[(body + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("etc", 0o755).unwrap();
        archive.file("etc/hostname", 0o644, b"lab\n").unwrap();
        archive.hard_links(&["a", "bcd"], 0o755, b"12345").unwrap();
        archive.symlink("bin", "usr/bin").unwrap();
        let entries = parse(&archive.finish().unwrap());
        let names: Vec<_> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["etc", "etc/hostname", "a", "bcd", "bin"]);
        assert_eq!(entries[0].2, 0o040_755);
        assert_eq!(entries[1].3, b"lab\n");
        assert_eq!(entries[2].1, entries[3].1, "hard links share the inode");
        assert_eq!((entries[2].3.len(), entries[3].3.len()), (5, 0));
        assert_eq!(entries[4].3, b"usr/bin");
    }

    #[test]
    fn excluded_paths_and_special_files_are_not_packed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/share/doc")).unwrap();
        fs::write(dir.path().join("usr/share/doc/x"), "x").unwrap();
        std::os::unix::fs::symlink("usr/bin", dir.path().join("bin")).unwrap();
        let made =
            Command::new("mkfifo").arg(dir.path().join("fifo")).stdout(Stdio::null()).status();
        assert!(made.unwrap().success());
        let mut archive = Archive::new(Vec::new());
        archive.tree(dir.path(), &|path| path != Path::new("usr/share/doc")).unwrap();
        let entries = parse(&archive.finish().unwrap());
        let names: Vec<_> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["bin", "usr", "usr/share"], "and no special files");
    }
}
