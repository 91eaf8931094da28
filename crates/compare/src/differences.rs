//! Compares the facts of two runs.

use podbond_compare::Difference;

use crate::cases::Case;
use crate::facts::{Facts, THERE};

/// Returns what is not the same, or is there for one of them only: of a link that is, nothing more.
///
/// Errors differ in their words, and where only one of them fails nothing else can be compared.
pub(crate) fn differences(
    case: &Case,
    when: &str,
    peer: &Facts,
    podbond: &Facts,
) -> Vec<Difference> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let get = |facts: &Facts, name: &str| facts.get(name).cloned().unwrap_or_default();
    let mut names: Vec<&String> = peer.keys().chain(podbond.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (peer, podbond) = (get(peer, name), get(podbond, name));
        let is_exit = name.ends_with("exit");
        if peer == podbond || (is_exit && is_failure(&peer) && is_failure(&podbond)) {
            continue;
        }
        if missing.iter().any(|link: &String| name.starts_with(link)) {
            continue;
        }
        if peer == THERE || podbond == THERE {
            missing.push(format!("{name} "));
        }
        let row = case.row(name).map(str::to_owned);
        let what = format!("{when}: {name}");
        let one = Difference { case: case.title(), what, peer, podbond, row };
        if is_exit {
            return vec![one];
        }
        found.push(one);
    }
    found
}

fn is_failure(exit: &str) -> bool {
    exit != "0"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pairs: &[(&str, &str)]) -> Facts {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn found(peer: &[(&str, &str)], podbond: &[(&str, &str)]) -> Vec<String> {
        let case = crate::cases::all().unwrap().remove(0);
        let found = differences(&case, "ADD", &facts(peer), &facts(podbond));
        let line = |one: Difference| format!("{}|{}|{}", one.what, one.peer, one.podbond);
        found.into_iter().map(line).collect()
    }

    #[test]
    fn other_values_and_missing_ones_are_differences() {
        let peer = [("a", "1"), ("b", "2"), ("exit", "0")];
        assert_eq!(found(&peer, &peer), [""; 0]);
        let podbond = [("a", "1"), ("b", "3"), ("c", "4"), ("exit", "0")];
        assert_eq!(found(&peer, &podbond), ["ADD: b|2|3", "ADD: c||4"]);
    }

    #[test]
    fn link_that_one_of_them_lacks_is_one_difference() {
        let peer = [("net3", THERE), ("net3 mtu", "1500"), ("net30", THERE), ("net30 mtu", "1500")];
        assert_eq!(found(&peer, &peer[2..]), ["ADD: net3|is there|"]);
    }

    #[test]
    fn words_of_two_errors_may_differ_and_one_error_hides_all_else() {
        assert_eq!(found(&[("exit", "1: no")], &[("exit", "1: not so")]), [""; 0]);
        let seen = found(&[("a", "1"), ("exit", "0")], &[("exit", "1: no")]);
        assert_eq!(seen, ["ADD: exit|0|1: no"]);
    }
}
