//! What planning costs.

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use podbond_bench::Row;
use podbond_bench::nads::{self, COUNT};
use podbond_bench::pure::{Pod, parse};

use crate::error::Error;

/// A plugin that is not podbond's, and is never called: planning only looks whether it is there.
const FOREIGN: &str = "foreign";

/// Planning a thousand bonds: the pure part alone, and as a person does it, with everything from
/// the start of the process to its last line.
pub(crate) fn rows(podbond: &Path, runs: u32) -> Result<Vec<Row>, Error> {
    let texts: Vec<String> = (0..COUNT).map(|number| nads::config(number).to_string()).collect();
    let pod = Pod::new().map_err(|why| Error::Refused { what: "a pod".to_owned(), why })?;
    let pure = measure("plan 1,000 NADs: JSON to steps", runs, || {
        texts.iter().try_for_each(|text| one(text, &pod))
    })?;

    let podbond = &podbond.canonicalize()?;
    let dir = tempfile::tempdir()?;
    let (plugins, nads) = (dir.path().join("plugins"), dir.path().join("nads.json"));
    let pods = dir.path().join("pods.json");
    fs::create_dir(&plugins)?;
    for plugin in ["bond", "host-local", FOREIGN] {
        symlink(podbond, plugins.join(plugin))?;
    }
    fs::write(&nads, nads::manifest())?;
    fs::write(&pods, nads::pods(FOREIGN))?;
    let run = |files: &[&Path]| run(podbond, &plugins, files);
    let read = measure("podbond plan -f, 1,000 NADs", runs, || run(&[&nads]))?;
    let used =
        measure("podbond plan -f, 1,000 NADs, a pod for each", runs, || run(&[&nads, &pods]))?;
    Ok(vec![pure, read, used])
}

/// Does it once to warm up, then `runs` times with the clock running.
fn measure(
    name: &str,
    runs: u32,
    mut work: impl FnMut() -> Result<(), Error>,
) -> Result<Row, Error> {
    work()?;
    let mut times = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        work()?;
        times.push(begun.elapsed());
    }
    Ok(Row::timed(name, "podbond", times))
}

/// Everything pure from the NAD's text to the steps of its ADD.
fn one(text: &str, pod: &Pod) -> Result<(), Error> {
    let plan = parse(text).and_then(|config| pod.plan(&config));
    black_box(plan.map_err(|why| Error::Refused { what: text.to_owned(), why })?);
    Ok(())
}

fn run(podbond: &Path, plugins: &Path, files: &[&Path]) -> Result<(), Error> {
    let mut command = Command::new(podbond);
    command.arg("plan").env("CNI_PATH", plugins).stdin(Stdio::null());
    for file in files {
        command.arg("-f").arg(file);
    }
    let output = command.output();
    let output = output.map_err(|source| Error::Start { program: podbond.to_owned(), source })?;
    if output.status.success() {
        Ok(())
    } else {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::Refused { what: "podbond plan".to_owned(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_has_no_time() {
        assert!(matches!(one("{}", &Pod::new().unwrap()), Err(Error::Refused { .. })));
    }
}
