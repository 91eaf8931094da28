//! `cargo xtask dist`: the executables that are given to others, and the agent's image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Args;
use podbond_lab_cluster::{agent_image, image_name};

use crate::{
    build,
    error::{Error, FileContext},
    process,
    workspace::root,
};

/// The executables, and the most bytes that each may have: every node of a cluster loads them, and the kernel
/// maps the first for each attachment.
const EXECUTABLES: [(&str, u64); 2] = [("podbond", 8_000_000), ("podbond-agent", 14_000_000)];

/// The image of the agent, as `ctr images import`, `podman load` and `docker load` take it.
const IMAGE: &str = "podbond-agent-image.tar";

/// Build dist/podbond and dist/podbond-agent, static and optimised, and the agent's image of both
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask dist && scp dist/podbond node: && ssh node ./podbond install /opt/cni/bin
  cargo xtask dist && skopeo copy docker-archive:dist/podbond-agent-image.tar docker://registry.example/podbond-agent:1
        then name that image in deploy/agent.yaml")]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, Error> {
    let dist = root().join("dist");
    fs::create_dir_all(&dist).file("make", &dist)?;
    let mut paths = Vec::new();
    for (name, most) in EXECUTABLES {
        paths.push(executable(name, most, &dist)?);
    }
    let manifest = root().join("deploy/agent.yaml");
    let name = image_name(&[manifest])?;
    let path = dist.join(IMAGE);
    agent_image(&paths[0], &paths[1])?.write(&[&name], &path).file("write", &path)?;
    println!("dist/{IMAGE}: {name}, {}", sha256(&path)?);
    Ok(ExitCode::SUCCESS)
}

/// Builds an executable, and returns its path in `dist`.
fn executable(name: &str, most: u64, dist: &Path) -> Result<PathBuf, Error> {
    let built = build::for_dist(name)?;
    let bytes = fs::metadata(&built).file("read", &built)?.len();
    if bytes > most {
        let message = format!("dist/{name} was not written: {bytes} bytes, more than {most}");
        return Err(Error::Other(message));
    }
    let headers = process::output(Command::new("readelf").arg("-lW").arg(&built), "readelf")?;
    if headers.contains("INTERP") {
        return Err(Error::Other(format!("dist/{name} was not written: it is linked dynamically")));
    }
    let (target, new) = (dist.join(name), dist.join(format!("{name}.new")));
    fs::copy(&built, &new).file("copy", &built)?;
    fs::rename(&new, &target).file("rename", &new)?;
    println!("dist/{name}: static, {bytes} bytes, {}", sha256(&target)?);
    Ok(target)
}

fn sha256(path: &Path) -> Result<String, Error> {
    let sum = process::output(Command::new("sha256sum").arg(path), "sha256sum")?;
    Ok(format!("sha256 {}", sum.split_whitespace().next().unwrap_or_default()))
}
