//! One case: ADD and DEL by each of the two programs, and by one after the other.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use podbond_bench::{ARGS, Ended, Error, Plugin, vf_pci};
use podbond_compare::Difference;
use serde_json::Value;

use crate::cases::Case;
use crate::differences::differences;
use crate::facts::{Facts, add_files, flatten, name_macs};
use crate::node::{Node, POD, see_node, see_pod};

/// What the interface is called that the plugin makes.
const IFNAME: &str = "net3";

/// Where plugins keep what they must know later.
const STATE: &str = "/var/lib/cni";

/// How often to look whether the network has objected to an address, and how long apart.
const SETTLING: (u32, Duration) = (20, Duration::from_millis(200));

/// Takes a case through both programs and returns what differs.
pub(crate) fn compare(
    case: &Case,
    podbond: &Plugin,
    peer: &Plugin,
    node: &Node,
) -> Result<Vec<Difference>, Error> {
    let run = |add, del| Run { case, node, add, del }.run();
    let wanted = run(peer, peer)?;
    let own = run(podbond, podbond)?;
    let mut found = differences(case, "ADD", &wanted.add, &own.add);
    found.extend(differences(case, "DEL", &wanted.del, &own.del));
    // What one cannot make, the other need not undo.
    if wanted.is_made == own.is_made {
        let taken_over = run(peer, podbond)?;
        found.extend(differences(case, "DEL of the peer's", &wanted.del, &taken_over.del));
        let given_back = run(podbond, peer)?;
        found.extend(differences(case, "DEL by the peer", &wanted.del, &given_back.del));
    }
    Ok(found)
}

/// What is so after an ADD, and after its DEL.
struct Outcome {
    is_made: bool,
    add: Facts,
    del: Facts,
}

struct Run<'a> {
    case: &'a Case,
    node: &'a Node,
    add: &'a Plugin,
    del: &'a Plugin,
}

impl Run<'_> {
    fn run(&self) -> Result<Outcome, Error> {
        self.node.begin(self.case)?;
        let macs = self.node.macs()?;
        let config = self.node.directory.path().join("config.json");
        let text = self.case.config().replace("$VF", &vf_pci("pf0", 0)?);
        fs::write(&config, text).map_err(Error::file("write", &config))?;

        let (mut add, mut is_made) = (Facts::new(), true);
        for (number, container) in self.case.containers.iter().enumerate() {
            let ended = self.call(self.add, "ADD", container, &config)?;
            is_made &= ended.status.success();
            let call = if number == 0 { String::new() } else { format!("call {} ", number + 1) };
            add_answer(&mut add, &call, &ended);
        }
        // A pair that is not alike is there for what DEL makes of it.
        if self.add.subject == self.del.subject {
            let mut pod = see_pod()?;
            for _ in (0..SETTLING.0).take_while(|_| is_made) {
                if !pod.is_settling() {
                    break;
                }
                sleep(SETTLING.1);
                pod = see_pod()?;
            }
            add.extend(pod.facts());
            add.extend(on_node(see_node()?.links()));
        }

        let mut del = Facts::new();
        for container in &self.case.containers {
            let ended = self.call(self.del, "DEL", container, &config)?;
            add_answer(&mut del, "", &ended);
        }
        del.extend(see_pod()?.facts());
        del.extend(on_node(see_node()?.links()));
        add_files(&mut del, Path::new(STATE))?;
        name_macs(&mut add, &macs);
        name_macs(&mut del, &macs);
        Ok(Outcome { is_made, add, del })
    }

    fn call(
        &self,
        plugin: &Plugin,
        command: &str,
        container: &str,
        config: &Path,
    ) -> Result<Ended, Error> {
        let process = plugin.call(command, POD, IFNAME, config);
        let args = format!("{ARGS}{}", self.case.args);
        process.variable("CNI_CONTAINERID", container).variable("CNI_ARGS", args).end()
    }
}

fn on_node(links: Facts) -> impl Iterator<Item = (String, String)> {
    links.into_iter().map(|(name, value)| (format!("node: {name}"), value))
}

/// Adds how a call ended: its result, or why it failed.
fn add_answer(facts: &mut Facts, call: &str, ended: &Ended) {
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
    if ended.status.success() {
        facts.insert(format!("{call}exit"), "0".to_owned());
        if !answer.is_null() {
            flatten(&format!("{call}result"), &answer, facts);
        }
    } else {
        let code = ended.status.code().unwrap_or(-1);
        let why = answer["msg"].as_str().unwrap_or(&ended.stderr).trim();
        facts.insert(format!("{call}exit"), format!("{code}: {why}"));
    }
}
