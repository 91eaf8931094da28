//! `docs/findings.md`: what each finding means, and what to do about it.

use std::fmt::Write;

use podbond_bond::{Requirement, TABLE};

const HEAD: &str = "\
# Findings

A bond can be legal and yet not carry traffic, or not survive the loss that it is there to survive.
podbond reports it beforehand, and as long as it is so. Findings are reported

- of a bond that is about to be made: by `podbond plan`, below the attachment that they are about, and in
  the log of an ADD, one line each on the plugin's standard error;
- of pods and bonds that are there: by `podbond status`;
- of the whole node: by `podbond doctor`.

Each has a severity: **error** (it does not work), **warning** (it works and will not survive all that
it is there to survive, or is a port short already), **note** (good to know). In JSON (`-o json`) a
finding is an object of `severity`, `code`, `object` (`kind` and `names`), `reason` and `remedy`. Codes
stay the same from release to release.

A finding refuses nothing, with two exceptions. Keys of the bond's configuration turn findings into
refusals, before anything is changed. And those about trust (`untrusted-shared-mac`, `untrusted-fail-over`,
`untrusted-swap`) are errors, and refused unless `allowUntrusted` is true, where the bond is known not to
carry traffic: the PF's driver is igb, ixgbe, i40e or ice, and the PF shows a MAC address of the VF other than
zeros. These drivers refuse a VF that is not trusted another address than its PF has set, as a policy does
for each VF; with other cards, as those of mlx5, it may work. Where a driver acknowledges an address and the
port then shows another one, ADD fails.

| key, if `true` | refuses |
|---|---|
";

const NOTES: &str = "
What podbond cannot see it does not judge: links without hardware (veth, dummy), the PF of a VF and
the speed of a whole PF while these are in a pod's namespace, and what a driver does not report. Of
other 802.3ad bonds a plan and an ADD know those that podbond's bond plugin made and whose pods may be
alive (its records below `/var/lib/podbond/attachments` and `/run/podbond/attachments`); the doctor looks into every pod that a record names, also
those of other SR-IOV plugins.
";

/// The whole page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    // Writing to a string cannot fail.
    for requirement in Requirement::ALL {
        let codes = requirement.codes().iter().map(|code| format!("`{code}`"));
        let codes = codes.collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| `{}` | {codes} |", requirement.key());
    }
    page.push_str(NOTES);
    let _ = writeln!(page, "\n| code | severity | what it means | what to do |\n|---|---|---|---|");
    for kind in TABLE {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            kind.code,
            kind.severity,
            kind.what,
            sentence(kind.remedy)
        );
    }
    page
}

/// The text with a capital at its start and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_line() {
        let page = page();
        for kind in TABLE {
            assert!(page.contains(&format!("\n| `{}` | {} |", kind.code, kind.severity)));
        }
        assert_eq!(sentence("give arpInterval"), "Give arpInterval.");
    }
}
