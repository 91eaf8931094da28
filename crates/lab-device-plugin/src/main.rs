//! The device plugin of the lab's nodes: offers the VFs of named PFs to the pods of the node, a resource
//! for each PF.
//!
//! `podbond-lab-device-plugin openshift.io/sriovnic1=pf0 openshift.io/sriovnic2=pf1`

mod vfs;

use std::{env, io, path::Path, process::ExitCode, sync::Arc, time::Duration};

use podbond_kernel::Sysfs;
use podbond_kubelet::{KUBELET_DIR, PluginSocket, offer};
use tokio::{sync::watch, time::sleep};

use vfs::{Pool, PoolPlugin};

/// Between two looks at the VFs of a PF.
const PACE: Duration = Duration::from_secs(1);

/// Where meta-plugins look for what is to be told of devices.
const DEVICE_INFO: &str = "/var/run/k8s.cni.cncf.io/devinfo/dp";

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    let pools: Result<Vec<Pool>, _> = env::args().skip(1).map(|word| word.parse()).collect();
    let pools = match pools {
        Ok(pools) if !pools.is_empty() => pools,
        Ok(_) => return failed("name what to offer, as in openshift.io/sriovnic1=pf0"),
        Err(error) => return failed(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(pools)),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(reason: &str) -> ExitCode {
    tracing::error!("{reason}");
    ExitCode::FAILURE
}

/// Offers all pools; ends only when a task does, which is a fault.
async fn serve(pools: Vec<Pool>) -> ExitCode {
    let mut tasks = Vec::new();
    for pool in pools {
        let (devices, _) = watch::channel(Vec::new());
        let socket =
            PluginSocket { kubelet_dir: KUBELET_DIR.into(), resource: pool.resource.clone() };
        let device_info = Path::new(DEVICE_INFO);
        let plugin = PoolPlugin { pool: pool.clone(), devices: devices.clone(), device_info };
        tasks.push(tokio::spawn(follow(pool, devices)));
        tasks.push(tokio::spawn(async move { match offer(Arc::new(plugin), &socket).await {} }));
    }
    for task in tasks {
        if let Err(error) = task.await {
            return failed(&error.to_string());
        }
    }
    ExitCode::FAILURE
}

/// Looks at the VFs of a PF again and again: they come and go with the policies of a node.
async fn follow(pool: Pool, devices: watch::Sender<Vec<podbond_kubelet::Device>>) {
    let sysfs = Sysfs::new("/sys");
    loop {
        match pool.devices(&sysfs) {
            Ok(found) => {
                let count = found.len();
                let changed = |last: &mut Vec<_>| {
                    let differs = *last != found;
                    *last = found;
                    differs
                };
                if devices.send_if_modified(changed) {
                    tracing::info!(resource = pool.resource, pf = %pool.pf, count, "VFs");
                }
            }
            Err(error) => {
                let error = error.to_string();
                tracing::warn!(resource = pool.resource, pf = %pool.pf, error, "VFs cannot be read");
            }
        }
        sleep(PACE).await;
    }
}
