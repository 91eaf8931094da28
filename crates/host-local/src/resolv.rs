use podbond_cni::Dns;

/// Reads the text of a file like /etc/resolv.conf (resolv.conf(5)). What a result cannot say is
/// left out.
pub(crate) fn parse(text: &str) -> Dns {
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
