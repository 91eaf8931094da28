//! `cargo xtask dist`: the executable that is given to others.

use std::{
    fs,
    process::{Command, ExitCode},
};

use clap::Args;

use crate::{
    build,
    error::{Error, FileContext},
    process,
    workspace::root,
};

/// Every node of a cluster loads it, and the kernel maps it for each attachment.
const MOST_BYTES: u64 = 8_000_000;

/// Build dist/podbond: static, optimised, ready to be copied to a node
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cargo xtask dist && scp dist/podbond node: && ssh node ./podbond install /opt/cni/bin")]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, Error> {
    let built = build::for_dist("podbond")?;
    let bytes = fs::metadata(&built).file("read", &built)?.len();
    if bytes > MOST_BYTES {
        let message =
            format!("dist/podbond was not written: {bytes} bytes, more than {MOST_BYTES}");
        return Err(Error::Other(message));
    }
    let headers = process::output(Command::new("readelf").arg("-lW").arg(&built), "readelf")?;
    if headers.contains("INTERP") {
        return Err(Error::Other("dist/podbond was not written: it is linked dynamically".into()));
    }
    let dist = root().join("dist");
    fs::create_dir_all(&dist).file("make", &dist)?;
    let (target, new) = (dist.join("podbond"), dist.join("podbond.new"));
    fs::copy(&built, &new).file("copy", &built)?;
    fs::rename(&new, &target).file("rename", &new)?;
    let sum = process::output(Command::new("sha256sum").arg(&target), "sha256sum")?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    println!("dist/podbond: static, {bytes} bytes, sha256 {sum}");
    Ok(ExitCode::SUCCESS)
}
