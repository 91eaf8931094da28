//! The NADs and pods that `podbond apply` was given, kept below `/var/lib/podbond/manifests`: a NAD as
//! its manifest, a pod as the sandbox that was made for it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use podbond_api::{Nad, Object, ObjectKey, Pod, read_manifests};
use podbond_attach::NetworkStatus;
use podbond_cni::ContainerId;
use podbond_kernel::NamedNetns;
use podbond_record::Record;
use podbond_state::names;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// The version of [`AppliedPod`]'s form.
const VERSION: u32 = 1;

/// A pod that was made here: a named network namespace with its attachments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppliedPod {
    version: u32,
    /// The pod.
    pub(crate) pod: ObjectKey,
    /// Its networks annotation when it was made.
    pub(crate) networks: Option<String>,
    /// Its annotation of another default network than the node's when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default_network: Option<String>,
    /// The key of its attachments' records.
    pub(crate) container_id: ContainerId,
    /// The annotation `k8s.v1.cni.cncf.io/network-status` that a cluster's pod would carry; null
    /// until all its networks are up.
    pub(crate) network_status: Value,
}

impl AppliedPod {
    /// Returns the record of a pod before anything is made for it.
    pub(crate) fn new(pod: &Pod, container_id: ContainerId) -> Self {
        Self {
            version: VERSION,
            pod: pod.key.clone(),
            networks: pod.networks().map(str::to_owned),
            default_network: pod.default_network().map(str::to_owned),
            container_id,
            network_status: Value::Null,
        }
    }

    /// Returns whether all its networks came up. Where not, `apply` failed or was killed.
    pub(crate) fn is_complete(&self) -> bool {
        !self.network_status.is_null()
    }

    /// Returns the record of the pod with its networks up.
    pub(crate) fn with_status(self, statuses: &[NetworkStatus]) -> Self {
        let network_status = serde_json::to_value(statuses).unwrap_or_default();
        Self { network_status, ..self }
    }

    /// Returns the name of the pod's network namespace. A Kubernetes namespace holds no dot, so that
    /// no two pods share a name.
    pub(crate) fn netns_name(key: &ObjectKey) -> String {
        format!("{}.{}", key.namespace, key.name)
    }

    /// Returns whether an attachment is of a pod that `podbond apply` made: it has the pod's name and
    /// its network namespace had the pod's path.
    pub(crate) fn is_of(pod: &ObjectKey, record: &Record) -> Result<bool, Error> {
        let path = NamedNetns::path_of(&Self::netns_name(pod))?;
        let is_named = record.pod.as_ref().is_some_and(|named| named.key() == *pod);
        Ok(is_named && record.netns.as_ref().is_some_and(|netns| netns.path == path))
    }
}

/// A pod by the name of its file, and its record, or why it cannot be read.
pub(crate) type Stored = (ObjectKey, Result<AppliedPod, Error>);

/// The records below `manifests/` of the state directory, one file for each object.
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(crate) fn new(state: &Path) -> Self {
        Self { dir: state.join("manifests") }
    }

    /// Returns a NAD, if it was applied.
    pub(crate) fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Error> {
        let path = self.path("nads", key);
        let Some(text) = read(&path)? else { return Ok(None) };
        let objects = read_manifests(&text, "manifest").map_err(|error| wrong(&path, &error))?;
        Ok(objects.into_iter().find_map(|object| match object {
            Object::Nad(nad) => Some(nad),
            _ => None,
        }))
    }

    /// Returns the NADs that were rendered from a SriovNetwork, as far as their files can be read.
    pub(crate) fn nads_of(&self, network: &ObjectKey) -> Result<BTreeSet<ObjectKey>, Error> {
        let mut nads = self.keys("nads")?;
        nads.retain(|key| {
            self.nad(key).is_ok_and(|nad| nad.and_then(|nad| nad.owner()).as_ref() == Some(network))
        });
        Ok(nads)
    }

    /// Writes a NAD.
    pub(crate) fn put_nad(&self, nad: &Nad) -> Result<(), Error> {
        Self::write(&self.path("nads", &nad.key), &nad.to_manifest())
    }

    /// Removes a NAD; returns whether there was one.
    pub(crate) fn remove_nad(&self, key: &ObjectKey) -> Result<bool, Error> {
        remove(&self.path("nads", key))
    }

    /// Returns the record of a pod, if it was applied.
    pub(crate) fn pod(&self, key: &ObjectKey) -> Result<Option<AppliedPod>, Error> {
        let path = self.path("pods", key);
        let Some(text) = read(&path)? else { return Ok(None) };
        let record: AppliedPod =
            serde_json::from_str(&text).map_err(|error| wrong(&path, &error))?;
        if record.version != VERSION {
            let version = record.version;
            let reason = format!("its version is {version}, this podbond reads {VERSION}");
            return Err(wrong(&path, &reason));
        }
        Ok(Some(record))
    }

    /// Writes the record of a pod.
    pub(crate) fn put_pod(&self, record: &AppliedPod) -> Result<(), Error> {
        Self::write(&self.path("pods", &record.pod), record)
    }

    /// Removes the record of a pod; returns whether there was one.
    pub(crate) fn remove_pod(&self, key: &ObjectKey) -> Result<bool, Error> {
        remove(&self.path("pods", key))
    }

    /// Returns all pods in order of their keys, each with its record, or why that cannot be read.
    pub(crate) fn pods(&self) -> Result<Vec<Stored>, Error> {
        let mut pods = Vec::new();
        for key in self.keys("pods")? {
            if let Some(record) = self.pod(&key).transpose() {
                pods.push((key, record));
            }
        }
        Ok(pods)
    }

    /// Returns an error for each record of a pod or NAD that cannot be read.
    pub(crate) fn unreadable(&self) -> Result<Vec<Error>, Error> {
        let (pods, nads) = (self.keys("pods")?, self.keys("nads")?);
        let pods = pods.iter().filter_map(|key| self.pod(key).err());
        Ok(pods.chain(nads.iter().filter_map(|key| self.nad(key).err())).collect())
    }

    /// Returns the objects of one kind by the names of their files.
    fn keys(&self, kind: &str) -> Result<BTreeSet<ObjectKey>, Error> {
        let directory = self.dir.join(kind);
        let mut keys = BTreeSet::new();
        for namespace in names(&directory)? {
            for file in names(&directory.join(&namespace))? {
                let name = file.strip_suffix(".json");
                keys.extend(name.and_then(|name| ObjectKey::new(&namespace, name).ok()));
            }
        }
        Ok(keys)
    }

    /// Returns the file of an object. Both parts of a key are DNS-1123 names, so that the path stays in its directory.
    fn path(&self, kind: &str, key: &ObjectKey) -> PathBuf {
        let directory = self.dir.join(kind).join(key.namespace.as_str());
        directory.join(format!("{}.json", key.name))
    }

    fn write(path: &Path, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(value).map_err(|error| wrong(path, &error))?;
        Ok(podbond_state::write(path, &text)?)
    }
}

fn wrong(path: &Path, reason: &dyn Display) -> Error {
    Error::Record { path: path.to_owned(), reason: reason.to_string() }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match podbond_state::read(path) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => String::from_utf8(bytes).map(Some).map_err(|error| wrong(path, &error)),
        Err(podbond_state::Error::TooLarge { max, .. }) => {
            Err(wrong(path, &format!("it has more than {max} bytes")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes a file; returns whether there was one.
fn remove(path: &Path) -> Result<bool, Error> {
    let was_there = path.exists();
    podbond_state::remove(path)?;
    Ok(was_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        text.parse().unwrap()
    }

    fn record(text: &str) -> AppliedPod {
        AppliedPod {
            version: VERSION,
            pod: key(text),
            networks: Some("a, b".to_owned()),
            default_network: None,
            container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
            network_status: Value::Null,
        }
    }

    #[test]
    fn pods_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert!(store.pods().unwrap().is_empty());
        for pod in ["b/two", "a/one", "b/one"] {
            store.put_pod(&record(pod)).unwrap();
        }
        assert_eq!(listed(&store), ["a/one", "b/one", "b/two"]);
        assert!(store.remove_pod(&key("b/two")).unwrap());
        assert!(!store.remove_pod(&key("b/two")).unwrap());
        assert_eq!(listed(&store), ["a/one", "b/one"]);
    }

    fn listed(store: &Store) -> Vec<String> {
        store.pods().unwrap().iter().map(|(key, _)| key.to_string()).collect()
    }

    #[test]
    fn record_of_another_version_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.put_pod(&AppliedPod { version: 9, ..record("a/one") }).unwrap();
        let message = store.pod(&key("a/one")).unwrap_err().to_string();
        assert!(message.contains("version is 9"), "{message}");
    }

    #[test]
    fn records_are_read_beside_one_that_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.put_pod(&record("a/one")).unwrap();
        for (kind, content) in
            [("pods/a", ""), ("pods/b", "[]"), ("nads/a", "{"), ("nads/b", "\u{0}")]
        {
            let dir = dir.path().join("manifests").join(kind);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("two.json"), content).unwrap();
        }
        let huge = std::fs::File::create(dir.path().join("manifests/pods/b/two.json")).unwrap();
        huge.set_len(podbond_state::MAX_SIZE + 1).unwrap();
        let pods = store.pods().unwrap();
        let are_read = pods.iter().map(|(key, record)| (key.to_string(), record.is_ok()));
        let expected = [("a/one", true), ("a/two", false), ("b/two", false)];
        assert_eq!(are_read.collect::<Vec<_>>(), expected.map(|(key, ok)| (key.to_owned(), ok)));
        let unreadable = store.unreadable().unwrap();
        assert_eq!(unreadable.len(), 4);
        for error in unreadable {
            assert!(
                matches!(&error, Error::Record { path, .. } if path.ends_with("two.json")),
                "{error}"
            );
        }
        assert!(store.nads_of(&key("a/n")).unwrap().is_empty());
    }

    #[test]
    fn nad_is_found_by_the_sriovnetwork_that_it_is_rendered_from() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let manifests = read_manifests(
            "apiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetwork\n\
             metadata: {name: n, namespace: ops}\n\
             spec: {networkNamespace: demo, resourceName: r}\n---\n\
             apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
             metadata: {name: m, namespace: demo}\nspec: {config: '{\"type\": \"bond\"}'}\n",
            "test",
        );
        for object in manifests.unwrap() {
            let nad = match object {
                Object::SriovNetwork(network) => podbond_api::render(&network),
                Object::Nad(nad) => nad,
                other => panic!("{other:?}"),
            };
            store.put_nad(&nad).unwrap();
        }
        assert_eq!(store.nads_of(&key("ops/n")).unwrap(), [key("demo/n")].into());
        assert!(store.nads_of(&key("demo/m")).unwrap().is_empty());
    }

    #[test]
    fn pod_is_complete_with_its_networks_up() {
        let begun = record("a/p");
        assert!(!begun.is_complete());
        assert!(begun.with_status(&[]).is_complete());
    }

    #[test]
    fn nad_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let nad = Nad {
            key: key("demo/bond-net1"),
            annotations: std::collections::BTreeMap::new(),
            resource: None,
            config: Some(r#"{"type": "bond", "name": "bond-net1"}"#.to_owned()),
        };
        store.put_nad(&nad).unwrap();
        assert_eq!(store.nad(&nad.key).unwrap(), Some(nad.clone()));
        assert!(store.remove_nad(&nad.key).unwrap());
        assert_eq!(store.nad(&nad.key).unwrap(), None);
    }
}
