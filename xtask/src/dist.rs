//! `cargo xtask dist`: the executable that is given to others.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use clap::Args;

use crate::{
    build,
    error::{Error, FileContext},
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
    let built = build::podbond_for_dist()?;
    let bytes = fs::read(&built).file("read", &built)?;
    check(&bytes)?;
    let dist = root().join("dist");
    fs::create_dir_all(&dist).file("make", &dist)?;
    let (target, new) = (dist.join("podbond"), dist.join("podbond.new"));
    fs::copy(&built, &new).file("copy", &built)?;
    fs::rename(&new, &target).file("rename", &new)?;
    println!("dist/podbond: static, {} bytes, sha256 {}", bytes.len(), sha256(&target)?);
    Ok(ExitCode::SUCCESS)
}

fn check(elf: &[u8]) -> Result<(), Error> {
    match has_interpreter(elf) {
        Some(false) => {}
        Some(true) => {
            return Err(Error::Dist("it is linked dynamically: it names an interpreter".into()));
        }
        None => return Err(Error::Dist("it is no 64-bit little-endian ELF executable".into())),
    }
    let size = elf.len() as u64;
    if size > MOST_BYTES {
        return Err(Error::Dist(format!("it has {size} bytes, more than {MOST_BYTES}")));
    }
    Ok(())
}

/// Whether an ELF file asks for a dynamic loader (program header `PT_INTERP`, see elf(5)).
fn has_interpreter(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte)))
    };
    // Magic, 64-bit, little-endian.
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, entry, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    for i in 0..count {
        let at = usize::try_from(table.checked_add(i * entry)?).ok()?;
        if number(at, 4)? == u64::from(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

fn sha256(path: &Path) -> Result<String, Error> {
    let output = Command::new("sha256sum").arg(path).output();
    let output = output.map_err(|source| Error::Start { program: "sha256sum".into(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .next()
        .map(str::to_owned)
        .ok_or_else(|| Error::Program { what: "sha256sum".into(), status: output.status })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header with one program header of this type.
    fn elf(kind: u8) -> Vec<u8> {
        let mut elf = vec![0; 0x40 + 0x38];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (elf[0x20], elf[0x36], elf[0x38], elf[0x40]) = (0x40, 0x38, 1, kind);
        elf
    }

    #[test]
    fn a_dynamic_executable_is_refused() {
        assert!(check(&elf(1)).is_ok());
        let error = check(&elf(3)).unwrap_err().to_string();
        assert!(error.contains("dynamically"), "{error}");
        // This test's own executable is an ordinary, dynamic one.
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(has_interpreter(&own), Some(cfg!(not(target_feature = "crt-static"))));
    }

    #[test]
    fn what_is_no_whole_elf_or_too_large_is_refused() {
        assert!(check(b"#!/bin/sh").is_err());
        assert!(check(&elf(1)[..0x40]).is_err());
        let mut large = elf(1);
        large.resize(8_000_001, 0);
        assert!(check(&large).unwrap_err().to_string().contains("8000001"));
    }
}
