//! Which devices the kubelet has given to a pod: the client of its PodResources API, version 1.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::error::Error;
use crate::pace::Pace;
use crate::pod_devices::PodDevices;
use crate::proto::pod_resources::pod_resources_lister_client::PodResourcesListerClient;
use crate::proto::pod_resources::{
    GetPodResourcesRequest, ListPodResourcesRequest, PodResources as Pod,
};

/// The kubelet's socket, in its folder.
const SOCKET: &str = "pod-resources/kubelet.sock";

/// The longest answer that is read, in bytes: a List of all pods of a node. Multus reads as much.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const GET_TIMEOUT: Duration = Duration::from_secs(3);
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// The kubelet answers 10 calls at once and 100 a second, and refuses more. It counts those of all its
/// clients, so that half of that is ours.
const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_millis(20);

/// The PodResources API of a node's kubelet. It connects when it is asked, and again after the kubelet's
/// restart.
#[derive(Debug)]
pub struct PodResources {
    client: PodResourcesListerClient<Channel>,
    pace: Mutex<Pace>,
}

impl PodResources {
    /// Returns the API of the kubelet whose files are in the folder. It must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Socket`] for a path that is not UTF-8.
    pub fn new(kubelet_dir: &Path) -> Result<Self, Error> {
        let channel = endpoint(&kubelet_dir.join(SOCKET))?.connect_lazy();
        let client =
            PodResourcesListerClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { client, pace: Mutex::new(Pace::new(BURST, INTERVAL)) })
    }

    /// Returns the devices of a pod. The kubelet is asked for the pod, and after any error for all pods:
    /// older ones know no other question, and one that is asked too often refuses it.
    ///
    /// The answer is about the name: it says nothing of the pod's UID.
    ///
    /// # Errors
    /// [`Error::PodResources`] where neither is answered, [`Error::UnknownPod`] where the pod is not listed.
    pub async fn devices(&self, namespace: &str, name: &str) -> Result<PodDevices, Error> {
        let pod = || format!("{namespace}/{name}");
        let get = match self.get(namespace, name).await {
            Ok(found) => return Ok(PodDevices::of(&found)),
            Err(status) => status,
        };
        let listed = self.list().await.map_err(|list| Error::PodResources {
            pod: pod(),
            get: Box::new(get),
            list: Box::new(list),
        })?;
        let mut listed = listed.iter();
        let found = listed.find(|listed| listed.namespace == namespace && listed.name == name);
        found.map(PodDevices::of).ok_or_else(|| Error::UnknownPod { pod: pod() })
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Pod, Status> {
        self.turn().await;
        let mut request = Request::new(GetPodResourcesRequest {
            pod_name: name.to_owned(),
            pod_namespace: namespace.to_owned(),
        });
        request.set_timeout(GET_TIMEOUT);
        let call = self.client.clone();
        let answer = in_time(GET_TIMEOUT, async move { { call }.get(request).await }).await?;
        answer.pod_resources.ok_or_else(|| Status::unknown("an answer without a pod"))
    }

    async fn list(&self) -> Result<Vec<Pod>, Status> {
        self.turn().await;
        let mut request = Request::new(ListPodResourcesRequest {});
        request.set_timeout(LIST_TIMEOUT);
        let call = self.client.clone();
        let answer = in_time(LIST_TIMEOUT, async move { { call }.list(request).await }).await?;
        Ok(answer.pod_resources)
    }

    /// Waits until the kubelet takes a call.
    async fn turn(&self) {
        let at = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.next(Instant::now())
        };
        tokio::time::sleep_until(at.into()).await;
    }
}

/// Returns where a unix socket is called.
///
/// # Errors
/// [`Error::Socket`] for a path that is not UTF-8.
pub(crate) fn endpoint(socket: &Path) -> Result<Endpoint, Error> {
    let uri = format!("unix://{}", socket.display());
    let endpoint = Endpoint::from_shared(uri)
        .map_err(|source| Error::Socket { socket: socket.to_owned(), source })?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT))
}

/// Returns the answer of a call, which has an end also where the socket takes a connection and is silent.
async fn in_time<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::new(Code::DeadlineExceeded, format!("no answer in {limit:?}"))),
    }
}
