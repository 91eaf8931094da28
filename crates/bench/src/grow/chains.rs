//! More and more pods that get their bond at the same moment.
//!
//! The lab has too few VFs for as many: the ports are dummies, so that all of it is the bond plugin
//! with an address of host-local's.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use podbond_bench::{Growth, Line, Point, Spread};
use serde_json::Value;

use crate::bond;
use crate::case::{Method, PODBOND, Subject};
use crate::error::Error;
use crate::plugin::Plugin;

const SIZES: [u32; 4] = [1, 10, 30, 100];

/// From the first start to the last end, for each of them.
pub(super) fn growth(method: Method<'_>) -> Result<Vec<Growth>, Error> {
    let directory = tempfile::tempdir()?;
    let config = bond::config(true);
    let pods: Vec<Subject> = (0..SIZES[SIZES.len() - 1])
        .map(|number| pod(number, &config, directory.path()))
        .collect::<Result<_, _>>()?;
    let mut points = Vec::new();
    for size in SIZES {
        eprintln!("growing: {size} chains at once");
        let pods = &pods[..usize::try_from(size).unwrap_or(usize::MAX).min(pods.len())];
        let mut times: Vec<Duration> = Vec::new();
        for round in 0..=method.runs.div_ceil(3) {
            let time = at_once(pods)? / size;
            if round > 0 {
                times.push(time);
            }
        }
        points.push(Point { size, wall_ms: Spread::of(times), syscalls: None });
    }
    let lines = vec![Line { subject: PODBOND.to_owned(), points }];
    let name = "bond ADD with IPAM at once".to_owned();
    Ok(vec![Growth { name, of: "chains at once (ms for each)".to_owned(), lines }])
}

fn pod(number: u32, config: &Value, directory: &Path) -> Result<Subject, Error> {
    let netns = format!("bench-at-once-{number}");
    bond::prepare_in(&netns)?;
    let directory = directory.join(&netns);
    std::fs::create_dir(&directory).map_err(Error::file("make", &directory))?;
    Plugin::podbond("bond").subject_of(&netns, &netns, "net3", config, &directory)
}

/// How long the ADDs of all take that are started together. They are undone one by one.
fn at_once(pods: &[Subject]) -> Result<Duration, Error> {
    let begun = Instant::now();
    thread::scope(|scope| {
        let adds: Vec<_> = pods.iter().map(|pod| scope.spawn(|| pod.add_alone())).collect();
        adds.into_iter().try_for_each(|add| match add.join() {
            Ok(done) => done.map(drop),
            Err(_) => Err(Error::Refused { what: "ADD".to_owned(), why: "a panic".to_owned() }),
        })
    })?;
    let time = begun.elapsed();
    pods.iter().try_for_each(|pod| pod.delete_alone().map(drop))?;
    Ok(time)
}
