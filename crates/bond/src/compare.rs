use podbond_cni::{Args, Delegates, NetConf, Request};
use podbond_ipam::Found;
use podbond_kernel::{Kernel, LinkRef, Netns, View};
use podbond_names::LinkName;

use crate::check::differences;
use crate::plugin::netns;
use crate::prepare::see_pod;
use crate::{Config, Error};

/// CHECK: the bond, and the lease.
pub(crate) fn verify(request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
    let mut kernel = Kernel::with_pod(netns(request)?)?;
    let mut differences = compare(&mut kernel, &request.config, &request.args, &request.ifname)?;
    match delegates.ipam_check(request) {
        Err(failure) if differences.is_empty() => return Err(failure.into()),
        Err(failure) => differences.push(failure.to_string()),
        Ok(()) => {}
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Differs { ifname: request.ifname.clone(), differences })
}

/// The interface of an attachment, the bond beneath it, the ports that it was given and those that it
/// has: one that it was not given may have any name.
fn observe(
    kernel: &mut Kernel,
    config: &Config,
    ifname: &LinkName,
) -> podbond_kernel::Result<View> {
    let (mut view, bond) = (View::default(), config.bond_name(ifname));
    see_pod(kernel, [ifname].into_iter().chain(Some(&bond).filter(|it| *it != ifname)), &mut view)?;
    if let Some(bond) = view.link(Netns::Pod, &bond) {
        let ports = kernel.ports(Netns::Pod, bond.index)?;
        view.pod.extend(ports);
    }
    let missing = config.ports.iter().filter(|name| view.link(Netns::Pod, name).is_none());
    see_pod(kernel, &missing.cloned().collect::<Vec<_>>(), &mut view)?;
    Ok(view)
}

/// Every difference between the bond `ifname` of the pod and what its ADD made of a configuration,
/// whose result stands in it as `prevResult`. Empty means that all is well.
pub fn compare(
    kernel: &mut Kernel,
    conf: &NetConf,
    args: &Args,
    ifname: &LinkName,
) -> Result<Vec<String>, Error> {
    let config = Config::parse(conf, args)?;
    let view = observe(kernel, &config, ifname)?;
    let found = Found::on(kernel, &LinkRef::pod(ifname.clone()))?;
    let expected = conf.prev_result.clone().unwrap_or_default();
    Ok(differences(&config, ifname, &view, &expected, &found))
}
