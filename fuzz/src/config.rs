//! A plugin's configuration, as it comes on standard input, for each of our plugins.

use std::sync::LazyLock;

use podbond_bond::{Config, Surroundings, plan};
use podbond_cni::{Args, NetConf};
use podbond_kernel::{Link, LinkState, View};
use podbond_names::LinkName;

/// A pod and a node with the links that the corpus names.
static VIEW: LazyLock<View> = LazyLock::new(|| {
    let links = |names: &[&str]| (2..).zip(names).map(|(index, name)| link(index, name)).collect();
    View {
        pod: links(&["net1", "net2", "net4"]),
        host: links(&["eth1", "eth2"]),
        ..View::default()
    }
});

fn name(text: &str) -> LinkName {
    text.parse().expect("a link's name")
}

fn link(index: u32, text: &str) -> Link {
    Link {
        mac: format!("02:00:00:00:00:{index:02x}").parse().ok(),
        mtu: 1500,
        max_mtu: 9216,
        state: LinkState::Up,
        carrier: true,
        ..Link::new(index, name(text))
    }
}

/// Parses a plugin's configuration for each of our plugins, and plans a bond with it.
///
/// # Panics
/// When a configuration is another once it is written and read again.
pub(crate) fn read(json: &[u8]) {
    let conf = match NetConf::parse(json) {
        Ok(conf) => conf,
        Err(failure) => {
            let _ = failure.to_string();
            return;
        }
    };
    let written = serde_json::Value::Object(conf.raw.clone()).to_string();
    assert_eq!(NetConf::parse(written.as_bytes()).as_ref(), Ok(&conf), "read again as written");
    let args = Args::default();
    match Config::parse(&conf, &args) {
        Ok(config) => {
            // The plan is laid over the view as `podbond plan` does it, step by step.
            if let Ok(plan) = plan(&config, &name("net3"), &VIEW, &Surroundings::default()) {
                let mut view = VIEW.clone();
                for step in &plan.steps {
                    let _ = step.to_string();
                    view.apply(std::slice::from_ref(step));
                }
            }
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
    if let Err(error) = podbond_sriov::Config::parse(&conf, &args) {
        let _ = error.to_string();
    }
    podbond_host_local::fuzzing::ranges(&conf);
}
