//! `podbond doctor`: finds what does not work on the node, or will not survive the loss of a card.
//! Nothing is changed.

mod bonds;
mod observe;
mod report;
mod text;

use podbond_bond::Severity;

use crate::arguments::Output;
use crate::error::Error;
use crate::node::Node;
use crate::output::{say, say_json};

/// Shows what the node has and what is wrong with it.
pub(crate) fn doctor(node: &Node<'_>, output: Output) -> Result<(), Error> {
    let report = observe::read(node)?;
    match output {
        Output::Json => say_json(&report),
        Output::Text => report.lines().iter().for_each(say),
    }
    if report.count(Severity::Error) == 0 { Ok(()) } else { Err(Error::Unwell) }
}
