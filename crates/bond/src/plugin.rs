use std::path::{Path, PathBuf};
use std::time::Duration;

use podbond_cni::{CniResult, Command, Delegates, Failure, Interface, Plugin, Request};
use podbond_ipam::{Addresses, Found, attach};
use podbond_kernel::{At, Kernel, Netns, Step, View, is_netns, undo_all};
use podbond_names::LinkName;

use crate::check::differences;
use crate::config::{Config, LinksAre};
use crate::error::Error;
use crate::plan::{plan, removal};
use crate::record::Records;

/// How long ADD waits for the bond's carrier before it announces the addresses.
const ANNOUNCE_PATIENCE: Duration = Duration::from_millis(200);

/// The bond plugin.
#[derive(Debug, Clone)]
pub struct Bond {
    state: PathBuf,
}

impl Default for Bond {
    /// With its records where a node keeps them.
    fn default() -> Self {
        Self { state: PathBuf::from("/var/lib/podbond/bond") }
    }
}

impl Bond {
    /// With its records in `dir`.
    pub fn with_records_in(dir: impl Into<PathBuf>) -> Self {
        Self { state: dir.into() }
    }

    fn records(&self) -> Records {
        Records::new(&self.state)
    }

    fn make(&self, request: &Request, delegates: &Delegates<'_>) -> Result<CniResult, Error> {
        let config = Config::parse(&request.config)?;
        let mut kernel = Kernel::with_pod(netns(request)?)?;
        let view = observe(&mut kernel, &config, &request.ifname)?;
        let plan = plan(&config, &request.ifname, &view)?;
        for warning in &plan.warnings {
            eprintln!("bond: network {}: warning: {warning}", request.config.name);
        }
        let keeps_record = config.links_are == LinksAre::OnHost;
        if keeps_record {
            self.records().write(&request.container_id, &request.ifname, &plan.steps)?;
        }
        let finish = |kernel: &mut Kernel, ipam| answer(kernel, request, ipam);
        attach(&mut kernel, plan.steps, Addresses::OnLink, request, delegates, finish)
            .inspect_err(|_| {
                // Everything is as before: a record that stays behind is harmless, and DEL sweeps it.
                if keeps_record {
                    let _ = self.records().remove(&request.container_id, &request.ifname);
                }
            })
            .map_err(Error::Config)
    }

    /// The link goes before the lease, so that no address is given out while it is still in use; an
    /// error in one does not keep the other.
    fn remove(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let mut errors = self.unmake(request).unwrap_or_else(|error| vec![error]);
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

    /// Takes the bond out of the pod, if the pod is alive; gives what could not be put back.
    fn unmake(&self, request: &Request) -> Result<Vec<Error>, Error> {
        // With the namespace the bond is gone too, and the kernel has given hardware links back.
        let Some(netns) = request.netns.as_deref().filter(|path| is_netns(path)) else {
            return Ok(Vec::new());
        };
        let config = Config::parse(&request.config)?;
        let made = match config.links_are {
            LinksAre::OnHost => self.records().read(&request.container_id, &request.ifname)?,
            LinksAre::InPod => None,
        };
        let mut kernel = Kernel::with_pod(netns)?;
        let mut view = View::default();
        see_bond_and_ports(&mut kernel, &config, &request.ifname, &mut view)?;
        let steps = removal(&config, &request.ifname, &view, made.as_deref().unwrap_or_default());
        // Removing is undoing the inverse: it goes on past errors, and what is gone is no error.
        let inverses: Vec<Step> = steps.iter().rev().map(Step::inverse).collect();
        Ok(undo_all(&mut kernel, &inverses).into_iter().map(Error::Kernel).collect())
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

fn verify(request: &Request) -> Result<(), Error> {
    let config = Config::parse(&request.config)?;
    let mut kernel = Kernel::with_pod(netns(request)?)?;
    let mut view = View::default();
    see_bond_and_ports(&mut kernel, &config, &request.ifname, &mut view)?;
    let found = Found::on(&mut kernel, &At::pod(request.ifname.clone()))?;
    let expected = request.config.prev_result.clone().unwrap_or_default();
    let differences = differences(&config, &request.ifname, &view, &expected, &found);
    if differences.is_empty() { Ok(()) } else { Err(Error::Differs { differences }) }
}

fn netns(request: &Request) -> Result<&Path, Error> {
    request.netns.as_deref().ok_or(Error::Kernel(podbond_kernel::Error::NoPodNamespace))
}

/// What [`plan`] needs to see, and no more.
fn observe(kernel: &mut Kernel, config: &Config, ifname: &LinkName) -> Result<View, Error> {
    let mut view = View::default();
    see_bond_and_ports(kernel, config, ifname, &mut view)?;
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
        if let Some(pci) = port.parent.filter(|_| config.needs_trust()) {
            view.vfs.extend(kernel.vf(pci)?);
        }
    }
    Ok(view)
}

fn see_bond_and_ports(
    kernel: &mut Kernel,
    config: &Config,
    ifname: &LinkName,
    view: &mut View,
) -> Result<(), Error> {
    for name in std::iter::once(ifname).chain(&config.ports) {
        view.pod.extend(kernel.link(&At::pod(name.clone()))?);
    }
    Ok(())
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
    if let Some(result) = &ipam {
        let addresses = podbond_ipam::addresses(result);
        kernel.announce(&at, &addresses, ANNOUNCE_PATIENCE).map_err(refused)?;
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
