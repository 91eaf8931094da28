//! Instruction counts of the pure parts, beside those that the repository keeps.

mod counts;

use std::{
    env,
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use podbond_bench::aligned;
use podbond_lab::{Progress, Valgrind};

use self::counts::{Change, Counts, Kept, read};
use crate::{
    build,
    error::{Error, FileContext},
    workspace::{root, target},
};

/// The counts that are kept, a line for each.
const KEPT: &str = "crates/bench/instructions.txt";

/// The version of gungraun, which its runner must share with the library in Cargo.toml.
const VERSION: &str = "0.20.0";

/// glibc has `memcpy` and its like for each generation of processors, and takes the best. Here it
/// takes the one that every processor has, so that counts do not depend on the machine.
const PLAIN: &str = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-ERMS,-FSRM,\
    -SSSE3,-SSE4_1,-SSE4_2,-BMI1,-BMI2";

/// Counts and compares with what is kept; gives the table for the page. An error tells of counts
/// that differ, unless they are to be kept from now on.
pub(super) fn run(keep: bool) -> Result<String, Error> {
    let counted = Kept { tools: tools()?, counts: count()? };
    let file = root().join(KEPT);
    let kept = match fs::read_to_string(&file) {
        Ok(text) if keep => Kept::parse(&text).unwrap_or_default(),
        Ok(text) => Kept::parse(&text)?,
        Err(_) if keep => Kept::default(),
        Err(error) => return Err(error).file("read", &file),
    };
    let changes = Change::all(&kept.counts, &counted.counts);
    println!(
        "{}",
        table(["instructions of", "kept", "counted", ""], changes.iter().map(Change::cells))
    );
    if keep {
        fs::write(&file, counted.text()).file("write", &file)?;
    } else {
        let differ = changes.iter().filter(|change| !change.is_tolerated()).count();
        if differ > 0 {
            return Err(Error::Counts { differ, kept: kept.tools, counted: counted.tools });
        }
    }
    let rows = counted.counts.iter().map(|(name, count)| vec![name.clone(), count.to_string()]);
    Ok(table(["instructions of", "count"], rows))
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: Vec<String> = head.map(str::to_owned).into();
    aligned(&[head].into_iter().chain(rows).collect::<Vec<_>>(), 1)
}

/// Builds the counted functions and runs each under valgrind.
fn count() -> Result<Counts, Error> {
    let valgrind = Valgrind::prepare(&Progress::on_stderr())?;
    let runner = runner()?;
    eprintln!("xtask: building what is counted");
    let mut command = build::cargo();
    command.args(["bench", "--quiet", "--package", "podbond-bench", "--bench", "instructions"]);
    command.args(["--", "--output-format=json", "--nosummary"]);
    command.env("GUNGRAUN_RUNNER", runner).env("GUNGRAUN_VALGRIND_BIN", valgrind.program());
    command.env("VALGRIND_LIB", valgrind.tools());
    command.env("GUNGRAUN_ENVS", format!("VALGRIND_LIB {PLAIN}"));
    // Flags of the caller's would count for another program.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Start { program: "cargo".into(), source })?;
    if !output.status.success() {
        let what = "counting instructions".to_owned();
        return Err(Error::Program { what, status: output.status });
    }
    read(&String::from_utf8_lossy(&output.stdout))
}

/// gungraun's runner, installed beside what is built.
fn runner() -> Result<PathBuf, Error> {
    let directory = target().join(format!("tools/gungraun-runner-{VERSION}"));
    let runner = directory.join("bin/gungraun-runner");
    if !runner.is_file() {
        eprintln!("xtask: building gungraun-runner {VERSION}");
        let mut command = build::cargo();
        // It only starts valgrind and reads what that writes: optimising it would take longer.
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.args(["install", "--quiet", "--locked", "--debug", "--no-track", "--root"]);
        command.arg(&directory).arg(format!("gungraun-runner@={VERSION}"));
        let status = command.status();
        let status = status.map_err(|source| Error::Start { program: "cargo".into(), source })?;
        if !status.success() {
            return Err(Error::Program { what: "building gungraun-runner".into(), status });
        }
    }
    Ok(runner)
}

/// What counts depend on beside our code: `rustc 1.95.0, glibc 2.36`.
fn tools() -> Result<String, Error> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let compiler = says(Command::new(rustc).arg("--version"))?;
    let compiler: Vec<&str> = compiler.split_whitespace().take(2).collect();
    let library = says(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    Ok(format!("{}, {}", compiler.join(" "), library.trim()))
}

fn says(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.current_dir(root()).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Start { program: program.clone(), source })?;
    if !output.status.success() {
        let what = format!("asking {program} for a version");
        return Err(Error::Program { what, status: output.status });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_has_the_version_of_the_library() {
        let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(workspace.contains(&format!("\ngungraun = \"={VERSION}\"\n")));
    }

    #[test]
    fn what_is_kept_can_be_read() {
        let text = fs::read_to_string(root().join(KEPT)).unwrap();
        assert!(!Kept::parse(&text).unwrap().counts.is_empty());
    }
}
