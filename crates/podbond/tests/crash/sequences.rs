//! Several pods at a time, whose ADDs and DELs come, fail and are killed in any order.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::operation::{Closing, Operation, Ran, Verb};
use crate::random::Random;
use crate::report::{is_full, progress, row};
use crate::snapshot::Snapshot;

/// The seed of the first sequence: given, or another one each time. The next one has the next.
const SEED: &str = "PODBOND_TEST_SEED";

/// How many sequences there are, if not given.
const COUNT: &str = "PODBOND_TEST_SEQUENCES";

/// The errors that a change is refused with.
const ERRORS: [i32; 3] = [1, 16, 28];

/// The actions of the longest sequence, without those that end it.
const LONGEST: usize = 8;

/// How many pods a sequence is about.
const AT_A_TIME: usize = 3;

/// One of so many sequences is about VFs too, which take long.
const OF_VFS: usize = 15;

/// What one pod is like.
enum State {
    /// Nothing of it is there.
    Clean,
    /// Its ADD succeeded, and nothing has happened to it since.
    Whole(Ran),
    /// Anything else: there is something to take away.
    Broken,
}

struct Pod {
    operation: Operation,
    state: State,
    /// How many changes an ADD and a DEL make.
    changes: [usize; 2],
}

/// All pods that take part, on one node: leases of one network, and two want the same VF.
struct Node {
    pods: Vec<Pod>,
    before: Snapshot,
    /// What was done in this sequence.
    done: Vec<String>,
    wrong: Vec<String>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    adds: usize,
    dels: usize,
    faults: usize,
}

/// Runs the sequences, prints a row and panics if anything was lost.
pub(crate) fn sequences() {
    let first = number(SEED).unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000
    });
    let count = number(COUNT).unwrap_or(if is_full() { 3000 } else { 300 });
    let mut node = Node::new();
    let mut leaks = Vec::new();
    for seed in first..first + count {
        progress(format_args!("sequence of seed {seed}"));
        leaks.extend(node.sequence(seed));
    }
    node.clear();
    let Counts { adds, dels, faults } = node.counts;
    let what = format!("{count} from seed {first}");
    row("sequences", &what, adds, dels, faults, leaks.len());
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

fn number(variable: &str) -> Option<u64> {
    let given = std::env::var(variable).ok()?;
    Some(given.parse().unwrap_or_else(|_| panic!("{variable} is no number: {given:?}")))
}

impl Node {
    fn new() -> Self {
        let operations = [
            Operation::sriov(0),
            Operation::sriov(1),
            Operation::host_local(2),
            Operation::host_local(3),
            Operation::bond_in_pod(4),
            Operation::bond_in_pod(5),
            Operation::bond_on_host(6),
            Operation::bond_on_host(7),
            Operation::bond_vlan(8),
            Operation::bond_mac(9),
        ];
        let pods =
            operations.map(|operation| Pod { operation, state: State::Clean, changes: [1; 2] });
        let mut node = Self {
            pods: pods.into(),
            before: Snapshot::take(&[]),
            done: Vec::new(),
            wrong: Vec::new(),
            counts: Counts::default(),
        };
        node.set_up();
        node
    }

    /// Sets everything up, once used: directories and locks stay for good.
    fn set_up(&mut self) {
        self.clear();
        for pod in &self.pods {
            pod.operation.scene.build();
        }
        for Pod { operation, state, changes } in &mut self.pods {
            *state = State::Clean;
            *changes = [Verb::Add, Verb::Del].map(|verb| {
                let ran = operation.run(verb, "");
                assert!(ran.has_succeeded(), "{} {verb:?}: {}", operation.name, ran.output_text());
                ran.changes.len()
            });
        }
        let all: Vec<&str> =
            self.pods.iter().map(|pod| pod.operation.scene.netns.as_str()).collect();
        self.before = Snapshot::take(&all);
    }

    fn clear(&self) {
        for pod in &self.pods {
            pod.operation.scene.clear();
        }
    }

    /// One sequence, to its end. Gives what is wrong afterwards.
    fn sequence(&mut self, seed: u64) -> Option<String> {
        let mut random = Random::new(seed);
        let of_vfs = self.pods.iter().take_while(|pod| pod.operation.scene.has_vfs()).count();
        let chosen: Vec<usize> = if random.below(OF_VFS) == 0 {
            (0..of_vfs).chain([of_vfs + random.below(self.pods.len() - of_vfs)]).collect()
        } else {
            let first = random.below(self.pods.len() - of_vfs);
            let all = (0..AT_A_TIME).map(|next| (first + next) % (self.pods.len() - of_vfs));
            all.map(|pod| of_vfs + pod).collect()
        };
        for _ in 0..=random.below(LONGEST) {
            let pod = *random.one_of(&chosen);
            match self.pods[pod].state {
                State::Clean => self.begin(pod, &mut random),
                State::Whole(_) | State::Broken => self.go_on(pod, &mut random),
            }
        }
        for pod in &chosen {
            if let State::Whole(added) = &self.pods[*pod].state {
                let checked = self.pods[*pod].operation.check(added);
                self.expect(&checked, &format!("CHECK of pod {pod}"));
            }
        }
        for pod in &chosen {
            self.close(*pod, Closing::Del);
        }
        let namespaces: Vec<&str> =
            chosen.iter().map(|pod| self.pods[*pod].operation.scene.netns.as_str()).collect();
        let remains = Snapshot::take(&namespaces).since(&self.before);
        let mut wrong = std::mem::take(&mut self.wrong);
        wrong.extend(remains);
        let done = std::mem::take(&mut self.done);
        if wrong.is_empty() {
            return None;
        }
        let cast = chosen.iter().map(|pod| format!("{pod} is {}", self.pods[*pod].operation.name));
        let cast: Vec<String> = cast.collect();
        let text = format!(
            "seed {seed}: {}; {}:\n  {}",
            cast.join(", "),
            done.join(", "),
            wrong.join("\n  ")
        );
        progress(format_args!("WRONG: {text}"));
        self.set_up();
        Some(text)
    }

    /// Something happens to a pod of which nothing is there.
    fn begin(&mut self, pod: usize, random: &mut Random) {
        match random.below(8) {
            0..3 => self.add(pod, ""),
            3..6 => {
                let fault = self.death(pod, Verb::Add, random);
                self.add(pod, &fault);
            }
            6 => {
                let fault = self.refusal(pod, Verb::Add, random);
                self.add(pod, &fault);
            }
            _ => self.close(pod, Closing::Del),
        }
    }

    /// Something happens to a pod of which there is something.
    fn go_on(&mut self, pod: usize, random: &mut Random) {
        match random.below(8) {
            0..2 => {
                let all = self.pods[pod].operation.closings();
                // A reboot is all pods', and so are records cut short, after which links differ.
                let is_alone =
                    |closing: &Closing| !closing.is_reboot() && *closing != Closing::CutShort;
                let alone: Vec<Closing> = all.iter().copied().filter(is_alone).collect();
                self.close(pod, *random.one_of(&alone));
            }
            2 => self.close(pod, Closing::Del),
            3..5 => {
                let fault = self.death(pod, Verb::Del, random);
                self.del(pod, &fault);
            }
            5 => {
                let fault = self.refusal(pod, Verb::Del, random);
                self.del(pod, &fault);
            }
            6 => self.add(pod, ""),
            _ => {
                let fault = self.death(pod, Verb::Add, random);
                self.add(pod, &fault);
            }
        }
    }

    fn death(&self, pod: usize, verb: Verb, random: &mut Random) -> String {
        let when = random.one_of(&["before", "after"]);
        format!("die-{when}={}", self.position(pod, verb, random))
    }

    fn refusal(&self, pod: usize, verb: Verb, random: &mut Random) -> String {
        format!("fail={}:{}", self.position(pod, verb, random), random.one_of(&ERRORS))
    }

    fn position(&self, pod: usize, verb: Verb, random: &mut Random) -> usize {
        1 + random.below(self.pods[pod].changes[verb as usize])
    }

    fn add(&mut self, pod: usize, fault: &str) {
        self.counts.adds += 1;
        self.counts.faults += usize::from(!fault.is_empty());
        self.done.push(format!("ADD {pod} {fault}").trim_end().to_owned());
        let ran = self.pods[pod].operation.run(Verb::Add, fault);
        let was = std::mem::replace(&mut self.pods[pod].state, State::Broken);
        // Another pod may hold what this one wants, and what is there stands in the way of more.
        let is_free = !self.pods[pod].operation.scene.has_vfs()
            || self.others(pod).all(|other| {
                !other.operation.scene.has_vfs() || matches!(other.state, State::Clean)
            });
        if fault.is_empty() && is_free && matches!(was, State::Clean) {
            self.expect(&ran, &format!("ADD of pod {pod}"));
        }
        self.pods[pod].state = match was {
            State::Clean if ran.has_succeeded() => State::Whole(ran),
            // One more ADD of what is there has failed, and has changed nothing.
            State::Whole(added) if !ran.was_killed() && !ran.has_succeeded() => State::Whole(added),
            _ => State::Broken,
        };
    }

    fn del(&mut self, pod: usize, fault: &str) {
        self.counts.dels += 1;
        self.counts.faults += 1;
        self.done.push(format!("DEL {pod} {fault}"));
        self.pods[pod].operation.run(Verb::Del, fault);
        self.pods[pod].state = State::Broken;
    }

    fn close(&mut self, pod: usize, closing: Closing) {
        self.counts.dels += 1;
        self.done.push(format!("{closing:?} {pod}"));
        let valid = self.others(pod).filter(|other| !matches!(other.state, State::Clean));
        let valid: Vec<&Operation> = valid.map(|other| &other.operation).collect();
        let ran = self.pods[pod].operation.close(closing, &valid, "");
        self.expect(&ran, &format!("{closing:?} of pod {pod}"));
        self.pods[pod].state = State::Clean;
    }

    fn others(&self, pod: usize) -> impl Iterator<Item = &Pod> {
        self.pods.iter().enumerate().filter(move |(other, _)| *other != pod).map(|(_, pod)| pod)
    }

    fn expect(&mut self, ran: &Ran, what: &str) {
        if !ran.has_succeeded() {
            self.wrong.push(format!("{what}, action {}: {}", self.done.len(), ran.output_text()));
        }
    }
}
