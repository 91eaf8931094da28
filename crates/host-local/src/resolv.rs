use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use podbond_cni::Dns;

use crate::error::Error;

/// Reads the file that `ipam.resolvConf` names. A configuration may name any: one that is not a
/// regular file is not opened, since opening a device may do something, and a pipe waits for ever.
pub(crate) fn read(path: &Path) -> Result<Dns, Error> {
    let failed = Error::io("read ipam.resolvConf,", path);
    if !fs::metadata(path).map_err(&failed)?.is_file() {
        return Err(failed(io::Error::new(ErrorKind::InvalidInput, "it is no regular file")));
    }
    let text = podbond_state::read(path)?.unwrap_or_default();
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// Reads the text of a file like /etc/resolv.conf (resolv.conf(5)). What a result cannot say is
/// left out.
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
    fn what_is_no_file_or_huge_is_not_swallowed() {
        let dir = tempfile::tempdir().unwrap();
        let huge = dir.path().join("huge");
        fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
        for (path, problem) in [
            (Path::new("/dev/zero"), "it is no regular file"),
            (&huge, "is larger than 1048576 bytes"),
        ] {
            let message = read(path).unwrap_err().to_string();
            assert!(message.contains(problem), "{message}");
        }
        assert!(read(&dir.path().join("none")).is_err());
    }

    #[test]
    fn each_keyword_is_read_and_comments_are_not() {
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
        };
        assert_eq!(dns, expected);
    }
}
