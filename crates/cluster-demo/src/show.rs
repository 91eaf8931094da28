//! Shows commands and claims on standard output.

use podbond_lab_cluster::kubectl;

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A claim does not hold.
    #[error("not true: {claim}. Seen was:\n{seen}")]
    NotTrue {
        /// What is not so.
        claim: String,
        /// What was looked at.
        seen: String,
    },
    /// A command failed, or something did not come in time.
    #[error(transparent)]
    Cluster(#[from] podbond_lab_cluster::Error),
}

/// Says what comes next.
pub(crate) fn say(what: &str) {
    println!("\n== {what}");
}

/// Runs kubectl, shows it and what it prints, and returns that.
pub(crate) fn show(arguments: &[&str]) -> Result<String, Error> {
    println!("$ kubectl {}", arguments.join(" "));
    let printed = kubectl::run(arguments)?;
    print!("{printed}");
    Ok(printed)
}

/// Says that something is true, or fails with what was seen.
pub(crate) fn claim(holds: bool, claim: &str, seen: &str) -> Result<(), Error> {
    if holds {
        println!("  [ok] {claim}");
        Ok(())
    } else {
        Err(Error::NotTrue { claim: claim.into(), seen: seen.into() })
    }
}
