//! A start alone: of a static C program that does nothing, and of plugins that are asked for their
//! version.

use std::fs;
use std::path::{Path, PathBuf};

use crate::case::{Case, FLOOR, Subject};
use crate::error::Error;
use crate::process::Process;

/// Programs to start: the name of who does it, and the executable.
pub(crate) type Program = (String, PathBuf);

/// The case with this name. `nothing` is the static C program.
pub(crate) fn case(
    name: &str,
    nothing: &Path,
    plugins: &[Program],
    directory: &Path,
) -> Result<Case, Error> {
    let input = directory.join("version.json");
    fs::write(&input, r#"{"cniVersion":"1.0.0"}"#).map_err(Error::file("write", &input))?;
    let mut subjects = vec![Subject::once(FLOOR, Process::new(nothing).input(&input))];
    subjects.extend(plugins.iter().map(|(subject, program)| {
        let version = Process::new(program).variable("CNI_COMMAND", "VERSION");
        Subject::once(subject, version.input(&input))
    }));
    Ok(Case { name: name.to_owned(), subjects })
}
