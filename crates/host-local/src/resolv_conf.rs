//! The file that `ipam.resolvConf` names: name servers, domains and options (resolv.conf(5)).

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use podbond_cni::Dns;
use podbond_state::MAX_SIZE;
use rustix::fs::{Mode, OFlags};

use crate::error::Error;

/// Reads the file that `ipam.resolvConf` names. A configuration may name any: one that is not a
/// regular file is not opened, since opening a device may do something.
pub(crate) fn read(path: &Path) -> Result<Dns, Error> {
    let failed = Error::io("read ipam.resolvConf,", path);
    // This opens nothing, and what it is stays so until it is read: another may have the directory.
    let here = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let here = File::from(here.map_err(|errno| failed(errno.into()))?);
    let metadata = here.metadata().map_err(&failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::new(ErrorKind::InvalidInput, "it is no regular file")));
    }
    // A file that the kernel makes up as it is read has no size. To read one may wait for ever, or take what
    // another would read, as with /proc/kmsg.
    if metadata.len() == 0 {
        return Ok(Dns::default());
    }
    // Another process may have a lease on the file (`F_SETLEASE`), which open(2) would wait for.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let opened = File::options()
        .read(true)
        .custom_flags(nonblock)
        .open(format!("/proc/self/fd/{}", here.as_raw_fd()));
    let mut text = Vec::new();
    let read = opened.and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut text));
    read.map_err(&failed)?;
    if text.len() as u64 > MAX_SIZE {
        let path = path.to_owned();
        return Err(podbond_state::Error::TooLarge { path, max: MAX_SIZE }.into());
    }
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// Parses the text of a file like /etc/resolv.conf. What a result has no field for is dropped.
fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        // A comment's first word begins with `#` or `;`, so it is no keyword.
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next()),
            Some("domain") => dns.domain = words.next().or(dns.domain),
            Some("search") => dns.search.extend(words),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_limited_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let huge = dir.path().join("huge");
        File::create(&huge).unwrap().set_len(1 << 40).unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        let (file, link) = (dir.path().join("resolv.conf"), dir.path().join("link"));
        std::fs::write(&file, "nameserver 10.0.0.53\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link).unwrap().nameservers, ["10.0.0.53"]);
        for (path, problem) in [
            (pipe.as_path(), "it is no regular file"),
            (dir.path(), "it is no regular file"),
            (Path::new("/dev/zero"), "it is no regular file"),
            (&huge, "is larger than 1048576 bytes"),
        ] {
            let message = read(path).unwrap_err().to_string();
            assert!(message.contains(problem), "{message}");
        }
        assert!(read(&dir.path().join("none")).is_err());
    }

    /// Promise: no-link-followed
    #[test]
    fn file_without_size_is_not_opened() {
        let opened = |path: &str| read(Path::new(path)).unwrap();
        // To read this one takes what the kernel has logged, and waits where there is nothing.
        assert_eq!(opened("/proc/kmsg"), Dns::default());
        // As root or not: who may not read a file cannot open it.
        assert_eq!(opened("/proc/self/status"), Dns::default());
    }

    #[test]
    fn keywords_are_read_and_comments_are_not() {
        let dns = parse(
            "# nameserver 192.0.2.1\n; search x\n  nameserver 10.0.0.53\nnameserver fd00::53 more\n\
             domain demo.example\nsearch a.example b.example\noptions ndots:5 rotate\n\
             nameserver\nsortlist 10.0.0.0\n",
        );
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let expected = Dns {
            nameservers: texts(&["10.0.0.53", "fd00::53"]),
            domain: Some("demo.example".to_owned()),
            search: texts(&["a.example", "b.example"]),
            options: texts(&["ndots:5", "rotate"]),
            ..Dns::default()
        };
        assert_eq!(dns, expected);
    }
}
