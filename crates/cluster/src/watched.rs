//! The watches of the API server that feed the index, and who waits for what they tell.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use futures_util::StreamExt;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Resource};
use podbond_names::ObjectKey;
use serde::de::DeserializeOwned;
use tokio::sync::watch as signal;
use tokio::time::{Instant, timeout_at};

use crate::client::Cluster;
use crate::error::Error;
use crate::index::{Index, Told};
use crate::nad::NadObject;
use crate::pod::PodObject;

/// The index as the watches keep it.
#[derive(Debug, Clone)]
pub struct Watched {
    index: Arc<RwLock<Index>>,
    changed: signal::Sender<()>,
}

impl Default for Watched {
    fn default() -> Self {
        Self { index: Arc::default(), changed: signal::channel(()).0 }
    }
}

impl Watched {
    /// Returns what is known now. It may not be held across an await.
    pub fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the index, and wakes who waits for a change.
    pub fn change(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
    }

    /// Returns what is told of each change from now on.
    pub fn changes(&self) -> signal::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns what is sought in the index once it is there; none where it is not by the deadline.
    pub async fn wait_for<T>(
        &self,
        deadline: Instant,
        mut seek: impl FnMut(&Index) -> Option<T>,
    ) -> Option<T> {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = seek(&self.index()) {
                return Some(found);
            }
            timeout_at(deadline, changed.changed()).await.ok()?.ok()?;
        }
    }

    /// Returns once all pods of the node and all NADs have been listed.
    pub async fn synced(&self) {
        let mut changed = self.changed.subscribe();
        while !self.index().is_synced() {
            // The sender lives as long as this.
            let _ = changed.changed().await;
        }
    }

    /// Watches the pods of a node and all NADs until the future is dropped.
    pub async fn watch(&self, cluster: &Cluster) {
        let of_node = format!("spec.nodeName={}", cluster.node_name());
        let of_node = watcher::Config::default().fields(&of_node);
        let pods = self.run(
            "pods",
            Api::<PodObject>::all(cluster.client()),
            of_node,
            Reading { key: PodObject::key, reduced: PodObject::reduced, tell: Index::tell_pod },
        );
        let nads = self.run(
            "NetworkAttachmentDefinitions",
            Api::<NadObject>::all(cluster.client()),
            watcher::Config::default(),
            Reading { key: NadObject::key, reduced: NadObject::reduced, tell: Index::tell_nad },
        );
        tokio::join!(pods, nads);
    }

    async fn run<K, T>(
        &self,
        what: &str,
        api: Api<K>,
        config: watcher::Config,
        reading: Reading<K, T>,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let Reading { key, reduced, tell } = reading;
        let mut events = watch(api, config).default_backoff().boxed();
        // The stream has no end.
        while let Some(event) = events.next().await {
            let told = match event {
                Ok(Event::Init) => Ok(Told::Begin),
                Ok(Event::InitApply(object)) => reduced(object).map(Told::Listed),
                Ok(Event::InitDone) => {
                    tracing::info!("all {what} are known");
                    Ok(Told::End)
                }
                Ok(Event::Apply(object)) => reduced(object).map(Told::Is),
                Ok(Event::Delete(object)) => key(&object).map(Told::Gone),
                Err(error) => {
                    tracing::warn!(%error, "the watch of {what} has ended and begins again");
                    continue;
                }
            };
            match told {
                Ok(told) => self.change(|index| tell(index, told)),
                Err(error) => tracing::warn!(%error, "an object is passed over"),
            }
        }
    }
}

/// How the objects of a kind become what the index is told.
struct Reading<K, T> {
    key: fn(&K) -> Result<ObjectKey, Error>,
    reduced: fn(K) -> Result<T, Error>,
    tell: fn(&mut Index, Told<T>),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podbond_agent_socket::NadText;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_by_the_change_and_gives_up_at_the_deadline() {
        let watched = Watched::default();
        let key: ObjectKey = "demo/a".parse().unwrap();
        let seek = |index: &Index| index.nad(&key).cloned();
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(watched.wait_for(soon, seek).await, None);
        let nad = NadText { key: key.clone(), resource: None, config: None };
        let later = Instant::now() + Duration::from_secs(10);
        let (found, ()) = tokio::join!(watched.wait_for(later, seek), async {
            tokio::task::yield_now().await;
            watched.change(|index| index.tell_nad(Told::Is(nad.clone())));
        });
        assert_eq!(found, Some(nad));
    }
}
