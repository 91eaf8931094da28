//! A device plugin, offered to a kubelet that the test plays, over unix sockets.

#![allow(clippy::unwrap_used, reason = "a panic here is the failure's report")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use podbond_kubelet::proto::device_plugin::device_plugin_client::DevicePluginClient;
use podbond_kubelet::proto::device_plugin::registration_server::{
    Registration, RegistrationServer,
};
use podbond_kubelet::proto::device_plugin::{
    AllocateRequest, ContainerAllocateRequest, ContainerPreferredAllocationRequest, Empty,
    PreferredAllocationRequest, RegisterRequest,
};
use podbond_kubelet::{
    AllocateError, Allocation, Device, DevicePlugin, Health, PluginSocket, Preference, offer,
    register,
};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

const RESOURCE: &str = "openshift.io/sriovpf1";

/// Hands on what is registered.
struct Kubelet(mpsc::UnboundedSender<RegisterRequest>);

#[tonic::async_trait]
impl Registration for Kubelet {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<Empty>, Status> {
        let request = request.into_inner();
        if request.resource_name == "refused" {
            return Err(Status::invalid_argument("not a qualified name"));
        }
        self.0.send(request).map_err(|_| Status::aborted("the test is over"))?;
        Ok(Response::new(Empty {}))
    }
}

type Registered = mpsc::UnboundedReceiver<RegisterRequest>;
type Serving = JoinHandle<Result<(), tonic::transport::Error>>;

/// Starts the kubelet as it starts: its folder of plugins is emptied first.
fn start_kubelet(dir: &Path) -> (Registered, Serving) {
    let folder = dir.join("device-plugins");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let listener = UnixListener::bind(folder.join("kubelet.sock")).unwrap();
    let (sender, registered) = mpsc::unbounded_channel();
    let server = Server::builder()
        .add_service(RegistrationServer::new(Kubelet(sender)))
        .serve_with_incoming(UnixListenerStream::new(listener));
    (registered, tokio::spawn(server))
}

/// Two VFs; the second is taken first.
struct Plugin(watch::Sender<Vec<Device>>);

impl DevicePlugin for Plugin {
    fn devices(&self) -> watch::Receiver<Vec<Device>> {
        self.0.subscribe()
    }

    fn allocate(&self, ids: &[String]) -> Result<Allocation, AllocateError> {
        if let Some(id) = ids.iter().find(|id| !id.starts_with("0000:")) {
            return Err(AllocateError::UnknownDevice { id: id.clone() });
        }
        let environment = [("PCIDEVICE_OPENSHIFT_IO_SRIOVPF1".to_owned(), ids.join(","))];
        Ok(Allocation { environment: environment.into(), ..Allocation::default() })
    }

    fn preferred(&self, preference: &Preference) -> Vec<String> {
        preference.available.iter().rev().take(preference.count).cloned().collect()
    }
}

fn vf(id: &str, health: Health) -> Device {
    Device { id: id.to_owned(), health, numa_node: Some(1) }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("nothing within 20 s")
}

async fn client(dir: &Path, endpoint: &str) -> DevicePluginClient<Channel> {
    let socket: PathBuf = dir.join("device-plugins").join(endpoint);
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
    DevicePluginClient::new(endpoint.connect().await.unwrap())
}

fn offered(dir: &Path) -> (watch::Sender<Vec<Device>>, JoinHandle<()>) {
    let (sender, _) = watch::channel(vec![
        vf("0000:01:10.0", Health::Healthy),
        vf("0000:01:10.2", Health::Unhealthy),
    ]);
    let plugin = Arc::new(Plugin(sender.clone()));
    let socket = PluginSocket { kubelet_dir: dir.to_owned(), resource: RESOURCE.to_owned() };
    let task = tokio::spawn(async move {
        offer(plugin, &socket).await;
    });
    (sender, task)
}

#[tokio::test]
async fn plugin_is_registered_and_tells_its_devices_as_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let (mut registered, _kubelet) = start_kubelet(dir.path());
    let (devices, _offer) = offered(dir.path());

    let request = in_time(registered.recv()).await.unwrap();
    assert_eq!(request.version, "v1beta1");
    assert_eq!(request.resource_name, RESOURCE);
    assert_eq!(request.endpoint, "podbond-openshift.io_sriovpf1.sock");

    let mut plugin = client(dir.path(), &request.endpoint).await;
    let mut lists = plugin.list_and_watch(Empty {}).await.unwrap().into_inner();
    let list = in_time(lists.message()).await.unwrap().unwrap();
    let told: Vec<_> = list.devices.iter().map(|d| (d.id.as_str(), d.health.as_str())).collect();
    assert_eq!(told, [("0000:01:10.0", "Healthy"), ("0000:01:10.2", "Unhealthy")]);
    assert_eq!(list.devices[0].topology.as_ref().unwrap().nodes[0].id, 1);

    devices.send_replace(Vec::new());
    let list = in_time(lists.message()).await.unwrap().unwrap();
    assert!(list.devices.is_empty());
}

#[tokio::test]
async fn containers_get_what_the_plugin_says() {
    let dir = tempfile::tempdir().unwrap();
    let (mut registered, _kubelet) = start_kubelet(dir.path());
    let (_devices, _offer) = offered(dir.path());
    let request = in_time(registered.recv()).await.unwrap();
    assert!(request.options.unwrap().get_preferred_allocation_available);
    let mut plugin = client(dir.path(), &request.endpoint).await;

    let allocate = |id: &str| AllocateRequest {
        container_requests: vec![ContainerAllocateRequest { devices_ids: vec![id.to_owned()] }],
    };
    let answer = plugin.allocate(allocate("0000:01:10.0")).await.unwrap().into_inner();
    let envs = &answer.container_responses[0].envs;
    assert_eq!(envs["PCIDEVICE_OPENSHIFT_IO_SRIOVPF1"], "0000:01:10.0");
    let error = plugin.allocate(allocate("gone")).await.unwrap_err();
    assert!(error.message().contains("gone"), "{error}");

    let preferred = PreferredAllocationRequest {
        container_requests: vec![ContainerPreferredAllocationRequest {
            available_device_i_ds: vec!["a".to_owned(), "b".to_owned()],
            must_include_device_i_ds: Vec::new(),
            allocation_size: 1,
        }],
    };
    let answer = plugin.get_preferred_allocation(preferred).await.unwrap().into_inner();
    assert_eq!(answer.container_responses[0].device_i_ds, ["b"]);
}

#[tokio::test]
async fn plugin_waits_for_the_kubelet_and_registers_again_after_its_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (_devices, _offer) = offered(dir.path());
    for _ in 0..2 {
        let (mut registered, kubelet) = start_kubelet(dir.path());
        let request = in_time(registered.recv()).await.unwrap();
        let mut plugin = client(dir.path(), &request.endpoint).await;
        plugin.get_device_plugin_options(Empty {}).await.unwrap();
        kubelet.abort();
    }
}

#[tokio::test]
async fn refused_registration_names_resource_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (_registered, _kubelet) = start_kubelet(dir.path());
    let error = register(dir.path(), "refused", "x.sock").await.unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("not a qualified name"), "{error}");
}
