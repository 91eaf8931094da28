//! Events about what changed of a pod's bonds: a fail-over, a port lost or back, no port left, new findings. Pure.

use std::fmt;

use podbond_bond::Severity;
use podbond_cluster::EventType;
use podbond_names::LinkName;

use super::status::{BondState, BondStatus, FindingStatus, PortState, PortStatus};

/// The finding about what somebody changed of a bond.
const DIFFERENCE: &str = "bond-differs";

/// An event about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How it is shown.
    pub kind: EventType,
    /// Its name for machines: `BondFailover`, `BondPortDown` and others.
    pub reason: &'static str,
    /// What happened, what it means and what to do.
    pub note: String,
}

impl Change {
    fn normal(reason: &'static str, note: String) -> Self {
        Self { kind: EventType::Normal, reason, note }
    }

    fn warning(reason: &'static str, note: String) -> Self {
        Self { kind: EventType::Warning, reason, note }
    }
}

/// Returns what is to be told of a pod's bonds between two looks, in the order of the bonds. Of a bond that is new only
/// its findings are told; of one that is not looked at any more, as after its DEL, nothing.
pub fn changes(before: &[BondStatus], after: &[BondStatus]) -> Vec<Change> {
    let mut told = Vec::new();
    for bond in after {
        match before.iter().find(|old| old.interface == bond.interface) {
            Some(old) => told.extend(Compared { old, bond, lost: lost_ports(old, bond) }.changes()),
            None => told.extend(bond.findings.iter().filter_map(|new| of_finding(bond, new))),
        }
    }
    told
}

/// A port that its bond had, and is without.
struct Lost<'b> {
    port: &'b PortStatus,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The port is there in this state.
    Is(PortState),
    /// It is no port of the bond any more.
    TakenOut,
}

/// A bond at two looks.
struct Compared<'b> {
    old: &'b BondStatus,
    bond: &'b BondStatus,
    lost: Vec<Lost<'b>>,
}

fn lost_ports<'b>(old: &'b BondStatus, bond: &'b BondStatus) -> Vec<Lost<'b>> {
    let mut lost = Vec::new();
    for port in &old.ports {
        match bond.port(&port.interface) {
            Some(now) if now.state.is_lost() && !port.state.is_lost() => {
                lost.push(Lost { port: now, why: Why::Is(now.state) });
            }
            Some(_) => {}
            None => lost.push(Lost { port, why: Why::TakenOut }),
        }
    }
    lost
}

impl Compared<'_> {
    fn changes(&self) -> Vec<Change> {
        let mut told = match (self.old.is_lost(), self.bond.is_lost()) {
            (false, true) => vec![self.down()],
            (true, false) => vec![self.up()],
            (true, true) => Vec::new(),
            (false, false) => self.changes_of_ports(),
        };
        if !self.bond.is_lost() {
            told.extend(self.added_ports());
        }
        let new = self.bond.findings.iter().filter(|new| !self.is_told(new));
        told.extend(new.filter_map(|new| of_finding(self.bond, new)));
        told
    }

    /// Returns whether a finding was there before, or is in what is told of a port.
    fn is_told(&self, finding: &FindingStatus) -> bool {
        let is_same =
            |old: &FindingStatus| old.code == finding.code && old.object == finding.object;
        self.old.findings.iter().any(is_same)
            || self.lost.iter().any(|lost| lost.explains(finding))
            || (finding.code == DIFFERENCE
                && matches!(self.bond.state, BondState::Missing | BondState::Down))
    }

    fn changes_of_ports(&self) -> Vec<Change> {
        let name = &self.bond.interface;
        let mut told = Vec::new();
        let mut unplaced: Vec<&Lost<'_>> = self.lost.iter().collect();
        if let (Some(from), Some(to)) = (&self.old.active_port, &self.bond.active_port)
            && from != to
        {
            let to = shown(to, self.bond);
            let failed = unplaced.iter().position(|lost| lost.port.interface == *from);
            told.push(match failed.map(|place| unplaced.remove(place)) {
                Some(lost) => {
                    let note = format!(
                        "bond {name} failed over to {to}: {lost}; {}; {}",
                        self.left_after_loss(),
                        self.remedy(lost)
                    );
                    Change::warning("BondFailover", note)
                }
                None => Change::normal(
                    "BondFailover",
                    format!("bond {name} uses {to} now, and {} before", shown(from, self.old)),
                ),
            });
        }
        for lost in unplaced {
            let reason = match lost.why {
                Why::Is(_) => "BondPortDown",
                Why::TakenOut => "BondPortRemoved",
            };
            let note =
                format!("bond {name}: {lost}; {}; {}", self.left_after_loss(), self.remedy(lost));
            told.push(Change::warning(reason, note));
        }
        for port in &self.bond.ports {
            let was_lost = self.old.port(&port.interface).is_some_and(|old| old.state.is_lost());
            if was_lost && !port.state.is_lost() {
                let note = format!("bond {name}: {port} is back; {}", self.left());
                told.push(Change::normal("BondPortUp", note));
            }
        }
        told
    }

    fn added_ports(&self) -> Vec<Change> {
        let new = self.bond.ports.iter().filter(|port| self.old.port(&port.interface).is_none());
        let added = new.map(|port| {
            let note = format!("bond {}: {port} became a port of it", self.bond.interface);
            Change::normal("BondPortAdded", note)
        });
        added.collect()
    }

    fn down(&self) -> Change {
        let name = &self.bond.interface;
        let note = match self.bond.state {
            BondState::Missing => format!(
                "bond {name} is not in the pod any more: somebody removed it; make the pod anew"
            ),
            BondState::Down => format!(
                "bond {name} is down by administration: the pod has no network over it; bring it up with `ip \
                 link set {name} up` in the pod, and see who took it down"
            ),
            _ => {
                let mut ports: Vec<String> = self.lost.iter().map(ToString::to_string).collect();
                let earlier = self.bond.ports.iter().filter(|port| port.state.is_lost());
                let is_new = |port: &PortStatus| {
                    self.lost.iter().any(|lost| lost.port.interface == port.interface)
                };
                let earlier = earlier.filter(|port| !is_new(port));
                ports.extend(earlier.map(|port| Lost::now(port).to_string()));
                let remedies = self.lost.iter().map(|lost| self.remedy(lost));
                ports.extend(remedies);
                if ports.is_empty() {
                    ports.push("make the pod anew".to_owned());
                }
                let then = ports.join("; ");
                format!("bond {name} has no port left: the pod has no network over it; {then}")
            }
        };
        Change::warning("BondDown", note)
    }

    fn up(&self) -> Change {
        let up = self.bond.ports.iter().filter(|port| port.state.counts());
        let up: Vec<String> = up.map(ToString::to_string).collect();
        let over = if up.is_empty() { String::new() } else { format!(" over {}", up.join(", ")) };
        let note = format!("bond {} is up again{over}: {}", self.bond.interface, self.left());
        Change::normal("BondUp", note)
    }

    /// Returns how many ports are left.
    fn left(&self) -> String {
        let all = self.bond.ports.len();
        let up = self.bond.ports.iter().filter(|port| port.state.counts()).count();
        match (up, all) {
            (1, 1) => "its one port is up".to_owned(),
            (1, _) => format!("1 of {all} ports is up"),
            _ => format!("{up} of {all} ports are up"),
        }
    }

    /// Returns the same after a port was lost.
    fn left_after_loss(&self) -> String {
        let up = self.bond.ports.iter().filter(|port| port.state.counts()).count();
        let last = if up == 1 { ", and the next failure takes the bond" } else { "" };
        self.left() + last
    }

    /// Returns what to do about a port, by the finding about it or its PF where there is one.
    fn remedy(&self, lost: &Lost<'_>) -> String {
        let port = &lost.port.interface;
        match self.bond.findings.iter().find(|finding| lost.explains(finding)) {
            Some(finding) => sentence(finding),
            None => match lost.why {
                Why::Is(PortState::Down) => format!(
                    "bring it up with `ip link set {port} up` in the pod, and see who took it down"
                ),
                Why::Is(PortState::NoAnswer) => {
                    "see whether the addresses of arpIpTarget or nsIp6Target are reachable there"
                        .to_owned()
                }
                Why::Is(_) => {
                    "see whether its PF has carrier, and what link_state its VF has".to_owned()
                }
                Why::TakenOut => "give it back, or make the pod anew".to_owned(),
            },
        }
    }
}

impl Lost<'_> {
    fn now(port: &PortStatus) -> Lost<'_> {
        Lost { port, why: Why::Is(port.state) }
    }

    /// Returns whether a finding says why the port is lost.
    fn explains(&self, finding: &FindingStatus) -> bool {
        let is_about = |kind: &str, name: &LinkName| {
            finding.object.kind == kind
                && finding.object.names.iter().any(|one| one == name.as_str())
        };
        let of_pf = || {
            let pf = self.port.function.as_ref()?.pf.as_ref()?;
            Some(is_about("pf", pf))
        };
        match finding.code.as_str() {
            "pf-down" | "pf-without-carrier" => of_pf().unwrap_or(false),
            "port-without-carrier" | "link-state-disable" => is_about("port", &self.port.interface),
            DIFFERENCE => matches!(self.why, Why::TakenOut | Why::Is(PortState::Down)),
            _ => false,
        }
    }
}

impl fmt::Display for Lost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.port)?;
        f.write_str(match self.why {
            Why::Is(PortState::Down) => "is down by administration",
            Why::Is(PortState::NoAnswer) => "gets no answer from those whom the bond asks",
            Why::Is(_) => "has no carrier",
            Why::TakenOut => "was taken out of it",
        })
    }
}

/// `port net1 (VF 0 of PF pf0, 0000:01:10.0)`.
impl fmt::Display for PortStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.interface)?;
        let Some(function) = &self.function else { return Ok(()) };
        match (&function.pf, function.vf) {
            (Some(pf), Some(vf)) => write!(f, " (VF {vf} of PF {pf}, {})", function.pci),
            _ => write!(f, " ({})", function.pci),
        }
    }
}

impl BondStatus {
    fn port(&self, name: &LinkName) -> Option<&PortStatus> {
        self.ports.iter().find(|port| port.interface == *name)
    }

    /// Returns whether the pod has nothing of it.
    fn is_lost(&self) -> bool {
        matches!(self.state, BondState::NoCarrier | BondState::Down | BondState::Missing)
    }
}

/// Returns a port of a bond for people.
fn shown(port: &LinkName, bond: &BondStatus) -> String {
    bond.port(port).map_or_else(|| format!("port {port}"), ToString::to_string)
}

/// Returns the event about a finding; none about what is only good to know.
fn of_finding(bond: &BondStatus, finding: &FindingStatus) -> Option<Change> {
    let note = format!("bond {}: {} ({})", bond.interface, sentence(finding), finding.code);
    (finding.severity > Severity::Note).then(|| Change::warning("BondFinding", note))
}

/// Returns a finding as `podbond doctor` says it: object, reason, remedy.
fn sentence(finding: &FindingStatus) -> String {
    let names = finding.object.names.join(", ");
    let object = match (finding.object.kind.as_str(), finding.object.names.len()) {
        ("pf", _) => format!("PF {names}"),
        ("vf", _) => format!("VF {names}"),
        ("key", _) => names,
        (kind, 0) => kind.to_owned(),
        (kind, 1) => format!("{kind} {names}"),
        (kind, _) => format!("{kind}s {names}"),
    };
    format!("{object}: {}: {}", finding.reason, finding.remedy)
}

#[cfg(test)]
mod tests;
