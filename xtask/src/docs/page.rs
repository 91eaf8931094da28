//! `docs/bond-options.md`: a reference for people who know bonding.

use std::fmt::{self, Write};

use podbond_bond::{KEYS, Key};
use podbond_kernel::BondMode;
use podbond_kernel::bond::table::{
    self, BondOption, Change, Elsewhere, Family, GROUPS, Kind, Scope,
};

use super::prose::{HEAD, LEGEND, MODES_AT_WORK, RULES};

const MODES_TITLE: &str = "The modes";
const AT_A_GLANCE: &str = "All options at a glance";
const MODES: &str = "Which option in which mode";
const RULES_TITLE: &str = "What options demand of each other";
const OWN_KEYS: &str = "Keys of the plugin itself";

/// The whole page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page);
    page
}

fn write_page(page: &mut String) -> fmt::Result {
    write_contents(page)?;
    writeln!(page, "## {MODES_TITLE}\n\n{MODES_AT_WORK}## {AT_A_GLANCE}\n")?;
    writeln!(page, "| key | values | default | kernel |\n|---|---|---|---|")?;
    for option in table::all() {
        let (values, key) = (values_in_short(option), linked(option));
        writeln!(page, "| {key} | {values} | {} | {} |", option.default, option.since)?;
    }
    write_modes(page)?;
    writeln!(page, "## {RULES_TITLE}\n\n{RULES}## {OWN_KEYS}\n")?;
    for key in KEYS {
        write_key(page, key)?;
    }
    for group in GROUPS {
        writeln!(page, "## {}\n", group.title)?;
        for option in group.options {
            write_option(page, option)?;
        }
    }
    // One newline at the end of a file.
    page.truncate(page.trim_end().len());
    writeln!(page)
}

/// The chapters, each with a link.
fn write_contents(page: &mut String) -> fmt::Result {
    let tables = [MODES_TITLE, AT_A_GLANCE, MODES, RULES_TITLE, OWN_KEYS];
    for title in tables.into_iter().chain(GROUPS.iter().map(|group| group.title)) {
        writeln!(page, "- [{title}](#{})", anchor(title))?;
    }
    writeln!(page)
}

/// Which option does what in which mode.
fn write_modes(page: &mut String) -> fmt::Result {
    let names: Vec<&str> = BondMode::ALL.iter().map(|mode| mode.name()).collect();
    writeln!(page, "\n## {MODES}\n\n{LEGEND}| key | {} |", names.join(" | "))?;
    writeln!(page, "|---|{}", ":-:|".repeat(names.len()))?;
    for option in table::all() {
        let sign = |mode| match option.elsewhere {
            _ if option.modes.contains(mode) => " ● ",
            Elsewhere::Ignored => " ○ ",
            Elsewhere::Refused => " ",
        };
        let signs: Vec<&str> = BondMode::ALL.iter().map(sign).collect();
        writeln!(page, "| {} |{}|", linked(option), signs.join("|"))?;
    }
    writeln!(page)
}

/// The anchor that a heading gets.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

fn linked(option: &BondOption) -> String {
    let of_port = if option.scope == Scope::Port { "links[]." } else { "" };
    format!("[{of_port}{key}](#{})", anchor(option.key), key = option.key)
}

fn write_key(page: &mut String, key: &Key) -> fmt::Result {
    writeln!(page, "### {}\n", key.name)?;
    writeln!(page, "{}\n", wrapped(key.what))?;
    writeln!(page, "- Default: {}", key.default)?;
    writeln!(page, "- Example: `\"{}\": {}`\n", key.name, key.example)
}

fn write_option(page: &mut String, option: &BondOption) -> fmt::Result {
    writeln!(page, "### {}\n", option.key)?;
    writeln!(page, "{}\n", wrapped(option.what))?;
    writeln!(page, "- Values: {}", values(option))?;
    writeln!(page, "- Default: {}", option.default)?;
    let elsewhere = match option.elsewhere {
        _ if option.modes == BondMode::ALL => "",
        Elsewhere::Refused => "; refused in the others",
        Elsewhere::Ignored => "; without effect in the others",
    };
    writeln!(page, "- Modes: {}{elsewhere}", modes(option.modes))?;
    writeln!(page, "- Kernel: {} and newer", option.since)?;
    let change = match option.change {
        Change::Always => "at any time",
        Change::WhileDown => "while the bond is down",
        Change::WithoutPorts => "while the bond has no ports",
    };
    writeln!(page, "- Live: {change}")?;
    writeln!(page, "- iproute2: `{}`", iproute2(option))?;
    if !option.aliases.is_empty() {
        let aliases: Vec<String> = option.aliases.iter().map(|key| format!("`{key}`")).collect();
        writeln!(page, "- The same by another name: {}", aliases.join(", "))?;
    }
    writeln!(page, "- Example: `{}`\n", example(option))
}

fn modes(modes: &[BondMode]) -> String {
    if modes == BondMode::ALL {
        return "all".to_owned();
    }
    modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ")
}

fn values(option: &BondOption) -> String {
    match option.kind {
        Kind::Switch => "on, off".to_owned(),
        Kind::Number { min, max, unit } => {
            let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
            format!("{min} to {max}{unit}")
        }
        Kind::Named(names) => {
            let each = names.iter().map(|(number, name)| format!("{name} ({number})"));
            each.collect::<Vec<_>>().join(", ")
        }
        Kind::Addresses(family) => format!("1 to 16 {family} addresses, each of one host"),
        Kind::Mac => "a MAC address, not of a group".to_owned(),
        Kind::Port => "the name of one of the links".to_owned(),
    }
}

fn values_in_short(option: &BondOption) -> String {
    match option.kind {
        Kind::Number { unit: Some("milliseconds"), .. } => "ms".to_owned(),
        Kind::Number { unit: Some(unit), .. } => unit.to_owned(),
        Kind::Number { max, .. } if max == i64::from(i32::MAX) => "number".to_owned(),
        Kind::Named(names) => names.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "),
        Kind::Addresses(Family::V4) => "IPv4 addresses".to_owned(),
        Kind::Addresses(Family::V6) => "IPv6 addresses".to_owned(),
        Kind::Mac => "MAC address".to_owned(),
        Kind::Port => "link".to_owned(),
        Kind::Switch | Kind::Number { .. } => values(option),
    }
}

/// The options that one needs beside it, each with a value as JSON.
fn needed(option: &BondOption) -> impl Iterator<Item = (&'static BondOption, &'static str)> {
    option.needs.iter().filter_map(|(name, value)| Some((table::find(name)?, *value)))
}

fn example(option: &BondOption) -> String {
    match option.scope {
        Scope::Bond => {
            let needed = needed(option).map(|(option, value)| (option.key, value));
            let all = needed.chain([(option.key, option.example)]);
            let all: Vec<String> = all.map(|(key, value)| format!("\"{key}\": {value}")).collect();
            all.join(", ")
        }
        Scope::Port => {
            format!(
                "\"links\": [{{\"name\": \"net1\", \"{}\": {}}}, …]",
                option.key, option.example
            )
        }
    }
}

/// The example as a command: iproute2 takes lists with commas.
fn iproute2(option: &BondOption) -> String {
    let word = |option: &BondOption, json: &str| {
        let value: String = json.chars().filter(|c| !matches!(c, '"' | '[' | ']' | ' ')).collect();
        format!("{} {value}", option.iproute2)
    };
    let own = word(option, option.example);
    match (option.scope, option.kind) {
        (Scope::Port, _) => format!("ip link set net1 type bond_slave {own}"),
        (Scope::Bond, Kind::Port) => format!("ip link set bond0 type bond {own}"),
        (Scope::Bond, _) => {
            let mode = if option.modes.contains(&BondMode::ActiveBackup) {
                BondMode::ActiveBackup
            } else {
                option.modes[0]
            };
            let mut words = vec![format!("ip link add bond0 type bond mode {mode}")];
            words.extend(needed(option).map(|(option, value)| word(option, value)));
            words.push(own);
            words.join(" ")
        }
    }
}

/// The text in lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.len() + word.len() < 100);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_chapter() {
        let page = page();
        for option in table::all() {
            let chapter = page.split(&format!("\n### {}\n", option.key)).nth(1).unwrap();
            let chapter = chapter.split("\n##").next().unwrap();
            for part in [
                "Values: ",
                "Default: ",
                "Modes: ",
                "Kernel: ",
                "Live: ",
                "iproute2: `ip link",
                "Example: `",
            ] {
                assert!(chapter.contains(&format!("\n- {part}")), "{}: {part}", option.key);
            }
        }
        for key in KEYS {
            assert!(page.contains(&format!("\n### {}\n", key.name)), "{}", key.name);
        }
    }

    #[test]
    fn every_link_of_the_page_leads_to_a_heading() {
        let page = page();
        let headings = page.lines().filter_map(|line| line.strip_prefix("##"));
        let headings: Vec<String> =
            headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect();
        let links: Vec<&str> =
            page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(links.len() > 2 * table::all().count());
        for link in links {
            assert!(headings.iter().any(|heading| heading == link), "{link}");
        }
    }

    #[test]
    fn mode_table_shows_the_effect_of_options() {
        let page = page();
        for row in [
            "| [queueId](#queueid) | ● | ● | ○ | ○ | ○ | ○ | ○ |"
                .replace("[queueId", "[links[].queueId"),
            "| [lacpRate](#lacprate) | | | | | ● | | |".to_owned(),
        ] {
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn examples_are_iproute2_and_json() {
        assert_eq!(
            iproute2(&table::ARP_IP_TARGET),
            "ip link add bond0 type bond mode active-backup arp_interval 100 \
             arp_ip_target 10.56.217.1,10.56.217.2"
        );
        assert_eq!(iproute2(&table::PRIO), "ip link set net1 type bond_slave prio 10");
        assert_eq!(example(&table::LACP_RATE), "\"lacpRate\": \"fast\"");
    }
}
