//! What planning costs.

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use podbond_bond::{Config, Surroundings, plan};
use podbond_cni::{Args, NetConf};
use podbond_kernel::{Link, LinkState, Vf, VfSettings, View};
use podbond_names::LinkName;

use crate::error::Error;
use crate::nads::{self, COUNT, MOST_PORTS};
use podbond_bench::Row;

/// A plugin that is not podbond's, and is never called: planning only looks whether it is there.
const FOREIGN: &str = "foreign";

/// Planning a thousand bonds: the pure part alone, and as a person does it, with everything from
/// the start of the process to its last line.
pub(crate) fn rows(podbond: &Path, runs: u32) -> Result<Vec<Row>, Error> {
    let texts: Vec<String> = (0..COUNT).map(|number| nads::config(number).to_string()).collect();
    let (ifname, view) = pod()?;
    let pure = measure("plan 1,000 NADs: JSON to steps", runs, || {
        texts.iter().try_for_each(|text| one(text, &ifname, &view))
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
fn one(text: &str, ifname: &LinkName, view: &View) -> Result<(), Error> {
    let refused = |why: String| Error::Refused { what: text.to_owned(), why };
    let conf = NetConf::parse(text.as_bytes()).map_err(|failure| refused(failure.to_string()))?;
    let config =
        Config::parse(&conf, &Args::default()).map_err(|error| refused(error.to_string()))?;
    let plan = plan(&config, ifname, view, &Surroundings::default())
        .map_err(|error| refused(error.to_string()))?;
    black_box(plan);
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

/// A pod with as many trusted VFs as the largest bond takes, from three PFs, and the bond's name.
fn pod() -> Result<(LinkName, View), Error> {
    let mut view = View::default();
    for number in 0..MOST_PORTS {
        let (card, function) = (number % 3, number / 3);
        let pci = valid(&format!("0000:0{}:1{}.{}", card + 1, function / 4, function % 4 * 2))?;
        view.pod.push(Link {
            index: u32::try_from(number).unwrap_or(u32::MAX).saturating_add(2),
            name: valid(&format!("net{}", number + 1))?,
            altnames: Vec::new(),
            kind: None,
            mac: Some(valid(&format!("02:00:00:00:00:{number:02x}"))?),
            permanent_mac: None,
            mtu: 9000,
            max_mtu: 9216,
            state: LinkState::Up,
            carrier: true,
            master: None,
            parent: Some(pci),
            vlan: None,
            bond: None,
            aggregator: None,
            port: None,
        });
        view.vfs.push(Vf {
            pci,
            pf: valid(&format!("0000:0{}:00.0", card + 1))?,
            pf_link: valid(&format!("pf{card}"))?,
            index: u16::try_from(function).unwrap_or(u16::MAX),
            driver: Some("igbvf".to_owned()),
            settings: VfSettings { trust: Some(true), ..VfSettings::default() },
        });
    }
    Ok((valid("bond0")?, view))
}

fn valid<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|why: T::Err| Error::Refused { what: text.to_owned(), why: why.to_string() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_of_the_nads_is_planned_and_no_two_are_alike() {
        let (ifname, view) = pod().unwrap();
        let texts: BTreeSet<String> = (0..COUNT).map(|n| nads::config(n).to_string()).collect();
        assert_eq!(texts.len(), COUNT);
        for text in texts {
            one(&text, &ifname, &view).unwrap();
        }
    }

    #[test]
    fn what_is_refused_has_no_time() {
        let (ifname, view) = pod().unwrap();
        assert!(matches!(one("{}", &ifname, &view), Err(Error::Refused { .. })));
    }
}
