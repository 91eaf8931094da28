//! What the watches have told of this node's pods and of all NADs. Pure: events in, answers out.

use std::collections::BTreeMap;

use podbond_agent_socket::NadText;
use podbond_names::ObjectKey;

use crate::pod::NodePod;

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<T> {
    /// All objects are listed anew.
    Begin,
    /// One of those that are listed.
    Listed(T),
    /// All are listed: what was not among them is gone.
    End,
    /// An object is new or changed.
    Is(T),
    /// An object is gone.
    Gone(ObjectKey),
}

/// What is known of this node's pods and of all NADs.
#[derive(Debug, Default)]
pub struct Index {
    pods: Table<NodePod>,
    nads: Table<NadText>,
}

impl Index {
    /// Takes what the watch of pods tells.
    pub fn tell_pod(&mut self, told: Told<NodePod>) {
        self.pods.tell(told, |pod| &pod.key);
    }

    /// Takes what the watch of NADs tells.
    pub fn tell_nad(&mut self, told: Told<NadText>) {
        self.nads.tell(told, |nad| &nad.key);
    }

    /// Returns a pod of this node, if it has been told.
    pub fn pod(&self, key: &ObjectKey) -> Option<&NodePod> {
        self.pods.known.get(key)
    }

    /// Returns a NAD, if it has been told.
    pub fn nad(&self, key: &ObjectKey) -> Option<&NadText> {
        self.nads.known.get(key)
    }

    /// Returns the pods of this node.
    pub fn pods(&self) -> impl Iterator<Item = &NodePod> {
        self.pods.known.values()
    }

    /// Returns whether all pods and all NADs were listed once.
    pub fn is_synced(&self) -> bool {
        self.pods.is_synced && self.nads.is_synced
    }
}

/// The objects of one kind.
#[derive(Debug)]
struct Table<T> {
    known: BTreeMap<ObjectKey, T>,
    /// Those of a list that has not ended; until it has, what was known stays.
    arriving: BTreeMap<ObjectKey, T>,
    is_synced: bool,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), arriving: BTreeMap::new(), is_synced: false }
    }
}

impl<T> Table<T> {
    fn tell(&mut self, told: Told<T>, key: impl Fn(&T) -> &ObjectKey) {
        match told {
            Told::Begin => self.arriving.clear(),
            Told::Listed(object) => {
                self.arriving.insert(key(&object).clone(), object);
            }
            Told::End => {
                self.known = std::mem::take(&mut self.arriving);
                self.is_synced = true;
            }
            Told::Is(object) => {
                self.known.insert(key(&object).clone(), object);
            }
            Told::Gone(key) => {
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nad(name: &str, config: &str) -> NadText {
        let key = ObjectKey::new("demo", name).unwrap();
        NadText { key, resource: None, config: Some(config.to_owned()) }
    }

    fn config(index: &Index, name: &str) -> Option<String> {
        index.nad(&ObjectKey::new("demo", name).unwrap())?.config.clone()
    }

    #[test]
    fn what_is_not_listed_again_is_gone_only_when_the_list_has_ended() {
        let mut index = Index::default();
        for told in [Told::Begin, Told::Listed(nad("a", "1")), Told::Listed(nad("b", "1"))] {
            index.tell_nad(told);
        }
        assert_eq!((config(&index, "a"), index.is_synced()), (None, false));
        index.tell_nad(Told::End);
        assert_eq!(config(&index, "a").as_deref(), Some("1"));
        // Pods are not listed yet.
        assert!(!index.is_synced());
        for told in [Told::Begin, Told::End] {
            index.tell_pod(told);
        }
        assert!(index.is_synced());
        for told in [Told::Begin, Told::Listed(nad("b", "2"))] {
            index.tell_nad(told);
        }
        assert_eq!(config(&index, "a").as_deref(), Some("1"));
        index.tell_nad(Told::End);
        assert_eq!((config(&index, "a"), config(&index, "b").as_deref()), (None, Some("2")));
        assert!(index.is_synced());
    }

    #[test]
    fn changes_are_taken_as_they_come() {
        let mut index = Index::default();
        index.tell_nad(Told::Is(nad("a", "1")));
        index.tell_nad(Told::Is(nad("a", "2")));
        assert_eq!(config(&index, "a").as_deref(), Some("2"));
        index.tell_nad(Told::Gone(ObjectKey::new("demo", "a").unwrap()));
        assert_eq!(config(&index, "a"), None);
    }
}
