//! Which lab tests run under which kernel, and in which machine. Pure.

use podbond_lab::Kernel;

/// What a change must not break under a kernel that is not the lab's own: that kernel's netlink,
/// its bonding options, the documented pod and its way back. By package and beginning of the name.
const SHORT: [(&str, &str); 6] = [
    ("podbond-kernel", ""),
    ("podbond-sriov", ""),
    ("podbond", "options::"),
    ("podbond", "documented::"),
    ("podbond", "del_pods::"),
    ("podbond", "vlan::"),
];

/// What must hold under the oldest kernel too: the documented pod with its way back, a VF, a fail-over, a
/// namespace that is gone, what `podbond gc` finds.
const SHORTEST: [(&str, &str); 6] = [
    ("podbond", "documented::"),
    ("podbond", "modes::active_backup"),
    ("podbond", "del_pods::"),
    ("podbond", "host_vfs::"),
    ("podbond", "podbond_gc::"),
    ("podbond", "altnames::"),
];

/// How much of the lab tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    /// Only what [`SHORT`] names.
    Short,
    /// Only what [`SHORTEST`] names.
    Shortest,
}

/// The tests of one executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) package: String,
    pub(super) tests: Vec<String>,
}

/// What one machine does: its share of the tests, by executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) kernel: Kernel,
    /// Its number among the shares of this kernel, from 1, and how many there are.
    pub(super) share: (usize, usize),
    /// For each executable, in the order of the list.
    pub(super) tests: Vec<Vec<String>>,
}

impl Run {
    pub(super) fn count(&self) -> usize {
        self.tests.iter().map(Vec::len).sum()
    }
}

/// The names that `executable --list --format terse` prints.
pub(super) fn parse_list(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The tests whose name holds one of the filter's words; all when it has none.
pub(super) fn filtered(mut tests: Vec<String>, filter: &str) -> Vec<String> {
    let holds_one = |name: &String| filter.split_whitespace().any(|word| name.contains(word));
    tests.retain(|name| filter.trim().is_empty() || holds_one(name));
    tests
}

/// An entry of the short lists that fits no test any more.
pub(super) fn stale(listed: &[Listed]) -> Option<String> {
    let fits = |(package, beginning): (&str, &str)| {
        let mut of_package = listed.iter().filter(|listed| listed.package == package);
        of_package.any(|listed| listed.tests.iter().any(|test| test.starts_with(beginning)))
    };
    let mut entries = SHORT.into_iter().chain(SHORTEST);
    let (package, beginning) = entries.find(|&entry| !fits(entry))?;
    Some(format!("{package} {beginning}"))
}

/// Deals the tests of each kernel to at most `shares`, one after another, so that neighbours, which
/// take alike, are in different ones. A short list is one share.
pub(super) fn deal(kernels: &[(Kernel, Scope)], listed: &[Listed], shares: usize) -> Vec<Run> {
    let mut runs = Vec::new();
    for &(kernel, scope) in kernels {
        let wanted: Vec<(usize, &String)> = listed
            .iter()
            .enumerate()
            .flat_map(|(executable, listed)| {
                let wanted = listed.tests.iter().filter(move |test| match scope {
                    Scope::All => true,
                    Scope::Short => is_in(&SHORT, &listed.package, test),
                    Scope::Shortest => is_in(&SHORTEST, &listed.package, test),
                });
                wanted.map(move |test| (executable, test))
            })
            .collect();
        let shares = match scope {
            Scope::All => shares.clamp(1, wanted.len().max(1)),
            Scope::Short | Scope::Shortest => 1,
        };
        runs.extend((0..shares).map(|share| {
            let mut tests = vec![Vec::new(); listed.len()];
            for (executable, test) in wanted.iter().skip(share).step_by(shares) {
                tests[*executable].push((*test).clone());
            }
            Run { kernel, share: (share + 1, shares), tests }
        }));
    }
    runs.retain(|run| run.count() > 0);
    runs
}

fn is_in(list: &[(&str, &str)], package: &str, test: &str) -> bool {
    list.iter().any(|&(of, beginning)| of == package && test.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(package: &str, tests: &[&str]) -> Listed {
        Listed { package: package.into(), tests: tests.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn tests_are_dealt_alternately() {
        let all = [listed("podbond", &["a", "b", "c"]), listed("podbond-lab", &["d", "e"])];
        let runs = deal(&[(Kernel::Trixie, Scope::All)], &all, 2);
        let tests: Vec<_> = runs.iter().map(|run| run.tests.concat().join(" ")).collect();
        assert_eq!(tests, ["a c e", "b d"]);
        assert_eq!((runs[0].share, runs[1].share), ((1, 2), (2, 2)));
        assert_eq!(runs[1].tests, [vec!["b".to_owned()], vec!["d".to_owned()]]);
    }

    #[test]
    fn no_machine_is_booted_for_nothing() {
        let one = [listed("podbond", &["a"])];
        assert_eq!(deal(&[(Kernel::Trixie, Scope::All)], &one, 4).len(), 1);
        assert_eq!(deal(&[(Kernel::Trixie, Scope::All)], &[listed("podbond", &[])], 4), []);
        assert_eq!(deal(&[(Kernel::Bookworm, Scope::Short)], &one, 4), []);
    }

    #[test]
    fn other_kernels_get_the_short_list() {
        let all = [
            listed(
                "podbond",
                &["modes::active_backup", "options::read_back", "checks::options::y"],
            ),
            listed("podbond-kernel", &["links"]),
        ];
        let runs = deal(&[(Kernel::Trixie, Scope::All), (Kernel::Bookworm, Scope::Short)], &all, 1);
        assert_eq!(runs[0].count(), 4);
        assert_eq!(runs[1].tests.concat(), ["options::read_back", "links"]);
        assert!(stale(&all).is_some());
        let runs = deal(&[(Kernel::Bullseye, Scope::Shortest)], &all, 2);
        assert_eq!(runs[0].tests.concat(), ["modes::active_backup"]);
    }

    #[test]
    fn filter_matches_any_of_its_words() {
        let tests = || parse_list("a::b: test\na::c: test\nd: test\n\n3 tests, 0 benchmarks\n");
        assert_eq!(tests(), ["a::b", "a::c", "d"]);
        assert_eq!(filtered(tests(), "d ::b"), ["a::b", "d"]);
        assert_eq!(filtered(tests(), ""), tests());
    }
}
