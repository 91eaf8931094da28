//! Instruction counts of the pure parts, and those that the repository keeps.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Stdio};

use serde_json::Value;

use crate::{
    build,
    error::{Error, FileContext},
    workspace::{root, target},
};

/// The runner's version is that of the library in Cargo.toml.
const RUNNER: [&str; 4] = ["install", "gungraun-runner@0.20.0", "--locked", "--root"];

/// The counts that are kept, a line for each.
const KEPT: &str = "crates/bench/instructions.txt";

/// By how many hundredths a count may be above the one that is kept.
const TOLERATED: u64 = 2;

type Counts = BTreeMap<String, u64>;

/// Counts, prints what was counted beside what is kept, and keeps it if so asked. Gives whether no
/// count is above the one that is kept. It needs valgrind (Debian's package valgrind).
pub(crate) fn run(keep: bool) -> Result<bool, Error> {
    let counts = count()?;
    let file = root().join(KEPT);
    let kept = parse(&fs::read_to_string(&file).unwrap_or_default());
    for (name, count) in &counts {
        let before = kept.get(name).map_or_else(|| "none".to_owned(), u64::to_string);
        println!("{name:32} {count:>10} instructions, kept: {before}");
    }
    if keep {
        let lines = counts.iter().map(|(name, count)| format!("{name} {count}\n"));
        fs::write(&file, lines.collect::<String>()).file("write", &file)?;
    }
    Ok(keep || !is_more(&counts, &kept))
}

fn is_more(counts: &Counts, kept: &Counts) -> bool {
    counts.iter().any(|(name, &count)| match kept.get(name) {
        Some(kept) => count > kept + kept * TOLERATED / 100,
        None => true,
    })
}

fn count() -> Result<Counts, Error> {
    let mut command = build::cargo();
    command.args(["bench", "--quiet", "--package", "podbond-bench", "--bench", "instructions"]);
    command.args(["--", "--output-format=json"]).env("GUNGRAUN_RUNNER", runner()?);
    // What is counted is found by its name.
    command.env("CARGO_PROFILE_BENCH_STRIP", "none");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Start { program: "cargo".into(), source })?;
    if !output.status.success() {
        let what = "counting instructions, which needs valgrind,".to_owned();
        return Err(Error::Program { what, status: output.status });
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let counts: Result<Vec<_>, Error> =
        lines.map(|line| Ok(read(&serde_json::from_str(line)?))).collect();
    Ok(counts?.into_iter().flatten().collect())
}

/// The count in a summary of gungraun's.
fn read(summary: &Value) -> Option<(String, u64)> {
    let word = |key: &str| summary.get(key)?.as_str();
    let count = summary.pointer("/profiles/0/data/total/metrics/Ir/values/new")?.as_u64()?;
    Some((format!("{}/{}", word("function_name")?, word("id")?), count))
}

fn parse(text: &str) -> Counts {
    let line = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// gungraun's runner, installed beside what is built.
fn runner() -> Result<PathBuf, Error> {
    let tools = target().join("tools");
    let runner = tools.join("bin/gungraun-runner");
    if !runner.is_file() {
        let mut command = build::cargo();
        let status = command.args(RUNNER).arg(&tools).status();
        let status = status.map_err(|source| Error::Start { program: "cargo".into(), source })?;
        if !status.success() {
            return Err(Error::Program { what: "installing gungraun-runner".into(), status });
        }
    }
    Ok(runner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_may_be_little_above_the_one_that_is_kept() {
        let kept = parse("plan/two 1000\nparse/two 500\n");
        let counts = |count| Counts::from([("plan/two".to_owned(), count)]);
        assert!(!is_more(&counts(900), &kept) && !is_more(&counts(1020), &kept));
        assert!(is_more(&counts(1021), &kept));
        assert!(is_more(&counts(1), &Counts::new()), "what is not kept is to be kept");
    }

    #[test]
    fn the_count_of_a_summary_is_that_of_all_instructions() {
        let metrics = json!({"Ir": {"values": {"new": 7}}, "L1hits": {"values": {"new": 9}}});
        let summary = json!({
            "function_name": "plan_bond", "id": "two_ports",
            "profiles": [{"data": {"total": {"metrics": metrics}}}],
        });
        assert_eq!(read(&summary), Some(("plan_bond/two_ports".to_owned(), 7)));
    }
}
