//! `podbond plan`: shows the steps that `apply` would take.

use podbond_kernel::{Kernel, Step};
use serde_json::json;

use super::preview::{AttachmentPreview, Preview, policy_notes, preview, resolve_pods};
use crate::arguments::{Output, PlanArgs};
use crate::error::Error;
use crate::manifests::Manifests;
use crate::node::Node;
use crate::output::{finding_lines, note, say, say_json};

/// Shows the steps that `apply` would take.
pub(crate) fn plan(node: &Node<'_>, args: &PlanArgs) -> Result<(), Error> {
    let manifests = Manifests::read(&args.apply.files)?;
    let labels = args.apply.labels();
    let mut kernel = Kernel::host()?;
    let pods = resolve_pods(node, &manifests)?;
    let preview = preview(node, &mut kernel, &manifests, labels.as_ref(), &pods)?;
    policy_notes(&preview.policies).into_iter().for_each(note);
    match args.output {
        Output::Text => lines(&preview).iter().for_each(say),
        Output::Json => {
            let Preview { policies, networks, pods } = &preview;
            say_json(&json!({ "policies": policies.steps, "networks": networks, "pods": pods }));
        }
    }
    Ok(())
}

fn lines(preview: &Preview) -> Vec<String> {
    let mut lines = Vec::new();
    if !preview.policies.steps.is_empty() {
        lines.push("policies:".to_owned());
        lines.extend(numbered(&preview.policies.steps));
        if preview.policies.steps.iter().any(|step| matches!(step, Step::SetNumVfs { .. })) {
            lines.push("     then set up each VF that was made".to_owned());
        }
    }
    if !preview.networks.is_empty() {
        lines.push("networks:".to_owned());
        for network in &preview.networks {
            lines.push(format!("     {} {}", network.object, network.outcome));
        }
    }
    for pod in &preview.pods {
        if pod.unchanged {
            lines.push(format!("pod {}: unchanged", pod.pod));
            continue;
        }
        lines.push(format!("pod {}:", pod.pod));
        for attachment in &pod.attachments {
            lines.extend(attachment_lines(attachment));
        }
    }
    if lines.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    lines
}

fn attachment_lines(attachment: &AttachmentPreview) -> Vec<String> {
    let device = attachment.device.map(|pci| format!(", VF {pci}")).unwrap_or_default();
    let mut lines = vec![format!("  {}: {}{device}", attachment.interface, attachment.network)];
    for call in &attachment.calls {
        match &call.steps {
            Some(steps) => lines.extend(numbered(steps)),
            None => lines.push(format!("     call plugin {}", call.plugin)),
        }
        // A foreign plugin calls its IPAM plugin itself.
        if let Some(ipam) = call.ipam.as_ref().filter(|_| call.steps.is_some()) {
            lines.push(format!("     ask {ipam} for addresses, add them and their routes"));
        }
        lines.extend(call.findings.iter().flat_map(|finding| finding_lines(finding, None, 5)));
    }
    lines
}

fn numbered(steps: &[Step]) -> impl Iterator<Item = String> {
    steps.iter().enumerate().map(|(position, step)| format!("  {:>3}. {step}", position + 1))
}

#[cfg(test)]
mod tests {
    use podbond_bond::{Finding, Object, kind};
    use podbond_kernel::{LinkRef, LinkState};

    use super::*;
    use crate::commands::preview::Call;

    #[test]
    fn attachment_is_a_list_of_steps() {
        let at = LinkRef::pod("net1".parse().unwrap());
        let attachment = AttachmentPreview {
            interface: "net1".parse().unwrap(),
            network: "demo/sriovnet1".to_owned(),
            device: Some("0000:01:10.0".parse().unwrap()),
            calls: vec![
                Call {
                    plugin: "sriov".to_owned(),
                    steps: Some(vec![Step::SetState { at, to: LinkState::Up }]),
                    ipam: Some("host-local".to_owned()),
                    findings: vec![Finding::new(
                        &kind::NO_MONITORING,
                        Object::Key("miimon".to_owned()),
                        "it is 0 and arpInterval is not given: the bond never learns that a port has \
                         failed",
                    )],
                },
                Call { plugin: "tuning".to_owned(), steps: None, ipam: None, findings: Vec::new() },
            ],
        };
        assert_eq!(
            attachment_lines(&attachment),
            [
                "  net1: demo/sriovnet1, VF 0000:01:10.0",
                "    1. bring net1 (pod) up",
                "     ask host-local for addresses, add them and their routes",
                "     warning: miimon: it is 0 and arpInterval is not given: the bond never learns that a port has",
                "         failed",
                "         leave miimon out (100 ms), or give arpInterval and arpIpTarget (no-monitoring)",
                "     call plugin tuning",
            ]
        );
    }
}
