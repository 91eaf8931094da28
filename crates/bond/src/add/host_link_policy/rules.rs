//! `[host-links]` of the administrator's file.

use std::path::Path;

use podbond_names::LinkName;
use podbond_state::settings::{Error, Settings};
use serde::Deserialize;
use toml::Spanned;

use super::glob::Glob;

/// Which links of the node a bond may take: `[host-links]` of the administrator's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The administrator says nothing of it: none.
    Absent,
    /// Those that one of these patterns describes, and no other.
    Listed(Vec<Pattern>),
}

/// What a link must be like: each key that is given must match, and one is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pattern {
    pub(crate) name: Option<Glob>,
    pub(crate) driver: Option<Glob>,
    pub(crate) pci: Option<Glob>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostLinks {
    allow: Vec<Spanned<Pattern>>,
}

impl Rules {
    /// Reads the administrator's file. One that is not there says nothing.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        Settings::read(path)?.map_or(Ok(Self::Absent), |settings| Self::of(&settings))
    }

    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let Some(HostLinks { allow }) = settings.table("host-links")? else {
            return Ok(Self::Absent);
        };
        let without_keys = allow.iter().find(|pattern| pattern.as_ref().is_empty());
        if let Some(pattern) = without_keys {
            let problem = "a pattern without keys: give name, driver or pci";
            return Err(settings.malformed(pattern.span().start, problem));
        }
        Ok(Self::Listed(allow.into_iter().map(Spanned::into_inner).collect()))
    }

    /// Returns the line of `[host-links]` with which these links are allowed beside those that are
    /// allowed now. A link's name may hold `*`, which would allow any: it becomes `?`.
    pub(crate) fn line_with(&self, names: &[LinkName]) -> String {
        let present = match self {
            Self::Absent => &[],
            Self::Listed(patterns) => patterns.as_slice(),
        };
        let present = present.iter().map(Pattern::to_toml);
        let names = names.iter().map(|name| name.as_str().replace('*', "?"));
        let added = names.map(|name| format!("{{ name = {} }}", quoted(&name)));
        format!("allow = [{}]", present.chain(added).collect::<Vec<_>>().join(", "))
    }
}

impl Pattern {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.driver.is_none() && self.pci.is_none()
    }

    fn to_toml(&self) -> String {
        let keys = [("name", &self.name), ("driver", &self.driver), ("pci", &self.pci)];
        let keys = keys.into_iter().filter_map(|(key, glob)| {
            glob.as_ref().map(|glob| format!("{key} = {}", quoted(glob.as_str())))
        });
        format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
    }
}

/// Returns a text as a basic string of TOML, which is one of JSON but for U+007F.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Rules, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Rules::read(&path)
            .map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    fn glob(text: &str) -> Glob {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn patterns_are_read_in_both_toml_spellings() {
        let expected = Rules::Listed(vec![
            Pattern { name: Some(glob("ens*f*v*")), driver: None, pci: None },
            Pattern { name: None, driver: Some(glob("igbvf")), pci: Some(glob("0000:03:*")) },
        ]);
        let short = "[host-links]\nallow = [\n  { name = \"ens*f*v*\" }, # VFs\n  \
                     { driver = \"igbvf\", pci = \"0000:03:*\" },\n]\n";
        let long = "[[host-links.allow]]\nname = \"ens*f*v*\"\n\n\
                    [[host-links.allow]]\ndriver = \"igbvf\"\npci = \"0000:03:*\"\n";
        assert_eq!(parse(short), Ok(expected.clone()));
        assert_eq!(parse(long), Ok(expected));
    }

    #[test]
    fn empty_list_allows_no_link() {
        assert_eq!(parse(""), Ok(Rules::Absent));
        assert_eq!(parse("# nothing yet\n"), Ok(Rules::Absent));
        assert_eq!(parse("[host-links]\nallow = []\n"), Ok(Rules::Listed(Vec::new())));
    }

    #[test]
    fn errors_name_file_line_and_column() {
        for (text, expected) in [
            ("[host-links]\nallow = [\n", "line 2, column 10"),
            ("[host-links]\nallow = 7\n", "line 2, column 9"),
            ("[host-links]\n", "line 1, column 1: missing field `allow`"),
            ("[host-links]\nallow = []\ndeny = []\n", "line 3, column 1: unknown field `deny`"),
            ("[hostlinks]\nallow = []\n", "line 1, column 2: unknown table `hostlinks`"),
            (
                "[host-links]\nallow = [{ nane = \"x\" }]\n",
                "line 2, column 12: unknown field `nane`",
            ),
            ("[host-links]\nallow = [\n  {},\n]\n", "line 3, column 3: a pattern without keys"),
            ("[host-links]\nallow = [{ name = \"\" }]\n", "line 2, column 19: an empty pattern"),
            ("[host-links]\nallow = [{ name = 7 }]\n", "line 2, column 19: invalid type"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("config.toml, "), "{error}");
            assert!(error.contains(expected), "{expected:?} is not in: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    /// What is pasted below `[host-links]` allows what was allowed, and these links.
    #[test]
    fn line_allows_more_links_than_before() {
        let names = ["ens1f0", "a\"\\\u{7f}\u{1}é"].map(|name| name.parse().unwrap());
        let by_name = |name: &str| Pattern { name: Some(glob(name)), driver: None, pci: None };
        let added = names.each_ref().map(|name: &LinkName| by_name(name.as_str()));
        let present = Pattern { name: None, driver: Some(glob("igb\"?")), pci: Some(glob("*")) };
        for present in [Vec::new(), vec![present, by_name("ens*")]] {
            let line = Rules::Listed(present.clone()).line_with(&names);
            let expected = [present, added.to_vec()].concat();
            assert_eq!(parse(&format!("[host-links]\n{line}\n")), Ok(Rules::Listed(expected)));
        }
        assert_eq!(Rules::Absent.line_with(&names[..1]), r#"allow = [{ name = "ens1f0" }]"#);
    }

    /// A pod renames its VF, and its namespace ends without a DEL: the node has a link of that name.
    /// Promise: node-links-kept
    #[test]
    fn line_for_a_link_named_like_a_pattern_allows_no_other() {
        let names = ["*".parse().unwrap(), "e*?".parse().unwrap()];
        let line = Rules::Absent.line_with(&names);
        assert_eq!(line, r#"allow = [{ name = "?" }, { name = "e??" }]"#);
    }

    #[test]
    fn missing_file_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Rules::read(&dir.path().join("config.toml")).unwrap(), Rules::Absent);
        let error = Rules::read(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Unread { .. }), "{error}");
    }
}
