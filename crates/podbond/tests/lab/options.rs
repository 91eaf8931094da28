//! Every option of the bonding driver, set through the bond plugin and read back from the running
//! kernel by other ways than podbond's own: sysfs, and iproute2 where sysfs does not have it.

use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_kernel::WrittenValue;
use podbond_kernel::bond::table::{self, BondOption, Kind, Scope};
use serde_json::{Value, json};

use crate::node::{Call, Netns, bond_config, succeeded, words};

fn call<'c>(command: &'c str, netns: &'c str) -> Call<'c> {
    Call { plugin: "bond", command, container: "c1", netns, ifname: "bond0" }
}

/// The running kernel's version, major and minor.
fn kernel() -> (u32, u32) {
    version(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap())
}

fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split(['.', '-', '+', '~']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// A configuration in which the option has an effect, with its example.
fn config_with(option: &BondOption) -> Value {
    let example: Value = serde_json::from_str(option.example).unwrap();
    let mut changes = json!({
        "mode": option.modes[0].name(), "failOverMac": null, "miimon": null, "ipam": null,
        "cniVersion": "1.0.0",
    });
    for (name, value) in option.needs {
        let needed = table::find(name).unwrap();
        changes[needed.key] = serde_json::from_str(value).unwrap();
    }
    match option.scope {
        Scope::Bond => changes[option.key] = example,
        Scope::Port => {
            changes["links"] = json!([{"name": "net1"}, {"name": "net2"}]);
            changes["links"][1][option.key] = example;
        }
    }
    bond_config(&changes)
}

/// What sysfs shows of an option in the pod's namespace; none where it has no such file.
fn in_sysfs(netns: &str, option: &BondOption) -> Option<String> {
    let file = match option.scope {
        Scope::Bond => format!("/sys/class/net/bond0/bonding/{}", option.name),
        Scope::Port => format!("/sys/class/net/net2/bonding_slave/{}", option.name),
    };
    let shown = Command::new("ip").args(["netns", "exec", netns, "cat", &file]).output().unwrap();
    shown.status.success().then(|| succeeded(&shown).trim().to_owned())
}

/// What iproute2 shows of it, lists with spaces; none where it is too old to know it.
fn in_iproute2(netns: &Netns, option: &BondOption) -> Option<String> {
    let info = match option.scope {
        Scope::Bond => &netns.link("bond0")["linkinfo"]["info_data"],
        Scope::Port => &netns.link("net2")["linkinfo"]["info_slave_data"],
    };
    match &info[option.name] {
        Value::Null => None,
        Value::Bool(on) => Some(if *on { "on" } else { "off" }.to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => Some(list.iter().map(words).collect::<Vec<_>>().join(" ")),
        other => Some(other.to_string()),
    }
}

/// Whether a text of the kernel's is the value of the option: names stand beside their numbers,
/// addresses in a list with spaces.
fn is(option: &BondOption, shown: &str) -> bool {
    let written: WrittenValue = serde_json::from_str(option.example).unwrap();
    if option.kind == Kind::Port {
        return format!("{shown:?}") == option.example;
    }
    let wanted = option.read(&written).unwrap();
    let shown = if let Kind::Addresses(_) = option.kind {
        WrittenValue::List(shown.split_whitespace().map(str::to_owned).collect())
    } else {
        WrittenValue::Text(shown.split_whitespace().next().unwrap_or_default().to_owned())
    };
    option.read(&shown).is_ok_and(|value| value == wanted)
}

/// Whether the kernel may refuse the example although it knows the option.
fn is_withdrawn(option: &BondOption) -> bool {
    *option == table::USE_CARRIER && kernel() >= (6, 18)
}

#[test]
fn all_options_are_read_back_or_refused_by_name() {
    let netns = Netns::with_links("options");
    let path = netns.path();
    let mut proved = Vec::new();
    for option in table::all() {
        let config = config_with(option);
        match call("ADD", &path).run(&config) {
            Ok(result) => {
                let shown = in_sysfs("options", option).map(|shown| ("sysfs", shown));
                let shown = shown.or_else(|| Some(("ip", in_iproute2(&netns, option)?)));
                // Neither knows the newest ones: the kernel's word to podbond has to do.
                let (by, shown) = shown.unzip();
                let is_shown = shown.as_ref().is_none_or(|shown| is(option, shown));
                assert!(is_shown, "{}: {by:?} has {shown:?}", option.name);
                let mut with_result = config.clone();
                with_result["prevResult"] = result;
                call("CHECK", &path).run(&with_result).unwrap();
                proved.push(format!("{}: {}", option.name, by.unwrap_or("CHECK")));
            }
            Err(error) => {
                let text = format!("{} {}", words(&error["msg"]), words(&error["details"]));
                if is_withdrawn(option) {
                    proved.push(format!("{}: withdrawn: {text}", option.name));
                    assert!(text.contains("use_carrier") || text.contains("useCarrier"), "{text}");
                } else {
                    assert!(kernel() < version(option.since), "{}: {text}", option.name);
                    assert!(text.contains(option.key), "{}: {text}", option.name);
                    assert!(text.contains(&format!("({}.", kernel().0)), "{text}");
                    proved.push(format!("{}: refused: {text}", option.name));
                }
                assert_eq!(netns.link("bond0"), Value::Null, "{}", option.name);
            }
        }
        call("DEL", &path).run(&config).unwrap();
        assert_eq!(netns.link("bond0"), Value::Null, "{}", option.name);
    }
    // Past libtest's capture: which way each option was proved belongs to the record of a run.
    writeln!(io::stderr(), "{:?}:\n{}", kernel(), proved.join("\n")).unwrap();
}

#[test]
fn check_reports_changed_options() {
    let netns = Netns::with_links("options-check");
    let path = netns.path();
    let links = json!([{"name": "net1"}, {"name": "net2", "queueId": 2}]);
    let config = bond_config(&json!({
        "cniVersion": "1.0.0", "ipam": null, "links": links, "primary": "net2", "updelay": 200,
    }));
    let result = call("ADD", &path).run(&config).unwrap();
    let mut with_result = config.clone();
    with_result["prevResult"] = result;
    call("CHECK", &path).run(&with_result).unwrap();
    netns.ip("link set bond0 type bond updelay 300");
    netns.ip("link set bond0 type bond primary net1");
    netns.ip("link set net2 type bond_slave queue_id 5");
    let error = call("CHECK", &path).run(&with_result).unwrap_err();
    let text = words(&error["msg"]);
    for words in
        ["updelay is 300, not 200", "primary is net1, not net2", "net2 queueId is 5, not 2"]
    {
        assert!(text.contains(words), "{text}");
    }
    call("DEL", &path).run(&config).unwrap();
}

#[test]
fn all_violations_among_options_are_reported_at_once() {
    let netns = Netns::with_links("options-wrong");
    let path = netns.path();
    let links = netns.links();
    let config = bond_config(&json!({
        "lacpRate": "fast", "updelay": 250, "primary": "net9", "arpIpTarget": "10.0.0.1",
    }));
    let error = call("ADD", &path).run(&config).unwrap_err();
    let text = words(&error["msg"]);
    for words in [
        "lacpRate belongs to 802.3ad",
        "updelay: 250 ms is no multiple",
        "primary: net9",
        "arpIpTarget has no effect without arpInterval",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(netns.links(), links);
    let strict = bond_config(&json!({"failOverMak": 1, "strict": true}));
    let error = call("ADD", &path).run(&strict).unwrap_err();
    assert!(words(&error["msg"]).contains("did you mean failOverMac?"), "{error}");
    assert_eq!(netns.links(), links);
}

#[test]
fn option_value_newer_than_the_kernel_is_reported() {
    let netns = Netns::with_links("options-later");
    let path = netns.path();
    let config = bond_config(&json!({
        "mode": "802.3ad", "failOverMac": null, "ipam": null, "adSelect": "actor_port_prio",
    }));
    match call("ADD", &path).run(&config) {
        Ok(_) => {
            let shown = in_sysfs("options-later", &table::AD_SELECT).unwrap();
            assert!(shown.starts_with("actor_port_prio"), "{shown}");
        }
        Err(error) => {
            assert!(kernel() < (6, 18), "{error}");
            let text = words(&error["msg"]);
            assert!(text.contains("refuses adSelect actor_port_prio"), "{text}");
            assert!(text.contains("kernel 6.18"), "{text}");
        }
    }
    call("DEL", &path).run(&config).unwrap();
}

#[test]
fn missing_queue_of_the_bond_is_reported() {
    let netns = Netns::with_links("options-queue");
    let path = netns.path();
    let with_queue = |queue: u32| {
        let links = json!([{"name": "net1"}, {"name": "net2", "queueId": queue}]);
        bond_config(&json!({"ipam": null, "links": links}))
    };
    call("ADD", &path).run(&with_queue(16)).unwrap();
    call("DEL", &path).run(&with_queue(16)).unwrap();
    let error = call("ADD", &path).run(&with_queue(17)).unwrap_err();
    let text = words(&error["msg"]);
    assert!(text.contains("port net2: the bonding driver refuses queueId 17"), "{text}");
    assert_eq!(netns.link("bond0"), Value::Null);
}

#[test]
fn port_priorities_decide_while_the_primary_is_down() {
    let netns = Netns::with_links("options-prio");
    let path = netns.path();
    netns.ip("link add net3 type dummy");
    let links = json!([{"name": "net1"}, {"name": "net2"}, {"name": "net3", "prio": 1}]);
    let config = bond_config(&json!({"ipam": null, "links": links, "primary": "net1"}));
    call("ADD", &path).run(&config).unwrap();
    let active = || in_sysfs("options-prio", &table::ACTIVE_SLAVE).unwrap();
    assert_eq!(active(), "net1");
    netns.ip("link set net1 down");
    let end = Instant::now() + Duration::from_mins(1);
    while active() != "net3" {
        assert!(Instant::now() < end, "{} is active", active());
        sleep(Duration::from_millis(100));
    }
    call("DEL", &path).run(&config).unwrap();
}

#[test]
fn iproute2_shows_each_option_by_the_tables_word() {
    let said = |arguments: &[&str]| {
        let output = Command::new("ip").args(arguments).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let own = said(&["-V"]);
    let own = version(own.split("iproute2-").nth(1).unwrap());
    let help = [(Scope::Bond, "bond"), (Scope::Port, "bond_slave")];
    for (scope, kind) in help {
        let help = said(&["link", "help", kind]);
        let words: Vec<&str> = help.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        // A release of iproute2 knows the options of the kernel of its time.
        let known = table::all().filter(|o| o.scope == scope && version(o.since) < own);
        for option in known {
            assert!(words.contains(&option.iproute2), "{} is not in: {help}", option.iproute2);
        }
    }
}
