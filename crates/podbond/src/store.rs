//! What was applied, kept on disk so that later commands know it: a NAD as its manifest, a pod as
//! the sandbox that was made for it.

use std::path::{Path, PathBuf};

use podbond_api::{Nad, Namespace, Object, ObjectKey, Pod, read_manifests};
use podbond_attach::NetworkStatus;
use podbond_cni::ContainerId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// The version of [`PodRecord`]'s form.
const VERSION: u32 = 1;

/// A pod that was made here: a named network namespace with its attachments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PodRecord {
    version: u32,
    /// The pod.
    pub(crate) pod: ObjectKey,
    /// Its networks annotation when it was made.
    pub(crate) networks: Option<String>,
    /// The key of its attachments' records.
    pub(crate) container_id: ContainerId,
    /// The annotation `k8s.v1.cni.cncf.io/network-status` that a cluster's pod would carry; null
    /// until all its networks are up.
    pub(crate) network_status: Value,
}

impl PodRecord {
    /// A pod of which nothing is made yet.
    pub(crate) fn new(pod: &Pod, container_id: ContainerId) -> Self {
        Self {
            version: VERSION,
            pod: pod.key.clone(),
            networks: pod.networks().map(str::to_owned),
            container_id,
            network_status: Value::Null,
        }
    }

    /// Whether all its networks came up. Where not, the command that made it failed or was killed.
    pub(crate) fn is_complete(&self) -> bool {
        !self.network_status.is_null()
    }

    /// The same record once the pod's networks are up.
    pub(crate) fn with_status(self, statuses: &[NetworkStatus]) -> Self {
        let network_status = serde_json::to_value(statuses).unwrap_or_default();
        Self { network_status, ..self }
    }

    /// The name of the pod's network namespace. A Kubernetes namespace holds no dot, so that no
    /// two pods share a name.
    pub(crate) fn netns_name(key: &ObjectKey) -> String {
        format!("{}.{}", key.namespace, key.name)
    }
}

/// A pod by its place among the records, and what its record says.
pub(crate) type Stored = (ObjectKey, Result<PodRecord, Error>);

/// The records below `manifests/` of the state directory, one file for each object.
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(crate) fn new(state: &Path) -> Self {
        Self { dir: state.join("manifests") }
    }

    pub(crate) fn nad(&self, key: &ObjectKey) -> Result<Option<Nad>, Error> {
        read_nad(&self.path("nads", key))
    }

    /// The NADs that were rendered from a SriovNetwork, as far as their records can be read.
    pub(crate) fn nads_of(&self, network: &ObjectKey) -> Result<Vec<ObjectKey>, Error> {
        let mut nads = Vec::new();
        for path in self.records("nads", None)? {
            let nad = read_nad(&path).ok().flatten();
            let nad = nad.filter(|nad| nad.owner().as_ref() == Some(network));
            nads.extend(nad.map(|nad| nad.key));
        }
        Ok(nads)
    }

    pub(crate) fn put_nad(&self, nad: &Nad) -> Result<(), Error> {
        Self::write(&self.path("nads", &nad.key), &nad.to_manifest())
    }

    /// Whether there was one.
    pub(crate) fn remove_nad(&self, key: &ObjectKey) -> Result<bool, Error> {
        remove(&self.path("nads", key))
    }

    pub(crate) fn pod(&self, key: &ObjectKey) -> Result<Option<PodRecord>, Error> {
        read_pod(&self.path("pods", key))
    }

    pub(crate) fn put_pod(&self, record: &PodRecord) -> Result<(), Error> {
        Self::write(&self.path("pods", &record.pod), record)
    }

    pub(crate) fn remove_pod(&self, key: &ObjectKey) -> Result<bool, Error> {
        remove(&self.path("pods", key))
    }

    /// All pods, or those of one namespace, in order of their keys. One whose record cannot be read
    /// is among them.
    pub(crate) fn pods(&self, namespace: Option<&Namespace>) -> Result<Vec<Stored>, Error> {
        let mut pods = Vec::new();
        for path in self.records("pods", namespace)? {
            let Some(key) = key_of(&path) else { continue };
            pods.extend(read_pod(&path).transpose().map(|record| (key, record)));
        }
        pods.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(pods)
    }

    /// Why records of pods and NADs cannot be read.
    pub(crate) fn damaged(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut all = |kind| self.records(kind, None).map_err(|error| errors.push(error));
        let (pods, nads) = (all("pods").unwrap_or_default(), all("nads").unwrap_or_default());
        errors.extend(pods.iter().filter_map(|path| read_pod(path).err()));
        errors.extend(nads.iter().filter_map(|path| read_nad(path).err()));
        errors
    }

    /// The files of one kind, of one namespace or all.
    fn records(&self, kind: &str, namespace: Option<&Namespace>) -> Result<Vec<PathBuf>, Error> {
        let all = self.dir.join(kind);
        let namespaces = match namespace {
            Some(namespace) => vec![all.join(namespace.as_str())],
            None => entries(&all)?,
        };
        let mut records = Vec::new();
        for namespace in namespaces {
            records.extend(entries(&namespace)?);
        }
        records.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        Ok(records)
    }

    /// Both parts of a key are DNS-1123 names, so that the path stays in its directory.
    fn path(&self, kind: &str, key: &ObjectKey) -> PathBuf {
        let directory = self.dir.join(kind).join(key.namespace.as_str());
        directory.join(format!("{}.json", key.name))
    }

    fn write(path: &Path, value: &impl Serialize) -> Result<(), Error> {
        let wrong = |error: serde_json::Error| Error::Record {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        Ok(podbond_state::write(path, &serde_json::to_vec_pretty(value).map_err(wrong)?)?)
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    let wrong = |reason| Error::Record { path: path.to_owned(), reason };
    let bytes = match podbond_state::read(path) {
        Err(podbond_state::Error::TooLarge { max, .. }) => {
            return Err(wrong(format!("it has more than {max} bytes")));
        }
        bytes => bytes?,
    };
    let text = bytes.map(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
    text.transpose().map_err(wrong)
}

fn read_nad(path: &Path) -> Result<Option<Nad>, Error> {
    let Some(text) = read(path)? else { return Ok(None) };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let objects = read_manifests(&text, &name)
        .map_err(|error| Error::Record { path: path.to_owned(), reason: error.to_string() })?;
    Ok(objects.into_iter().find_map(|object| match object {
        Object::Nad(nad) => Some(nad),
        _ => None,
    }))
}

fn read_pod(path: &Path) -> Result<Option<PodRecord>, Error> {
    let Some(text) = read(path)? else { return Ok(None) };
    let wrong = |reason: String| Error::Record { path: path.to_owned(), reason };
    let record: PodRecord =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if record.version == VERSION {
        Ok(Some(record))
    } else {
        Err(wrong(format!("its version is {}, this podbond reads {VERSION}", record.version)))
    }
}

/// The pod whose record is in a file: `<namespace>/<name>.json`.
fn key_of(path: &Path) -> Option<ObjectKey> {
    let namespace = path.parent()?.file_name()?.to_str()?;
    format!("{namespace}/{}", path.file_stem()?.to_str()?).parse().ok()
}

/// Whether there was one.
fn remove(path: &Path) -> Result<bool, Error> {
    let was_there = path.exists();
    podbond_state::remove(path)?;
    Ok(was_there)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(podbond_state::names(dir)?.into_iter().map(|name| dir.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        text.parse().unwrap()
    }

    fn record(text: &str) -> PodRecord {
        PodRecord {
            version: VERSION,
            pod: key(text),
            networks: Some("a, b".to_owned()),
            container_id: ContainerId::try_from("c1".to_owned()).unwrap(),
            network_status: Value::Null,
        }
    }

    #[test]
    fn pods_are_listed_in_order_until_they_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert!(store.pods(None).unwrap().is_empty());
        for pod in ["b/two", "a/one", "b/one"] {
            store.put_pod(&record(pod)).unwrap();
        }
        let names = |namespace: Option<&str>| -> Vec<String> {
            let namespace = namespace.map(|text| text.parse().unwrap());
            let pods = store.pods(namespace.as_ref()).unwrap();
            pods.iter()
                .map(|(key, record)| {
                    assert_eq!(record.as_ref().unwrap().pod, *key);
                    key.to_string()
                })
                .collect()
        };
        assert_eq!(names(None), ["a/one", "b/one", "b/two"]);
        assert_eq!(names(Some("b")), ["b/one", "b/two"]);
        assert!(store.remove_pod(&key("b/two")).unwrap());
        assert!(!store.remove_pod(&key("b/two")).unwrap());
        assert_eq!(names(Some("b")), ["b/one"]);
    }

    #[test]
    fn a_record_of_another_version_is_not_misread() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.put_pod(&PodRecord { version: 9, ..record("a/one") }).unwrap();
        let message = store.pod(&key("a/one")).unwrap_err().to_string();
        assert!(message.contains("version is 9"), "{message}");
    }

    #[test]
    fn a_damaged_record_keeps_no_other_from_being_read() {
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
        let pods = store.pods(None).unwrap();
        let told = pods.iter().map(|(key, record)| (key.to_string(), record.is_ok()));
        let expected = [("a/one", true), ("a/two", false), ("b/two", false)];
        assert_eq!(told.collect::<Vec<_>>(), expected.map(|(key, ok)| (key.to_owned(), ok)));
        let damaged = store.damaged();
        assert_eq!(damaged.len(), 4);
        for error in damaged {
            assert!(
                matches!(&error, Error::Record { path, .. } if path.ends_with("two.json")),
                "{error}"
            );
        }
        assert!(store.nads_of(&key("a/n")).unwrap().is_empty());
    }

    #[test]
    fn a_network_is_found_by_what_it_was_rendered_from() {
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
        let wanted = crate::wanted::Wanted::read(manifests.unwrap()).unwrap();
        for nad in &wanted.nads {
            store.put_nad(nad).unwrap();
        }
        assert_eq!(store.nads_of(&key("ops/n")).unwrap(), [key("demo/n")]);
        assert!(store.nads_of(&key("demo/m")).unwrap().is_empty());
    }

    #[test]
    fn a_pod_is_complete_once_its_networks_are_up_even_without_any() {
        let begun = record("a/p");
        assert!(!begun.is_complete());
        assert!(begun.with_status(&[]).is_complete());
    }

    #[test]
    fn a_nad_is_read_back_as_it_was_put() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let nad = Nad {
            key: key("demo/bond-net1"),
            annotations: std::collections::BTreeMap::new(),
            resource: None,
            config: r#"{"type": "bond", "name": "bond-net1"}"#.to_owned(),
        };
        store.put_nad(&nad).unwrap();
        assert_eq!(store.nad(&nad.key).unwrap(), Some(nad.clone()));
        assert!(store.remove_nad(&nad.key).unwrap());
        assert_eq!(store.nad(&nad.key).unwrap(), None);
    }
}
