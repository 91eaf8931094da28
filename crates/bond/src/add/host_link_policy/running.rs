//! Links of the node that bonds of running pods have, by the rules for new ones: what `podbond doctor`
//! reports before a pod that is made anew is refused.

use std::path::Path;

use podbond_kernel::{Kernel, LinkRef};
use podbond_names::LinkName;
use podbond_record::Record;
use podbond_state::settings::PATH;

use super::functions::Functions;
use super::policy::{HostLink, refuse_links_of_all};
use super::rules::Rules;
use crate::config::{Links, LinksAre};
use crate::error::Error;
use crate::finding::{Finding, Object, kind};
use crate::record::BondRecord;

/// The links of the node that the bond of a running pod has.
#[derive(Debug)]
pub struct HostLinksTaken {
    ifname: LinkName,
    links: Vec<HostLink>,
}

impl HostLinksTaken {
    /// Returns those of an attachment, whose pod `kernel` has open; none where it has none of the node's.
    pub fn of(
        kernel: &mut Kernel,
        record: &Record,
        functions: &dyn Functions,
    ) -> Result<Option<Self>, Error> {
        let Some(add) = &record.add else { return Ok(None) };
        let Some(bond) = BondRecord::read(record) else { return Ok(None) };
        if Links::of(&add.config).are != LinksAre::OnHost {
            return Ok(None);
        }
        let own = record.attachment();
        let mut links = Vec::new();
        for port in &bond.ports {
            let in_pod = kernel.link(&LinkRef::pod(port.name.clone()))?;
            let mut link = HostLink {
                name: port.name.clone(),
                driver: match port.function {
                    Some(function) => kernel.sysfs().driver(function)?,
                    None => in_pod.and_then(|link| link.kind),
                },
                pci: port.function,
                routes: Vec::new(),
                master: None,
                uppers: Vec::new(),
                num_vfs: 0,
                owner: None,
            };
            link.ask(kernel, functions, Some(&own))?;
            links.push(link);
        }
        Ok(Some(Self { ifname: record.ifname.clone(), links }))
    }
}

/// Returns a finding for each attachment whose ADD would be refused now, with what came with it. The line
/// that each of them names allows the links of all.
pub fn host_link_findings<T>(taken: Vec<(T, HostLinksTaken)>) -> Vec<(T, Finding)> {
    if taken.is_empty() {
        return Vec::new();
    }
    findings_by(&Rules::read(Path::new(PATH)).map_err(Error::from), taken)
}

fn findings_by<T>(
    rules: &Result<Rules, Error>,
    taken: Vec<(T, HostLinksTaken)>,
) -> Vec<(T, Finding)> {
    let all: Vec<&HostLink> = taken.iter().flat_map(|(_, taken)| &taken.links).collect();
    let refused = |taken: &HostLinksTaken| match rules {
        Ok(rules) => {
            refuse_links_of_all(rules, &taken.links, &all).err().map(|why| why.to_string())
        }
        Err(error) => Some(error.to_string()),
    };
    let reasons: Vec<_> = taken.iter().map(|(_, taken)| refused(taken)).collect();
    let found = taken.into_iter().zip(reasons).filter_map(|((of, taken), reason)| {
        let reason = format!("its ADD would be refused now: {}", reason?);
        Some((of, Finding::new(&kind::HOST_LINKS_REFUSED, Object::Bond(taken.ifname), reason)))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use podbond_state::settings::Settings;

    use super::super::policy::tests::vf;
    use super::*;

    fn taken(names: &[&str]) -> HostLinksTaken {
        let link = |name: &&str| HostLink { name: name.parse().unwrap(), ..vf() };
        HostLinksTaken { ifname: "net3".parse().unwrap(), links: names.iter().map(link).collect() }
    }

    fn found(rules: &Result<Rules, Error>) -> Vec<(u8, String)> {
        let all = vec![(1, taken(&["eth1", "eth2"])), (2, taken(&["eth2", "eth3"]))];
        let found = findings_by(rules, all).into_iter();
        found.map(|(pod, finding)| (pod, finding.to_string())).collect()
    }

    /// Promise: node-links-kept
    #[test]
    fn one_line_allows_what_all_running_pods_have() {
        let found = found(&Ok(Rules::Absent));
        assert_eq!(found.iter().map(|(pod, _)| *pod).collect::<Vec<_>>(), [1, 2]);
        let line = r#"allow = [{ name = "eth1" }, { name = "eth2" }, { name = "eth3" }]"#;
        for (_, text) in found {
            assert!(text.starts_with("bond net3: its ADD would be refused now: "), "{text}");
            assert!(text.contains(line) && text.contains("host-links-refused"), "{text}");
        }
    }

    #[test]
    fn only_refused_links_and_a_malformed_file_are_reported() {
        let rules = |text: &str| {
            let settings = Settings::of(Path::new("config.toml"), text.to_owned());
            Rules::of(&settings).map_err(Error::from)
        };
        let two = "[host-links]\nallow = [{ name = \"eth1\" }, { name = \"eth2\" }]\n";
        let listed = found(&rules(two));
        let [(2, text)] = listed.as_slice() else { panic!("{listed:?}") };
        assert!(text.contains("links: eth3 ") && !text.contains("links: eth2 "), "{text}");
        assert_eq!(found(&rules("[host-links]\nallow = [{ name = \"*\" }]\n")), []);
        assert_eq!(found(&rules("[host-links]\nallow = 1\n")).len(), 2);
    }
}
