//! Findings as people read them: within the width of a terminal, in colour where it is one.

use std::io::{IsTerminal, stdout};

use podbond_bond::{Finding, Severity};

/// How wide a line may be.
const WIDTH: usize = 100;

/// How much further in than a finding's first line the others begin.
const HANG: usize = 4;

/// A finding in lines of at most 100 columns, the first one `indent` columns in: what is wrong with
/// which object of `whose`, and below it what to do.
pub(crate) fn lines(finding: &Finding, whose: Option<&str>, indent: usize) -> Vec<String> {
    let whose = whose.map(|whose| format!("{whose}: ")).unwrap_or_default();
    let what = format!("{whose}{}: {}", finding.object, finding.reason);
    let mend = format!("{} ({})", finding.remedy(), finding.code());
    let severity = finding.severity.as_str();
    let mut lines = wrapped(&format!("{severity}: {what}"), indent, indent + HANG);
    if let Some(first) = lines.first_mut() {
        *first = first.replacen(severity, &coloured(finding.severity), 1);
    }
    lines.extend(wrapped(&mend, indent + HANG, indent + HANG));
    lines
}

/// The severity's name, in its colour where standard output is a terminal.
fn coloured(severity: Severity) -> String {
    if !stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return severity.to_string();
    }
    let colour = match severity {
        Severity::Error => 31,
        Severity::Warning => 33,
        Severity::Note => 36,
    };
    format!("\u{1b}[{colour}m{severity}\u{1b}[0m")
}

/// The text in lines that end before the width is reached, where a word is not longer than that.
fn wrapped(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => {
                let indent = if lines.is_empty() { first } else { rest };
                lines.push(" ".repeat(indent) + word);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use podbond_bond::{Object, Reason};

    use super::*;

    #[test]
    fn a_finding_fits_a_terminal_and_begins_with_its_severity() {
        let ports = (0..16).map(|n| format!("net{n}").parse().unwrap()).collect();
        let finding = Finding::new(Object::Pf("pf0".to_owned()), Reason::PortsShareAPf { ports });
        let lines = lines(&finding, Some("demo/bondpod1 net3"), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        assert!(lines[0].starts_with("  warning: demo/bondpod1 net3: PF pf0: net0, net1,"));
        assert_eq!(
            lines.last().unwrap(),
            "      give the ports VFs of different PFs (ports-share-a-pf)"
        );
    }
}
