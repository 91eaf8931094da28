//! Two pods at a time, whose ADDs and DELs come, fail and are killed in any order.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::operation::{Closing, Operation, Ran, Verb};
use crate::random::Random;
use crate::report::{is_full, progress, row};
use crate::snapshot::Snapshot;

/// The seed of all sequences: given, or another one each time.
const SEED: &str = "PODBOND_TEST_SEED";

/// The errors that a change is refused with.
const ERRORS: [i32; 3] = [1, 16, 28];

/// The actions of the longest sequence, without those that end it.
const LONGEST: usize = 8;

/// What makes an operation for one of two pods.
type Kind = fn(u8) -> Operation;

/// What one pod is like.
enum State {
    /// Nothing of it is there.
    Clean,
    /// Its ADD succeeded, and nothing has happened to it since.
    Whole(Ran),
    /// Anything else: there is something to take away.
    Broken,
}

/// Two pods of one kind.
struct Pair {
    pods: [Operation; 2],
    states: [State; 2],
    before: Snapshot,
    /// How many changes an ADD and a DEL make.
    changes: [usize; 2],
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

/// Runs sequences of each kind, prints a row for each and panics if anything was lost.
pub(crate) fn sequences() {
    let seed = seed();
    let times = if is_full() { 10 } else { 1 };
    let kinds: [(Kind, usize); 5] = [
        (Operation::host_local, 120),
        (Operation::bond_in_pod, 70),
        (Operation::bond_on_host, 50),
        (Operation::bond_vlan, 40),
        (Operation::sriov, 20),
    ];
    let mut random = Random::new(seed);
    let mut wrong = Vec::new();
    for (kind, count) in kinds {
        let count = count * times;
        let mut pair = Pair::new(kind);
        let mut leaks = Vec::new();
        for number in 1..=count {
            progress(format_args!("{}: sequence {number} of seed {seed}", pair.pods[0].name));
            leaks.extend(pair.sequence(&mut random));
        }
        let what = format!("{count} sequences, seed {seed}");
        let Counts { adds, dels, faults } = pair.counts;
        row(pair.pods[0].name, &what, adds, dels, faults, leaks.len());
        wrong.extend(leaks);
    }
    assert!(wrong.is_empty(), "{SEED}={seed}:\n{}", wrong.join("\n"));
}

fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(given) => given.parse().expect("PODBOND_TEST_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000,
    }
}

impl Pair {
    fn new(kind: Kind) -> Self {
        let pods = [0, 1].map(kind);
        let before = set_up(&pods);
        let ran = [Verb::Add, Verb::Del].map(|verb| pods[0].run(verb, "").changes.len());
        Self {
            pods,
            states: [State::Clean, State::Clean],
            before,
            changes: ran,
            done: Vec::new(),
            wrong: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// One sequence, to its end. Gives what is wrong afterwards.
    fn sequence(&mut self, random: &mut Random) -> Option<String> {
        for _ in 0..=random.below(LONGEST) {
            let pod = random.below(2);
            match self.states[pod] {
                State::Clean => self.begin(pod, random),
                State::Whole(_) | State::Broken => self.go_on(pod, random),
            }
        }
        for pod in 0..2 {
            if let State::Whole(added) = &self.states[pod] {
                let checked = self.pods[pod].check(added);
                self.expect(&checked, &format!("CHECK of pod {pod}"));
            }
        }
        for pod in 0..2 {
            self.close(pod, Closing::Del);
        }
        let netns = self.pods.each_ref().map(|pod| pod.scene.netns.as_str());
        let mut wrong = std::mem::take(&mut self.wrong);
        wrong.extend(Snapshot::take(&netns).since(&self.before));
        let done = std::mem::take(&mut self.done);
        if wrong.is_empty() {
            return None;
        }
        let text = format!("{}: {}:\n  {}", self.pods[0].name, done.join(", "), wrong.join("\n  "));
        progress(format_args!("WRONG: {text}"));
        self.before = set_up(&self.pods);
        Some(text)
    }

    /// Something happens to a pod of which nothing is there.
    fn begin(&mut self, pod: usize, random: &mut Random) {
        match random.below(8) {
            0..3 => self.add(pod, ""),
            3..6 => {
                let fault = self.death(Verb::Add, random);
                self.add(pod, &fault);
            }
            6 => {
                let fault = self.refusal(Verb::Add, random);
                self.add(pod, &fault);
            }
            _ => self.close(pod, Closing::Del),
        }
    }

    /// Something happens to a pod of which there is something.
    fn go_on(&mut self, pod: usize, random: &mut Random) {
        match random.below(8) {
            0..2 => self.close(pod, *random.one_of(self.pods[pod].closings())),
            2 => self.close(pod, Closing::Del),
            3..5 => {
                let fault = self.death(Verb::Del, random);
                self.del(pod, &fault);
            }
            5 => {
                let fault = self.refusal(Verb::Del, random);
                self.del(pod, &fault);
            }
            6 => self.add(pod, ""),
            _ => {
                let fault = self.death(Verb::Add, random);
                self.add(pod, &fault);
            }
        }
    }

    fn death(&self, verb: Verb, random: &mut Random) -> String {
        let moment = random.one_of(&["before", "after"]);
        format!("die-{moment}={}", self.position(verb, random))
    }

    fn refusal(&self, verb: Verb, random: &mut Random) -> String {
        format!("fail={}:{}", self.position(verb, random), random.one_of(&ERRORS))
    }

    fn position(&self, verb: Verb, random: &mut Random) -> usize {
        1 + random.below(self.changes[verb as usize])
    }

    fn add(&mut self, pod: usize, fault: &str) {
        self.counts.adds += 1;
        self.counts.faults += usize::from(!fault.is_empty());
        self.done.push(format!("ADD {pod} {fault}").trim_end().to_owned());
        let ran = self.pods[pod].run(Verb::Add, fault);
        let was = std::mem::replace(&mut self.states[pod], State::Broken);
        // Another pod may hold what this one wants, and what is there stands in the way of more.
        let is_free = matches!(self.states[1 - pod], State::Clean)
            || self.pods[pod].scene.networks == crate::scene::Networks::None;
        if fault.is_empty() && is_free && matches!(was, State::Clean) {
            self.expect(&ran, &format!("ADD of pod {pod}"));
        }
        self.states[pod] = match was {
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
        self.pods[pod].run(Verb::Del, fault);
        self.states[pod] = State::Broken;
    }

    fn close(&mut self, pod: usize, closing: Closing) {
        self.counts.dels += 1;
        self.done.push(format!("{closing:?} {pod}"));
        let other = &self.pods[1 - pod];
        let is_valid = !matches!(self.states[1 - pod], State::Clean);
        let valid = if is_valid { vec![other] } else { Vec::new() };
        let ran = self.pods[pod].close(closing, &valid, "");
        self.expect(&ran, &format!("{closing:?} of pod {pod}"));
        self.states[pod] = State::Clean;
    }

    fn expect(&mut self, ran: &Ran, what: &str) {
        if !ran.has_succeeded() {
            self.wrong.push(format!("{what}, action {}: {}", self.done.len(), ran.told()));
        }
    }
}

/// Sets both scenes, once used.
fn set_up(pods: &[Operation; 2]) -> Snapshot {
    for pod in pods {
        pod.scene.clear();
    }
    for pod in pods {
        pod.scene.build();
    }
    for pod in pods {
        for verb in [Verb::Add, Verb::Del] {
            let ran = pod.run(verb, "");
            assert!(ran.has_succeeded(), "{} {verb:?}: {}", pod.name, ran.told());
        }
    }
    Snapshot::take(&pods.each_ref().map(|pod| pod.scene.netns.as_str()))
}
