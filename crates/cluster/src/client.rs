//! The way to the API server.

use kube::{Client, Config};

use crate::error::Error;

/// The cluster whose API is asked. A clone asks over the same connections.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// Returns the cluster of the pod's service account, or else of `KUBECONFIG`. Nothing is asked yet. The token
    /// and the CA are read again when their files change.
    ///
    /// # Errors
    /// [`Error::Config`] where there is neither.
    pub async fn connect() -> Result<Self, Error> {
        let mut config = match Config::incluster() {
            Ok(config) => config,
            Err(in_cluster) => {
                let options = kube::config::KubeConfigOptions::default();
                let from_file = Config::from_kubeconfig(&options).await;
                from_file.map_err(|_| Error::Config { source: Box::new(in_cluster) })?
            }
        };
        // Its delays grow to minutes, and a pod waits: what can be tried again is, by whom it concerns.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|source| Error::Request {
            action: "prepare the way to the API server".to_owned(),
            source,
        })?;
        Ok(Self { client })
    }
}
