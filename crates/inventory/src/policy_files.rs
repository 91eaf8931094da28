//! The policies in force, as they are on disk.

use podbond_api::{Object, ObjectKey, SriovNetworkNodePolicy, read_manifests};

use crate::Error;
use crate::files::Files;

/// What is in force.
pub(crate) struct InForce {
    /// In order of their keys.
    pub(crate) policies: Vec<SriovNetworkNodePolicy>,
    /// What cannot be read, by the names of the files: a loss of power may have torn it.
    pub(crate) damaged: Vec<(String, Error)>,
}

/// Neither part holds an underscore, so that no two keys have one name.
pub(crate) fn file_name(key: &ObjectKey) -> String {
    format!("{}_{}", key.namespace, key.name)
}

impl InForce {
    pub(crate) fn read(files: &Files) -> Result<Self, Error> {
        let mut all = Self { policies: Vec::new(), damaged: Vec::new() };
        for name in files.names()? {
            match policy(files, &name) {
                Ok(policy) => all.policies.extend(policy),
                Err(error) => all.damaged.push((name, error)),
            }
        }
        Ok(all)
    }

    /// The policies, and the names of the files that cannot be read and are to go. Where another
    /// cannot be read, what is right for its VFs is not known, and nothing is changed.
    pub(crate) fn but_for(
        self,
        goes: impl Fn(&str) -> bool,
    ) -> Result<(Vec<SriovNetworkNodePolicy>, Vec<String>), Error> {
        let names: Vec<String> = self.damaged.iter().map(|(name, _)| name.clone()).collect();
        match self.damaged.into_iter().find(|(name, _)| !goes(name)) {
            None => Ok((self.policies, names)),
            Some((_, Error::Damaged { path, problem })) => {
                let keys: Vec<String> =
                    names.iter().map(|name| name.replacen('_', "/", 1)).collect();
                let when = if keys.len() == 1 { " first" } else { ", all in one command" };
                let keys = keys.join(", ");
                let mend = format!("apply or delete SriovNetworkNodePolicy {keys}{when}");
                Err(Error::Damaged { path, problem: format!("{problem}: {mend}") })
            }
            Some((_, error)) => Err(error),
        }
    }
}

fn policy(files: &Files, name: &str) -> Result<Option<SriovNetworkNodePolicy>, Error> {
    let Some(text) = files.read_text(name)? else { return Ok(None) };
    let path = files.path(name);
    let problem = match read_manifests(&text, &path.display().to_string()).as_deref() {
        Ok([Object::SriovNetworkNodePolicy(policy)]) => return Ok(Some(policy.clone())),
        Ok(_) => "it holds no single SriovNetworkNodePolicy".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Error::Damaged { path, problem })
}
