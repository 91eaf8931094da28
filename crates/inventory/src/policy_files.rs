//! The SR-IOV network node policies of the node as stored: a manifest file each.

use podbond_api::{Object, ObjectKey, SriovNetworkNodePolicy, read_manifests};

use crate::error::Error;
use crate::files::Files;

/// The node's policies.
pub(crate) struct StoredPolicies {
    /// In order of their keys.
    pub(crate) policies: Vec<SriovNetworkNodePolicy>,
    unreadable: Vec<Unreadable>,
}

/// A policy whose file cannot be read.
struct Unreadable {
    /// The policy as people write it, `namespace/name`.
    policy: String,
    /// The file's name without its suffix.
    name: String,
    problem: String,
}

/// Returns the name of a policy's file. Neither part holds an underscore, so that no two keys have one
/// name.
pub(crate) fn file_name(key: &ObjectKey) -> String {
    format!("{}_{}", key.namespace, key.name)
}

impl StoredPolicies {
    pub(crate) fn read(files: &Files) -> Result<Self, Error> {
        let mut stored = Self { policies: Vec::new(), unreadable: Vec::new() };
        for name in files.names()? {
            match files.read(&name, parse)? {
                None => {}
                Some(Ok(policy)) => stored.policies.push(policy),
                Some(Err(problem)) => {
                    let policy = name.replacen('_', "/", 1);
                    stored.unreadable.push(Unreadable { policy, name, problem });
                }
            }
        }
        Ok(stored)
    }

    /// Returns whether a policy is stored, readable or not.
    pub(crate) fn contains(&self, key: &ObjectKey) -> bool {
        let name = file_name(key);
        self.policies.iter().any(|policy| policy.key == *key)
            || self.unreadable.iter().any(|file| file.name == name)
    }

    /// Returns an error for each policy that cannot be read.
    pub(crate) fn errors(&self, files: &Files) -> Vec<Error> {
        let unreadable = self.unreadable.iter();
        unreadable.map(|file| file.error(files, vec![file.policy.clone()])).collect()
    }

    /// Returns an error where a policy that is not among `replaced` cannot be read: what is right for its
    /// VFs is unknown, and nothing may be changed.
    pub(crate) fn require_readable(
        &self,
        replaced: &[ObjectKey],
        files: &Files,
    ) -> Result<(), Error> {
        let replaced: Vec<String> = replaced.iter().map(file_name).collect();
        let Some(file) = self.unreadable.iter().find(|file| !replaced.contains(&file.name)) else {
            return Ok(());
        };
        // One command must name them all, since none of them alone would be enough.
        let all = self.unreadable.iter().map(|file| file.policy.clone()).collect();
        Err(file.error(files, all))
    }
}

impl Unreadable {
    fn error(&self, files: &Files, policies: Vec<String>) -> Error {
        Error::Unreadable { path: files.path(&self.name), problem: self.problem.clone(), policies }
    }
}

fn parse(text: &str) -> Result<SriovNetworkNodePolicy, String> {
    match read_manifests(text, "manifest").as_deref() {
        Ok([Object::SriovNetworkNodePolicy(policy)]) => Ok(policy.clone()),
        Ok(_) => Err("it is not one SriovNetworkNodePolicy".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
