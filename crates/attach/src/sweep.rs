//! Attachments that outlived their namespace, and whether those that live are as they were made.

use podbond_cni::{Code, Failure, Version};

use crate::{Attacher, Error, Record};

/// What CHECK of one plugin of an attachment came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// All is as ADD left it.
    Same,
    /// It is not; the message tells every difference.
    Differs(Failure),
    /// It could not be found out.
    Failed(Failure),
    /// The plugin cannot be asked, and why.
    NotChecked(String),
}

/// The attachments of this node by whether their namespace is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachments {
    /// Those whose namespace is gone, each pod's in reverse: the order in which they are taken away.
    pub gone: Vec<Record>,
    /// All others.
    pub alive: Vec<Record>,
    /// Why some could not be read.
    pub unread: Vec<Error>,
}

impl Attachments {
    /// All that are recorded.
    pub fn of(records: &crate::Records) -> Self {
        let (records, unread) = records.all();
        let (mut gone, alive): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| record.netns.is_gone());
        // Sorted by sandbox and place before; two sandboxes have nothing to do with each other.
        gone.reverse();
        Self { gone, alive, unread }
    }
}

impl Attacher<'_> {
    /// Takes one attachment away whose namespace is gone, from its record; one whose namespace is
    /// there is left alone. What failed keeps its record.
    pub fn take_away(&self, record: &Record) -> Vec<Error> {
        if record.netns.is_gone() { self.detach(record) } else { Vec::new() }
    }

    /// CHECK of an attachment's plugins in the order of the chain, with what its ADD was given and
    /// what came of it. A plugin of our own is asked whatever the version of its configuration; one
    /// that is not, from 0.4.0 on, the first version that has CHECK.
    pub fn check(&self, record: &Record) -> Vec<(String, Checked)> {
        let plugins = record.configs.iter();
        plugins.map(|config| (config.plugin.clone(), self.check_plugin(record, config))).collect()
    }

    fn check_plugin(&self, record: &Record, config: &podbond_cni::NetConf) -> Checked {
        let own = self.delegates.builtin(&config.plugin);
        if own.is_none() && config.version < Version::V0_4_0 {
            let (plugin, version) = (&config.plugin, config.version);
            return Checked::NotChecked(format!(
                "{plugin} speaks {version} here, which has no CHECK: give the network cniVersion \
                 0.4.0 or newer"
            ));
        }
        let mut config = config.clone();
        // The record keeps the result in full: no version loses any of it on its way.
        config.version = config.version.max(Version::V0_4_0);
        let netns = Some(record.netns.path.clone());
        let request = self.request(record, netns, config, record.result.clone());
        let outcome = match own {
            Some(plugin) => plugin.check(&request, self.delegates),
            None => self.delegates.check(&request),
        };
        match outcome {
            Ok(()) => Checked::Same,
            Err(failure) if failure.code == Code::DIFFERS => Checked::Differs(failure),
            Err(failure) if failure.code == Code::IncompatibleVersion => {
                Checked::NotChecked(failure.to_string())
            }
            Err(failure) => Checked::Failed(failure),
        }
    }
}

#[cfg(test)]
mod tests;
