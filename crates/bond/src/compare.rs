use podbond_cni::{Args, Delegates, NetConf, Request};
use podbond_ipam::Found;
use podbond_kernel::{At, Kernel, Netns, View};
use podbond_names::LinkName;

use crate::check::differences;
use crate::plugin::{netns, see_pod};
use crate::record::Reading;
use crate::{Bond, Config, Error};

impl Bond {
    /// CHECK: the bond, and the lease.
    pub(crate) fn verify(&self, request: &Request, delegates: &Delegates<'_>) -> Result<(), Error> {
        let mut kernel = Kernel::with_pod(netns(request)?)?;
        let config = Config::parse(&request.config, &request.args)?;
        let record = self.records().read(&request.container_id, &request.ifname);
        let config = as_made(config, record.ok().as_ref());
        let mut differences = look(&mut kernel, &config, &request.config, &request.ifname)?;
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
}

/// A configuration with what ADD chose where it says nothing: results before CNI 1.1.0 do not tell
/// the MTU. Pure.
fn as_made(config: Config, record: Option<&Reading>) -> Config {
    let made = match record {
        Some(Reading::Whole(made)) => made.mtu(),
        _ => None,
    };
    Config { mtu: config.mtu.or(made), ..config }
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
    look(kernel, &Config::parse(conf, args)?, conf, ifname)
}

fn look(
    kernel: &mut Kernel,
    config: &Config,
    conf: &NetConf,
    ifname: &LinkName,
) -> Result<Vec<String>, Error> {
    let view = observe(kernel, config, ifname)?;
    let found = Found::on(kernel, &At::pod(ifname.clone()))?;
    let expected = conf.prev_result.clone().unwrap_or_default();
    Ok(differences(config, ifname, &view, &expected, &found))
}

#[cfg(test)]
mod tests {
    use podbond_kernel::Step;
    use serde_json::json;

    use super::*;
    use crate::made::Made;
    use crate::plan::tests::config;

    #[test]
    fn the_mtu_that_add_chose_is_wanted_where_the_configuration_gives_none() {
        let options = config(&json!({})).options;
        let at = At::pod("net3".parse().unwrap());
        let steps = vec![Step::AddBond { at, options, mtu: 9000, mac: None }];
        let record = Reading::Whole(Box::new(Made { steps, ..Made::default() }));
        let mtu = |mtu, record| as_made(Config { mtu, ..config(&json!({})) }, record).mtu;
        assert_eq!(mtu(None, Some(&record)), Some(9000));
        assert_eq!(mtu(Some(1400), Some(&record)), Some(1400));
        assert_eq!(mtu(None, Some(&Reading::Nothing)), None);
        assert_eq!(mtu(None, None), None);
    }
}
