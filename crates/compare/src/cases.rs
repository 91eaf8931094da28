//! The cases, as `cases.txt` has them: what is configured, and what is there before.

use std::cmp::Reverse;

use podbond_bench::Error;
use serde_json::{Map, Value};

const TABLE: &str = include_str!("../cases.txt");

/// One configuration, which a plugin gets twice: the peer's and podbond's.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) plugin: &'static str,
    name: &'static str,
    /// JSON without its braces.
    keys: String,
    /// Commands of a shell on the node, once the pod is there.
    pub(crate) before: String,
    /// More of `CNI_ARGS`.
    pub(crate) args: String,
    /// Which containers get an ADD, then a DEL, one after the other.
    pub(crate) containers: Vec<&'static str>,
    /// Rows of docs/migration.md, each with how the facts begin that it is about.
    known: Vec<(&'static str, &'static str)>,
}

/// Names for parts of lines, the longest first, and what they stand for.
type Texts = Vec<(String, String)>;

/// Returns every case.
pub(crate) fn all() -> Result<Vec<Case>, Error> {
    parse(TABLE).map_err(|line| Error::Failed {
        what: "reading the cases".to_owned(),
        why: format!("{line} is none"),
    })
}

/// Parses the table; the error is the line that says nothing.
fn parse(table: &'static str) -> Result<Vec<Case>, &'static str> {
    let (mut cases, mut texts, mut plugin) = (Vec::new(), Texts::new(), "");
    let mut known = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            plugin = section;
            known.clear();
        } else if let Some(row) = line.strip_prefix("known ") {
            known.push(row_and_start(row));
        } else if let Some((name, text)) = line.split_once(" = ")
            && !name.contains(|c: char| c.is_lowercase() || c == '|')
        {
            texts.push((format!("${name}"), expand(text, &texts)));
            texts.sort_by_key(|(name, _)| Reverse(name.len()));
        } else {
            let mut case = Case::parse(plugin, line, &texts).ok_or(line)?;
            case.known.extend(&known);
            cases.push(case);
        }
    }
    Ok(cases)
}

/// Returns a row of docs/migration.md, and how the facts begin that it is about.
fn row_and_start(known: &'static str) -> (&'static str, &'static str) {
    known.split_once(' ').unwrap_or((known, ""))
}

fn expand(text: &str, texts: &Texts) -> String {
    texts
        .iter()
        .fold(text.trim().to_owned(), |text, (name, stands_for)| text.replace(name, stands_for))
}

impl Case {
    fn parse(plugin: &'static str, line: &'static str, texts: &Texts) -> Option<Self> {
        let (name, rest) = line.split_once('|')?;
        let mut cells = rest.split('|');
        let mut case = Self {
            plugin,
            name: name.trim(),
            keys: expand(cells.next()?, texts),
            before: String::new(),
            args: String::new(),
            containers: vec!["pod"],
            known: Vec::new(),
        };
        for cell in cells {
            match cell.trim().split_once(' ')? {
                ("run", commands) => case.before = expand(commands, texts),
                ("args", args) => case.args = format!(";{args}"),
                ("containers", names) => case.containers = names.split_whitespace().collect(),
                ("known", known) => case.known.push(row_and_start(known)),
                _ => return None,
            }
        }
        Some(case)
    }

    /// Returns the plugin's name, a colon and what the case is about.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.plugin, self.name)
    }

    /// Returns the row of docs/migration.md that a difference in this fact is in.
    pub(crate) fn row(&self, fact: &str) -> Option<&'static str> {
        let (row, _) = self.known.iter().find(|(_, start)| fact.starts_with(start))?;
        Some(row)
    }

    /// Returns the configuration as text: a key may be in it more than once.
    pub(crate) fn config(&self) -> String {
        let given: Map<String, Value> =
            serde_json::from_str(&format!("{{{}}}", self.keys)).unwrap_or_default();
        let is_given = |name: &str| given.keys().any(|key| key.eq_ignore_ascii_case(name));
        let base = base(self.plugin).iter().filter(|(key, _)| !is_given(key));
        let mut parts: Vec<String> =
            base.map(|(key, value)| format!("\"{key}\":{value}")).collect();
        parts.extend((!self.keys.is_empty()).then(|| self.keys.clone()));
        format!("{{{}}}", parts.join(","))
    }
}

/// Returns the keys that a configuration has unless its case gives them: two links of the pod that are
/// ready to be bonded, or a VF, and no IPAM plugin.
fn base(plugin: &str) -> &'static [(&'static str, &'static str)] {
    match plugin {
        "bond" => &[
            ("cniVersion", r#""1.0.0""#),
            ("name", r#""net""#),
            ("type", r#""bond""#),
            ("mode", r#""active-backup""#),
            ("miimon", r#""100""#),
            ("linksInContainer", "true"),
            ("links", r#"[{"name":"net1"},{"name":"net2"}]"#),
        ],
        "sriov" => &[
            ("cniVersion", r#""1.0.0""#),
            ("name", r#""net""#),
            ("type", r#""sriov""#),
            ("deviceID", r#""$VF""#),
        ],
        _ => &[("cniVersion", r#""1.0.0""#), ("name", r#""net""#), ("type", r#""bond""#)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_is_json_with_a_name_of_its_own() {
        let cases = all().unwrap();
        for case in &cases {
            let config = case.config();
            let parsed: Result<Map<String, Value>, _> = serde_json::from_str(&config);
            assert!(parsed.is_ok(), "{}: {config}", case.title());
            let texts = config.replace("\"$VF\"", "") + &case.before;
            assert!(!texts.contains('$'), "{}: {texts}", case.title());
            let equal = cases.iter().filter(|other| other.title() == case.title());
            assert_eq!(equal.count(), 1, "{}", case.title());
        }
    }

    #[test]
    fn page_has_a_row_for_what_is_known_and_nothing_else() {
        let cases = all().unwrap();
        let mut known: Vec<&str> =
            cases.iter().flat_map(|case| case.known.iter().map(|(row, _)| *row)).collect();
        known.sort_unstable();
        known.dedup();
        let mut rows = podbond_compare::rows();
        rows.sort_unstable();
        assert_eq!(known, rows);
    }

    #[test]
    fn line_has_a_name_keys_and_what_else() {
        let table = "X = 1\nX_2 = \"b\":$X\n[sriov]\n\
                     a b | \"a\":$X,$X_2 | run ip $X | args A=1 | known dns result dns\n";
        let case = &parse(table).unwrap()[0];
        assert_eq!((&*case.title(), &*case.keys), ("sriov: a b", r#""a":1,"b":1"#));
        assert_eq!((&*case.before, &*case.args), ("ip 1", ";A=1"));
        assert_eq!((case.row("result dns search"), case.row("exit")), (Some("dns"), None));
        for bad in ["[bond]\na", "[bond]\na | | walk home", "[bond]\na | | run"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn row_of_a_plugin_is_of_each_case_below_it() {
        let cases = parse("[bond]\nknown dns result dns\na |\nb |\n[sriov]\nc |").unwrap();
        let rows: Vec<_> = cases.iter().map(|case| case.row("result dns")).collect();
        assert_eq!(rows, [Some("dns"), Some("dns"), None]);
    }

    #[test]
    fn given_key_takes_the_place_of_the_bases_in_any_case() {
        let config = parse("[bond]\nx | \"MODE\":\"broadcast\"").unwrap()[0].config();
        assert!(config.contains("MODE") && !config.contains("active-backup"), "{config}");
        assert!(config.contains("miimon"), "{config}");
    }
}
