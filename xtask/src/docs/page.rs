//! `docs/bond-options.md`: a reference for people who know bonding.

use std::fmt::{self, Write};

use podbond_bond::{KEYS, Key};
use podbond_kernel::BondMode;
use podbond_kernel::bond::table::{self, BondOption, Elsewhere, Family, GROUPS, Kind, Scope};

const HEAD: &str = "\
# Bond options

Every key of a `bond` network's configuration. The options of the kernel's bonding driver are all
there, each under the kernel's own name in camelCase (`arp_missed_max` is `arpMissedMax`).

This page is made from the table from which podbond reads, checks and sends the options; `cargo
xtask docs` writes it, and [bond.schema.json](bond.schema.json), a JSON Schema of the same keys for
editors.

- **Spelling.** A number may be written as text (`\"100\"`), a name as the kernel's number (`1` for
  `active-backup`), a switch as `true`/`false`, `on`/`off` or `1`/`0`, addresses as a list or as text
  with commas.
- **Times** are in milliseconds, except where the kernel counts seconds: lpInterval.
- **An option that is left out** keeps the driver's default, miimon apart.
- **Wrong values and combinations** are refused before anything is changed, all of them in one
  message. An option that the driver takes in any mode but uses only in some is a warning in the
  others; so is an unknown key. `\"strict\": true` refuses both.
- **Kernel** is the first release whose netlink interface takes the option. An older kernel
  acknowledges and ignores it: podbond reads each option back, and fails the ADD with the name of the
  option and of the kernel. Stable and vendors' kernels may have an option earlier: what counts is
  what the running one shows.
- **CHECK** compares every option that the configuration gives with what the kernel shows.

";

const RULES: &str = "\
## What options demand of each other

- miimon and arpInterval exclude each other, as in the kernel. Without either, miimon is 100.
- updelay, downdelay and peerNotifDelay need miimon, and are multiples of it. The kernel would round
  them down.
- arpInterval needs arpIpTarget or nsIp6Target, and these, arpValidate, arpAllTargets and
  arpMissedMax need arpInterval.
- primary and activeSlave name one of the links.
- prio is not looked at beside primary.
- Each queueId but 0 is one link's own.
- minLinks is at most the number of links.
- mac is refused in active-backup with failOverMac active: the driver gives the bond the active
  port's address, whatever it was given.
- vlanProto needs vlan.
- balance-tlb and balance-alb need ports whose MAC addresses differ, and the driver refuses others.
  Where two links have the same one, the later gets a locally administered address for as long as the
  bond lives, with a warning.

";

/// The whole page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page);
    page
}

fn write_page(page: &mut String) -> fmt::Result {
    writeln!(page, "## All options at a glance\n")?;
    writeln!(page, "| key | values | default | modes | kernel |\n|---|---|---|---|---|")?;
    for option in table::all() {
        let of_port = if option.scope == Scope::Port { "links[]." } else { "" };
        writeln!(
            page,
            "| [{of_port}{key}](#{anchor}) | {} | {} | {} | {} |",
            values_in_short(option),
            option.default,
            modes(option.modes),
            option.since,
            key = option.key,
            anchor = option.key.to_lowercase(),
        )?;
    }
    writeln!(page, "\n{RULES}## Keys of the plugin itself\n")?;
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
fn needed(option: &BondOption) -> Vec<(&'static BondOption, &'static str)> {
    let interval = (&table::ARP_INTERVAL, "100");
    let target = (&table::ARP_IP_TARGET, "[\"10.56.217.1\"]");
    if [&table::UPDELAY, &table::DOWNDELAY, &table::PEER_NOTIF_DELAY].contains(&option) {
        vec![(&table::MIIMON, "100")]
    } else if *option == table::ARP_INTERVAL {
        vec![target]
    } else if [&table::ARP_IP_TARGET, &table::NS_IP6_TARGET].contains(&option) {
        vec![interval]
    } else if [&table::ARP_VALIDATE, &table::ARP_ALL_TARGETS, &table::ARP_MISSED_MAX]
        .contains(&option)
    {
        vec![interval, target]
    } else {
        Vec::new()
    }
}

fn example(option: &BondOption) -> String {
    match option.scope {
        Scope::Bond => {
            let needed = needed(option).into_iter().map(|(option, value)| (option.key, value));
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
            words.extend(needed(option).into_iter().map(|(option, value)| word(option, value)));
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
    fn every_option_has_its_chapter_with_all_that_the_table_knows() {
        let page = page();
        for option in table::all() {
            let chapter = page.split(&format!("\n### {}\n", option.key)).nth(1).unwrap();
            let chapter = chapter.split("\n##").next().unwrap();
            for part in
                ["Values: ", "Default: ", "Modes: ", "Kernel: ", "iproute2: `ip link", "Example: `"]
            {
                assert!(chapter.contains(&format!("\n- {part}")), "{}: {part}", option.key);
            }
        }
        for key in KEYS {
            assert!(page.contains(&format!("\n### {}\n", key.name)), "{}", key.name);
        }
    }

    #[test]
    fn examples_read_as_a_person_would_write_them() {
        assert_eq!(
            iproute2(&table::ARP_IP_TARGET),
            "ip link add bond0 type bond mode active-backup arp_interval 100 \
             arp_ip_target 10.56.217.1,10.56.217.2"
        );
        assert_eq!(iproute2(&table::PRIO), "ip link set net1 type bond_slave prio 10");
        assert_eq!(example(&table::LACP_RATE), "\"lacpRate\": \"fast\"");
    }
}
