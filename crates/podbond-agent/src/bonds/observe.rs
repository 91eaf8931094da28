//! Reads the bonds of a pod from the kernel: those that its records name.

use std::time::{Duration, SystemTime};

use podbond_bond::{Error, Finding, PodBond, RecordedBond, bond_findings, kind, recorded_bonds};
use podbond_kernel::bond::table;
use podbond_kernel::{
    BondMode, BondOptions, Kernel, Link, LinkFunction, LinkState, Netns, NetnsState, View,
};
use podbond_record::{Record, Records, Stored};

use super::status::{
    AggregatorStatus, BondState, BondStatus, FindingStatus, PortState, PortStatus,
};

/// How long a VF that was given to a bond may take to find its carrier.
const CARRIER_TIME: Duration = Duration::from_secs(15);

/// How long a bond may wait for its LACP partner: one with the slow rate sends each 30 s.
const LACP_TIME: Duration = Duration::from_secs(40);

/// Returns the bonds of a pod in the order of its records; none where its network namespace is over, or nobody can
/// tell what became of it. It waits for the kernel, some milliseconds, and for no lock. It enters the namespace: call
/// it on a thread that has nothing else to do meanwhile, as that of `spawn_blocking`.
///
/// `records` are those of one container.
pub fn observe(records: &[Record]) -> Result<Vec<BondStatus>, Error> {
    let mut recorded = recorded_bonds(records).peekable();
    let Some(netns) = recorded.peek().and_then(|bond| bond.record.netns.as_ref()) else {
        return Ok(Vec::new());
    };
    if netns.state() != NetnsState::Alive {
        return Ok(Vec::new());
    }
    let mut kernel = Kernel::with_recorded(netns)?;
    if !kernel.has_pod() {
        return Ok(Vec::new());
    }
    let links = kernel.shown_links(Netns::Pod)?;
    let mut bonds = Vec::new();
    for recorded in recorded {
        let name = recorded.name();
        match links.iter().find(|link| link.name == name && link.bond.is_some()) {
            Some(bond) => bonds.push(status(&mut kernel, &recorded, bond, &links, records)?),
            None => bonds.extend(missing(&mut kernel, &recorded)?),
        }
    }
    Ok(bonds)
}

fn status(
    kernel: &mut Kernel,
    recorded: &RecordedBond<'_>,
    bond: &Link,
    links: &[Link],
    records: &[Record],
) -> Result<BondStatus, Error> {
    let mut found = bond_findings(bond, links);
    if let Some(below) = PodBond::read(kernel, bond, links, &View::default(), records)? {
        found.extend(below.findings());
    }
    found.extend(recorded.difference(kernel)?);
    let mut functions = Vec::new();
    for port in bond.ports(links) {
        functions.push((port, LinkFunction::of(port, kernel.sysfs())?));
    }
    Ok(describe(bond, links, functions, &found, age(recorded.record)))
}

/// Returns how long ago the ADD of an attachment began; long ago where the clock was set back since.
fn age(record: &Record) -> Duration {
    let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(record.begun);
    SystemTime::now().duration_since(begun).unwrap_or(Duration::MAX)
}

/// Returns a bond whose record says that it is there; none where its DEL has begun meanwhile.
fn missing(kernel: &mut Kernel, bond: &RecordedBond<'_>) -> Result<Option<BondStatus>, Error> {
    match Records::default().read(&bond.record.attachment())? {
        Stored::Whole(now) if now.state == bond.record.state => {}
        _ => return Ok(None),
    }
    let Some(config) = bond.config() else { return Ok(None) };
    let difference = bond.difference(kernel)?;
    Ok(Some(BondStatus {
        interface: bond.name(),
        mode: config.options.mode,
        state: BondState::Missing,
        mac: None,
        active_port: None,
        aggregator: None,
        ports: Vec::new(),
        findings: difference.iter().map(FindingStatus::from).collect(),
    }))
}

/// Returns a bond as the kernel shows it among the links of its pod, with the functions of its ports. Pure.
fn describe(
    bond: &Link,
    links: &[Link],
    ports: Vec<(&Link, Option<LinkFunction>)>,
    found: &[Finding],
    age: Duration,
) -> BondStatus {
    let options = bond.bond.clone().unwrap_or_else(|| BondOptions::new(BondMode::BalanceRr));
    let mut findings: Vec<FindingStatus> =
        found.iter().filter(|finding| !is_early(finding, age)).map(FindingStatus::from).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let ports = ports.into_iter().map(|(port, function)| PortStatus {
        interface: port.name.clone(),
        state: port_state(port, &options, age),
        mac: port.mac,
        function,
        aggregator: port.port.as_ref().and_then(|port| Some(port.lacp.as_ref()?.aggregator)),
    });
    BondStatus {
        interface: bond.name.clone(),
        mode: options.mode,
        state: match (bond.state, bond.carrier) {
            (LinkState::Down, _) => BondState::Down,
            (LinkState::Up, true) => BondState::Up,
            (LinkState::Up, false) if age < CARRIER_TIME => BondState::ComingUp,
            (LinkState::Up, false) => BondState::NoCarrier,
        },
        mac: bond.mac,
        active_port: Link::name_at(options.active_port, links),
        aggregator: bond.aggregator.as_ref().map(|aggregator| AggregatorStatus {
            id: aggregator.id,
            ports: aggregator.ports,
            partner_mac: aggregator.partner,
        }),
        ports: ports.collect(),
        findings,
    }
}

/// Returns whether a finding may be about what a new bond has not yet.
fn is_early(finding: &Finding, age: Duration) -> bool {
    let time = match finding.code() {
        code if code == kind::PORT_WITHOUT_CARRIER.code => CARRIER_TIME,
        code if code == kind::LACP_SILENT.code => LACP_TIME,
        _ => return false,
    };
    age < time
}

fn port_state(port: &Link, options: &BondOptions, age: Duration) -> PortState {
    let counts = port.port.as_ref().is_some_and(|port| port.mii_up);
    let asks_neighbours = options.number(&table::ARP_INTERVAL).unwrap_or(0) > 0;
    match (port.state, port.carrier, counts) {
        (LinkState::Down, ..) => PortState::Down,
        (LinkState::Up, true, true) => PortState::Up,
        (LinkState::Up, false, true) => PortState::GoingDown,
        (LinkState::Up, _, false) if age < CARRIER_TIME => PortState::ComingUp,
        (LinkState::Up, true, false) if asks_neighbours => PortState::NoAnswer,
        (LinkState::Up, true, false) => PortState::ComingUp,
        (LinkState::Up, false, false) => PortState::NoCarrier,
    }
}

#[cfg(test)]
mod tests {
    use podbond_bond::Object;
    use podbond_kernel::{Aggregator, LacpPort, LacpState};
    use serde_json::json;

    use super::*;

    const LONG_AGO: Duration = Duration::from_hours(1);
    const JUST_NOW: Duration = Duration::from_secs(2);

    fn link(index: u32, name: &str) -> Link {
        let mut link = Link::new(index, name.parse().unwrap());
        (link.state, link.carrier) = (LinkState::Up, true);
        link
    }

    fn port(index: u32, name: &str) -> Link {
        let state = json!({"active": true, "mii_up": true, "link_failures": 3});
        let port = Some(serde_json::from_value(state).unwrap());
        Link { master: Some(9), port, ..link(index, name) }
    }

    fn bond(mode: BondMode, active: Option<u32>) -> Link {
        let mut options = BondOptions::new(mode);
        options.active_port = active;
        Link { bond: Some(options), ..link(9, "net3") }
    }

    fn described(bond: &Link, ports: &[Link], age: Duration) -> BondStatus {
        let with_functions = ports.iter().map(|port| (port, None)).collect();
        describe(bond, ports, with_functions, &[], age)
    }

    #[test]
    fn bond_has_mode_state_active_port_and_ports() {
        let ports = [port(2, "net1"), port(3, "net2")];
        let status = described(&bond(BondMode::ActiveBackup, Some(3)), &ports, LONG_AGO);
        let shown = serde_json::to_value(&status).unwrap();
        assert_eq!(
            shown,
            json!({
                "interface": "net3", "mode": "active-backup", "state": "up",
                "activePort": "net2", "findings": [],
                "ports": [
                    {"interface": "net1", "state": "up"}, {"interface": "net2", "state": "up"},
                ],
            })
        );
    }

    #[test]
    fn text_does_not_change_with_a_counter() {
        let mut failed = port(2, "net1");
        failed.port.as_mut().unwrap().link_failures = 4;
        let bond = bond(BondMode::BalanceXor, None);
        let (before, after) = ([port(2, "net1")], [failed]);
        assert_eq!(
            described(&bond, &before, LONG_AGO),
            described(&bond, &after, LONG_AGO + JUST_NOW)
        );
    }

    #[test]
    fn state_of_a_port_is_what_carrier_and_bond_say() {
        let by_mii = BondOptions::new(BondMode::ActiveBackup).with(&table::MIIMON, 100);
        let by_arp = BondOptions::new(BondMode::ActiveBackup).with(&table::ARP_INTERVAL, 100);
        let state = |up, carrier, counts, options: &BondOptions, age| {
            let mut port = port(2, "net1");
            port.state = if up { LinkState::Up } else { LinkState::Down };
            port.carrier = carrier;
            port.port.as_mut().unwrap().mii_up = counts;
            port_state(&port, options, age)
        };
        for (up, carrier, counts, expected) in [
            (true, true, true, PortState::Up),
            (true, false, true, PortState::GoingDown),
            (true, true, false, PortState::ComingUp),
            (true, false, false, PortState::NoCarrier),
            (false, false, false, PortState::Down),
            (false, false, true, PortState::Down),
        ] {
            assert_eq!(state(up, carrier, counts, &by_mii, LONG_AGO), expected);
        }
        assert_eq!(state(true, true, false, &by_arp, LONG_AGO), PortState::NoAnswer);
        assert_eq!(state(true, true, false, &by_arp, JUST_NOW), PortState::ComingUp);
        assert_eq!(state(true, false, false, &by_mii, JUST_NOW), PortState::ComingUp);
    }

    #[test]
    fn bond_without_carrier_is_coming_up_only_when_it_is_new() {
        let bond = Link { carrier: false, ..bond(BondMode::ActiveBackup, None) };
        assert_eq!(described(&bond, &[], JUST_NOW).state, BondState::ComingUp);
        assert_eq!(described(&bond, &[], LONG_AGO).state, BondState::NoCarrier);
        let down = Link { state: LinkState::Down, ..bond };
        assert_eq!(described(&down, &[], JUST_NOW).state, BondState::Down);
    }

    #[test]
    fn lacp_bond_has_its_aggregators() {
        let partner = Some("52:54:00:73:77:00".parse().unwrap());
        let mut bond = bond(BondMode::Lacp, None);
        bond.aggregator =
            Some(Aggregator { id: 1, ports: 2, actor_key: 9, partner_key: 9, partner });
        let mut port = port(2, "net1");
        let [actor, partner_state] = [63, 61].map(LacpState::from_bits);
        port.port.as_mut().unwrap().lacp =
            Some(LacpPort { aggregator: 2, actor, partner: partner_state });
        let status = described(&bond, &[port], LONG_AGO);
        let expected = AggregatorStatus { id: 1, ports: 2, partner_mac: partner };
        assert_eq!((status.aggregator, status.ports[0].aggregator), (Some(expected), Some(2)));
    }

    #[test]
    fn findings_have_the_worst_first_and_wait_for_a_new_bond() {
        let port = || Object::Ports(vec!["net1".parse().unwrap()]);
        let found = [
            Finding::new(&kind::LACP_SILENT, port(), "no LACPDU"),
            Finding::new(&kind::PORT_WITHOUT_CARRIER, port(), "no carrier"),
            Finding::new(&kind::NOT_AS_ASKED_FOR, port(), "differs"),
        ];
        let bond = bond(BondMode::Lacp, None);
        let codes = |age| {
            let status = describe(&bond, &[], Vec::new(), &found, age);
            status.findings.into_iter().map(|found| found.code).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(codes(JUST_NOW), "bond-differs");
        assert_eq!(codes(Duration::from_secs(20)), "bond-differs port-without-carrier");
        assert_eq!(codes(LONG_AGO), "bond-differs lacp-silent port-without-carrier");
    }

    #[test]
    fn pod_without_bonds_or_namespace_has_none() {
        assert_eq!(observe(&[]).unwrap(), []);
        let config = json!({"cniVersion": "1.0.0", "name": "n", "type": "bond"});
        let record = serde_json::from_value(json!({
            "containerId": "c1", "ifname": "net3", "state": "active", "network": "n",
            "add": {"config": config, "args": {}, "path": [], "result": {"cniVersion": "1.0.0"}},
            "netns": {"path": "/run/netns/no-such", "boot": "earlier", "device": 4, "inode": 1},
        }));
        assert_eq!(observe(&[record.unwrap()]).unwrap(), []);
    }
}
