//! CHECK of a pod's networks by each of their plugins.

use podbond_cni::{Code, Failure, NetConf, Version};
use podbond_record::{ChainPart, Record};

use crate::attacher::Attacher;

/// The outcome of CHECK of one plugin of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// All is as after ADD.
    Same,
    /// It is not; the message has every difference.
    Differs(Failure),
    /// CHECK failed otherwise.
    Failed(Failure),
    /// The plugin was not called, for this reason.
    NotChecked(String),
}

impl Attacher<'_> {
    /// Returns the outcome of CHECK for each plugin of an attachment, by name, in the order of the chain,
    /// with the configuration and the result of its ADD. A plugin of our own is called whatever the version
    /// of its configuration; another from 0.4.0 on, the first version that has CHECK.
    pub fn check(&self, record: &Record) -> Vec<(String, Checked)> {
        let Some(chain) = &record.chain else { return self.check_by_plugin(record) };
        let plugins = chain.configs.iter();
        plugins
            .map(|config| (config.plugin.clone(), self.check_plugin(record, chain, config)))
            .collect()
    }

    fn check_plugin(&self, record: &Record, chain: &ChainPart, config: &NetConf) -> Checked {
        let own = self.delegates.builtin(&config.plugin);
        if own.is_none() && config.version < Version::V0_4_0 {
            let (plugin, version) = (&config.plugin, config.version);
            return Checked::NotChecked(format!(
                "the configuration of {plugin} has cniVersion {version}, which has no CHECK: give the \
                 network cniVersion 0.4.0 or newer"
            ));
        }
        let mut config = config.clone();
        // The recorded result is complete, in whatever version it is written.
        config.version = config.version.max(Version::V0_4_0);
        let netns = record.netns.as_ref().map(|netns| netns.path.clone());
        let request = self.request(record, chain, netns, config, chain.result.clone());
        checked(match own {
            Some(plugin) => plugin.check(&request, self.delegates),
            None => self.delegates.check(&request),
        })
    }

    /// CHECK of an attachment for which a runtime had called one of our plugins itself.
    fn check_by_plugin(&self, record: &Record) -> Vec<(String, Checked)> {
        let Some(mut check) = record.del(self.path) else { return Vec::new() };
        check.config.version = check.config.version.max(Version::V0_4_0);
        let name = check.config.plugin.clone();
        let outcome = match self.delegates.builtin(&name) {
            Some(plugin) => checked(plugin.check(&check, self.delegates)),
            None => Checked::NotChecked(format!("{name} is not podbond's")),
        };
        vec![(name, outcome)]
    }
}

fn checked(outcome: Result<(), Failure>) -> Checked {
    match outcome {
        Ok(()) => Checked::Same,
        Err(failure) if failure.code == Code::DIFFERS => Checked::Differs(failure),
        Err(failure) if failure.code == Code::INCOMPATIBLE_VERSION => {
            Checked::NotChecked(failure.to_string())
        }
        Err(failure) => Checked::Failed(failure),
    }
}

#[cfg(test)]
mod tests;
