//! Findings in lines that fit a terminal.

use podbond_bond::Finding;

/// The longest line, in characters.
const WIDTH: usize = 100;

/// How many columns the further lines of a finding are indented beyond its first.
const HANG: usize = 4;

/// Returns a finding in lines of at most 100 characters, the first one indented by `indent` columns:
/// severity, whose object it is, object and reason, and below them the remedy and the code.
pub(crate) fn finding_lines(finding: &Finding, whose: Option<&str>, indent: usize) -> Vec<String> {
    let whose = whose.map(|whose| format!("{whose}: ")).unwrap_or_default();
    let (severity, hang) = (finding.severity, indent + HANG);
    let reason = format!("{severity}: {whose}{}: {}", finding.object, finding.reason);
    let mut lines = wrapped(&reason, indent, hang);
    lines.extend(wrapped(&format!("{} ({})", finding.remedy(), finding.code()), hang, hang));
    lines
}

/// Returns a text in lines of at most `WIDTH` characters, but for words that are longer than that.
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
    use podbond_bond::{Object, kind};

    use super::*;

    #[test]
    fn finding_fits_a_terminal_and_begins_with_its_severity() {
        let ports: Vec<String> = (0..16).map(|n| format!("net{n}")).collect();
        let reason = format!("{} all run over it, and fail when it fails", ports.join(", "));
        let pf = Object::Pf("pf0".to_owned());
        let finding = Finding::new(&kind::PORTS_SHARE_A_PF, pf, reason);
        let lines = finding_lines(&finding, Some("demo/bondpod1 net3"), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        assert!(lines[0].starts_with("  warning: demo/bondpod1 net3: PF pf0: net0, net1,"));
        assert_eq!(
            lines.last().unwrap(),
            "      give the ports VFs of different PFs (ports-share-a-pf)"
        );
    }
}
