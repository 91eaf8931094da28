use crate::cli::{DoctorArgs, Output};
use crate::doctor::Report;
use crate::error::Error;
use crate::node::Node;
use crate::output::say;

/// Looks at the whole node for what does not work or will not survive.
pub(crate) fn doctor(node: &Node<'_>, args: &DoctorArgs) -> Result<(), Error> {
    let report = Report::make(node)?;
    match args.output {
        Output::Json => say(serde_json::to_string_pretty(&report).unwrap_or_default()),
        Output::Text => report.lines().iter().for_each(say),
    }
    if report.errors() == 0 { Ok(()) } else { Err(Error::Unwell) }
}
