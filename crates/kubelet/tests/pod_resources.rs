//! The client of PodResources against a kubelet that the test plays, over a unix socket.

#![allow(clippy::unwrap_used, reason = "a panic here is the failure's report")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use podbond_kubelet::proto::pod_resources::pod_resources_lister_server::{
    PodResourcesLister, PodResourcesListerServer,
};
use podbond_kubelet::proto::pod_resources::{
    ContainerDevices, ContainerResources, GetPodResourcesRequest, GetPodResourcesResponse,
    ListPodResourcesRequest, ListPodResourcesResponse, PodResources as Pod,
};
use podbond_kubelet::{Error, PodResources};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

/// What the kubelet answers, and how often it was asked.
struct Kubelet {
    pods: Vec<Pod>,
    /// The code that Get is refused with.
    get: Option<Code>,
    list: Option<Code>,
    gets: AtomicUsize,
    lists: AtomicUsize,
}

impl Kubelet {
    fn with(pods: Vec<Pod>) -> Self {
        Self { pods, get: None, list: None, gets: 0.into(), lists: 0.into() }
    }
}

#[tonic::async_trait]
impl PodResourcesLister for Kubelet {
    async fn list(
        &self,
        _: Request<ListPodResourcesRequest>,
    ) -> Result<Response<ListPodResourcesResponse>, Status> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        match self.list {
            Some(code) => Err(Status::new(code, "no list")),
            None => {
                Ok(Response::new(ListPodResourcesResponse { pod_resources: self.pods.clone() }))
            }
        }
    }

    async fn get(
        &self,
        request: Request<GetPodResourcesRequest>,
    ) -> Result<Response<GetPodResourcesResponse>, Status> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        if let Some(code) = self.get {
            return Err(Status::new(code, "no get"));
        }
        let asked = request.into_inner();
        let mut pods = self.pods.iter();
        let found =
            pods.find(|pod| pod.namespace == asked.pod_namespace && pod.name == asked.pod_name);
        let found = found.ok_or_else(|| Status::unknown("pod not found"))?;
        Ok(Response::new(GetPodResourcesResponse { pod_resources: Some(found.clone()) }))
    }
}

fn pod(name: &str, devices: &[&str]) -> Pod {
    let devices = ContainerDevices {
        resource_name: "openshift.io/sriovpf1".to_owned(),
        device_ids: devices.iter().map(|&id| id.to_owned()).collect(),
    };
    let container = ContainerResources {
        name: "c".to_owned(),
        devices: vec![devices],
        dynamic_resources: Vec::new(),
    };
    Pod { name: name.to_owned(), namespace: "demo".to_owned(), containers: vec![container] }
}

fn serve(dir: &Path, kubelet: Arc<Kubelet>) -> JoinHandle<Result<(), tonic::transport::Error>> {
    let folder = dir.join("pod-resources");
    fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("kubelet.sock");
    let _ = fs::remove_file(&socket);
    let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
    let service = PodResourcesListerServer::from_arc(kubelet);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming))
}

fn ids(ids: &[&str]) -> BTreeMap<String, std::collections::BTreeSet<String>> {
    let ids = ids.iter().map(|&id| id.to_owned()).collect();
    BTreeMap::from([("openshift.io/sriovpf1".to_owned(), ids)])
}

#[tokio::test]
async fn get_is_enough_where_the_kubelet_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let kubelet = Arc::new(Kubelet::with(vec![pod("a", &["0000:01:10.0"]), pod("b", &["x"])]));
    serve(dir.path(), kubelet.clone());
    let client = PodResources::new(dir.path()).unwrap();
    let found = client.devices("demo", "a").await.unwrap();
    assert_eq!(found.by_resource, ids(&["0000:01:10.0"]));
    assert_eq!(kubelet.lists.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn any_error_of_get_asks_for_the_list() {
    for code in [Code::Unimplemented, Code::ResourceExhausted, Code::Unknown, Code::Internal] {
        let dir = tempfile::tempdir().unwrap();
        let pods = vec![pod("a", &["0000:01:10.2", "0000:01:10.0"])];
        let kubelet = Arc::new(Kubelet { get: Some(code), ..Kubelet::with(pods) });
        serve(dir.path(), kubelet);
        let client = PodResources::new(dir.path()).unwrap();
        let found = client.devices("demo", "a").await.unwrap();
        assert_eq!(found.by_resource, ids(&["0000:01:10.0", "0000:01:10.2"]), "{code:?}");
    }
}

#[tokio::test]
async fn pod_that_is_in_neither_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path(), Arc::new(Kubelet::with(vec![pod("a", &[])])));
    let client = PodResources::new(dir.path()).unwrap();
    let error = client.devices("demo", "gone").await.unwrap_err();
    assert!(matches!(&error, Error::UnknownPod { pod } if pod == "demo/gone"), "{error}");
}

#[tokio::test]
async fn both_refusals_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let kubelet = Kubelet {
        get: Some(Code::Unimplemented),
        list: Some(Code::Internal),
        ..Kubelet::with(Vec::new())
    };
    serve(dir.path(), Arc::new(kubelet));
    let client = PodResources::new(dir.path()).unwrap();
    let error = client.devices("demo", "a").await.unwrap_err().to_string();
    assert!(error.contains("pod demo/a"), "{error}");
    assert!(error.contains("no get") && error.contains("no list"), "{error}");
}

#[tokio::test]
async fn kubelet_that_is_away_is_told_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let client = PodResources::new(dir.path()).unwrap();
    let error = client.devices("demo", "a").await.unwrap_err().to_string();
    assert!(error.contains("No such file or directory"), "{error}");
    for devices in [["x"], ["y"]] {
        let server = serve(dir.path(), Arc::new(Kubelet::with(vec![pod("a", &devices)])));
        // The connection to a kubelet that is over is noticed by a call.
        let found = match client.devices("demo", "a").await {
            Err(_) => client.devices("demo", "a").await.unwrap(),
            Ok(found) => found,
        };
        assert!(!found.by_resource.is_empty());
        server.abort();
    }
}

#[tokio::test]
async fn list_of_many_pods_is_read() {
    let dir = tempfile::tempdir().unwrap();
    // 8 MiB: twice what gRPC reads where nothing is said.
    let long = "x".repeat(8 * 1024 * 1024);
    let kubelet = Kubelet {
        get: Some(Code::Unimplemented),
        ..Kubelet::with(vec![pod("many", &[&long]), pod("a", &["0000:01:10.0"])])
    };
    serve(dir.path(), Arc::new(kubelet));
    let client = PodResources::new(dir.path()).unwrap();
    let found = client.devices("demo", "a").await.unwrap();
    assert_eq!(found.by_resource, ids(&["0000:01:10.0"]));
}

#[tokio::test]
async fn thirty_pods_at_once_are_half_of_what_the_kubelet_takes() {
    let dir = tempfile::tempdir().unwrap();
    let kubelet = Arc::new(Kubelet::with(vec![pod("a", &["0000:01:10.0"])]));
    serve(dir.path(), kubelet.clone());
    let client = Arc::new(PodResources::new(dir.path()).unwrap());
    let begun = Instant::now();
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.devices("demo", "a").await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // Five at once and 25 more, one in 20 ms.
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
    assert_eq!(kubelet.gets.load(Ordering::Relaxed), 30);
}
