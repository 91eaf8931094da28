use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use podbond_cni::{
    CniResult, Command, ContainerId, Delegates, Failure, Interface, NetConf, Plugin, Request,
};
use podbond_ipam::{Addresses, Found, attach};
use podbond_kernel::{At, BondMode, Kernel, Netns, Step, View, is_netns, undo_all};
use podbond_names::LinkName;

use crate::check::differences;
use crate::config::{Config, Links, LinksAre};
use crate::error::Error;
use crate::findings::{Surroundings, look_around};
use crate::host_links::guard;
use crate::plan::{brought_down, plan, removal};
use crate::record::{Place, Records};

/// How long DEL waits for the links that the kernel gives back from a namespace that is gone. It
/// does so at its leisure, and links without hardware never come.
const RETURN_PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks.
const RETURN_PAUSE: Duration = Duration::from_millis(20);

/// The bond plugin.
#[derive(Debug, Clone)]
pub struct Bond {
    state: PathBuf,
    rules: PathBuf,
}

impl Default for Bond {
    /// With its records and the administrator's file where a node keeps them.
    fn default() -> Self {
        Self {
            state: PathBuf::from("/var/lib/podbond/bond"),
            rules: PathBuf::from("/etc/podbond/config.toml"),
        }
    }
}

impl Bond {
    /// With its records in `dir`.
    pub fn with_records_in(dir: impl Into<PathBuf>) -> Self {
        Self { state: dir.into(), ..Self::default() }
    }

    /// With `file` for the administrator's, which says what links of the node a bond may take.
    #[must_use]
    pub fn with_rules_from(self, file: impl Into<PathBuf>) -> Self {
        Self { rules: file.into(), ..self }
    }

    /// Refuses a bond over links of the node that it may not take: NADs are written by tenants,
    /// and a link on which the node depends is not theirs.
    pub fn guard(&self, kernel: &mut Kernel, config: &Config) -> Result<(), Error> {
        match config.links_are {
            LinksAre::OnHost => guard(kernel, &config.ports, &self.rules),
            LinksAre::InPod => Ok(()),
        }
    }

    /// Sees what is below and beside a bond that may be made: into the view come its ports' VFs,
    /// and their PFs' links, as far as they are not in it.
    pub fn look_around(
        &self,
        kernel: &mut Kernel,
        config: &Config,
        view: &mut View,
    ) -> Result<Surroundings, Error> {
        let others = self.records_beside(config, None)?;
        look_around(kernel, config, &others, view)
    }

    /// The records of other bonds, where they matter.
    fn records_beside(
        &self,
        config: &Config,
        own: Option<(&ContainerId, &LinkName)>,
    ) -> Result<Vec<Place>, Error> {
        match config.options.mode {
            BondMode::Lacp => self.records().others(own),
            _ => Ok(Vec::new()),
        }
    }

    fn records(&self) -> Records {
        Records::new(&self.state)
    }

    fn make(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Error> {
        let config = Config::parse(&request.config)?;
        let mut kernel = Kernel::with_pod(netns(request)?)?;
        self.guard(&mut kernel, &config)?;
        let mut view = observe(&mut kernel, &config, &request.ifname)?;
        let others =
            self.records_beside(&config, Some((&request.container_id, &request.ifname)))?;
        let around = look_around(&mut kernel, &config, &others, &mut view)?;
        let plan = plan(&config, &request.ifname, &view, &around)?;
        for finding in &plan.findings {
            eprintln!("bond: network {}: {}: {finding}", request.config.name, finding.severity);
        }
        let on_host = config.links_are == LinksAre::OnHost;
        let keeps_record = on_host || config.options.mode == BondMode::Lacp;
        if keeps_record {
            let place = place(request, &config, &view);
            self.records().write(&request.container_id, &request.ifname, &plan.steps, place)?;
        }
        let finish = |kernel: &mut Kernel, ipam| answer(kernel, request, ipam);
        attach(&mut kernel, plan.steps, Addresses::OnLink, request, delegates, finish)
            .inspect_err(|_| {
                // Without need once the ports are the node's again. If one could not be put back,
                // the DEL with which a runtime answers a failed ADD tries it once more.
                let mut is_back =
                    |name: &LinkName| matches!(kernel.link(&At::pod(name.clone())), Ok(None));
                if keeps_record && (!on_host || config.ports.iter().all(&mut is_back)) {
                    let _ = self.records().remove(&request.container_id, &request.ifname);
                }
            })
            .map_err(Error::Config)
    }

    /// The link goes before the lease, so that no address is given out while it is still in use; an
    /// error in one does not keep the other.
    fn remove(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let mut errors = self.unmake(request);
        if let Err(failure) = delegates.ipam(Command::Del, request) {
            errors.push(Error::Config(failure));
        }
        if errors.is_empty() {
            self.records().remove(&request.container_id, &request.ifname)?;
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Several(errors)),
        }
    }

    /// Takes the bond out of the pod and gives the node its links back; gives what went wrong.
    fn unmake(&self, request: &Request) -> Vec<Error> {
        let links = Links::of(&request.config);
        let record = match links.are {
            LinksAre::OnHost => self.records().read(&request.container_id, &request.ifname),
            LinksAre::InPod => Ok(None),
        };
        // A record that cannot be read is an error, but keeps nothing else from being put back.
        let (made, unread) = match record {
            Ok(made) => (made.unwrap_or_default(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let netns = request.netns.as_deref().filter(|path| is_netns(path));
        // With the namespace the bond is gone too, and the kernel gives hardware links back, but
        // down. Where none of them was up there is nothing left to do.
        if netns.is_none() && !links.names.iter().any(|name| brought_down(&made, name)) {
            return unread.into_iter().collect();
        }
        let view = see_what_is_left(netns, &request.ifname, &links.names, &made);
        let left = view.map(|(mut kernel, view)| {
            let steps = removal(&links, &request.ifname, &view, &made);
            // Removing is undoing the inverse: it goes on past errors, and what is gone is none.
            let inverses: Vec<Step> = steps.iter().rev().map(Step::inverse).collect();
            undo_all(&mut kernel, &inverses).into_iter().map(Error::Kernel).collect()
        });
        let left = left.unwrap_or_else(|error| vec![error]);
        unread.into_iter().chain(left).collect()
    }
}

impl Plugin for Bond {
    fn name(&self) -> &'static str {
        "bond"
    }

    fn add(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Failure> {
        self.make(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn del(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        self.remove(request, delegates).map_err(|error| error.into_failure(&request.config.name))
    }

    fn check(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Failure> {
        verify(request).map_err(|error| error.into_failure(&request.config.name))?;
        delegates.ipam(Command::Check, request).map(drop)
    }
}

/// What others are to know of a bond about to be made.
fn place(request: &Request, config: &Config, view: &View) -> Option<Place> {
    let arg = |key| request.args.get(key);
    let name = match (arg("K8S_POD_NAMESPACE"), arg("K8S_POD_NAME")) {
        (Some(namespace), Some(pod)) => format!("{} of pod {namespace}/{pod}", request.ifname),
        _ => format!("{} of container {}", request.ifname, request.container_id.as_str()),
    };
    let netns = config.links_are.netns();
    let function = |port: &LinkName| view.link(netns, port)?.parent;
    Some(Place {
        name,
        netns: request.netns.clone()?,
        mode: config.options.mode,
        functions: config.ports.iter().filter_map(function).collect(),
    })
}

fn verify(request: &Request) -> Result<(), Error> {
    let mut kernel = Kernel::with_pod(netns(request)?)?;
    let differences = compare(&mut kernel, &request.config, &request.ifname)?;
    if differences.is_empty() { Ok(()) } else { Err(Error::Differs { differences }) }
}

/// Every difference between the bond `ifname` of the pod and what its ADD made of a configuration,
/// whose result stands in it as `prevResult`. Empty means that all is well.
pub fn compare(
    kernel: &mut Kernel,
    conf: &NetConf,
    ifname: &LinkName,
) -> Result<Vec<String>, Error> {
    let config = Config::parse(conf)?;
    let mut view = View::default();
    see_bond_and_ports(kernel, &config.ports, ifname, &mut view)?;
    let found = Found::on(kernel, &At::pod(ifname.clone()))?;
    let expected = conf.prev_result.clone().unwrap_or_default();
    Ok(differences(&config, ifname, &view, &expected, &found))
}

fn netns(request: &Request) -> Result<&Path, Error> {
    request.netns.as_deref().ok_or(Error::Kernel(podbond_kernel::Error::NoPodNamespace))
}

/// What [`plan`] needs to see of the bond and its ports, and no more.
fn observe(kernel: &mut Kernel, config: &Config, ifname: &LinkName) -> Result<View, Error> {
    let mut view = View::default();
    see_bond_and_ports(kernel, &config.ports, ifname, &mut view)?;
    if config.links_are == LinksAre::OnHost {
        for name in &config.ports {
            view.host.extend(kernel.link(&At::host(name.clone()))?);
        }
    }
    let netns = config.links_are.netns();
    let ports: Vec<_> =
        config.ports.iter().filter_map(|name| view.link(netns, name).cloned()).collect();
    for port in ports {
        if let Some(master) = port.master {
            let master = kernel.link_by_index(netns, master)?;
            match netns {
                Netns::Host => view.host.extend(master),
                Netns::Pod => view.pod.extend(master),
            }
        }
    }
    Ok(view)
}

fn see_bond_and_ports(
    kernel: &mut Kernel,
    ports: &[LinkName],
    ifname: &LinkName,
    view: &mut View,
) -> Result<(), Error> {
    for name in std::iter::once(ifname).chain(ports) {
        view.pod.extend(kernel.link(&At::pod(name.clone()))?);
    }
    Ok(())
}

/// What [`removal`] needs to see: the pod's side where its namespace is alive, and those links of the
/// node that ADD found up and that are not in the pod. A killed ADD left them where they were; from a
/// namespace that is gone the kernel gives them back.
fn see_what_is_left(
    netns: Option<&Path>,
    ifname: &LinkName,
    ports: &[LinkName],
    made: &[Step],
) -> Result<(Kernel, View), Error> {
    let mut kernel = netns.map_or_else(Kernel::host, Kernel::with_pod)?;
    let mut view = View::default();
    if netns.is_some() {
        see_bond_and_ports(&mut kernel, ports, ifname, &mut view)?;
    }
    let end = Instant::now() + RETURN_PATIENCE;
    for name in ports.iter().filter(|name| brought_down(made, name)) {
        if view.link(Netns::Pod, name).is_some() {
            continue;
        }
        let at = At::host(name.clone());
        let mut link = kernel.link(&at)?;
        while link.is_none() && netns.is_none() && Instant::now() < end {
            sleep(RETURN_PAUSE);
            link = kernel.link(&at)?;
        }
        view.host.extend(link);
    }
    Ok((kernel, view))
}

/// Announces the bond's addresses and gives the result: "exactly one interface", the bond, since a
/// meta-plugin writes one status entry for each interface that has a sandbox.
fn answer(
    kernel: &mut Kernel,
    request: &Request,
    ipam: Option<CniResult>,
) -> Result<CniResult, Failure> {
    let at = At::pod(request.ifname.clone());
    let refused =
        |error: podbond_kernel::Error| podbond_ipam::failure(&request.config.name, &error);
    // First, since the bond may take another port's address while it waits for its carrier.
    if let Some(result) = &ipam {
        podbond_ipam::announce(kernel, &request.ifname, result);
    }
    let link = kernel.link(&at).map_err(refused)?;
    let interface = Interface {
        name: request.ifname.clone(),
        mac: link.as_ref().and_then(|link| link.mac),
        mtu: link.as_ref().map(|link| link.mtu),
        sandbox: request.netns.as_ref().map(|path| path.display().to_string()),
        socket_path: None,
        pci_id: None,
    };
    Ok(podbond_ipam::result(ipam, interface))
}
