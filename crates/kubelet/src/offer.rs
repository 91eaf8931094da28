//! Offering devices to the kubelet: the plugin's socket in the kubelet's folder, and its registration, again
//! after each restart of the kubelet.

use std::convert::Infallible;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Status};

use crate::device_plugin::DevicePlugin;
use crate::error::Error;
use crate::pod_resources::endpoint;
use crate::proto::device_plugin::RegisterRequest;
use crate::proto::device_plugin::device_plugin_server::DevicePluginServer;
use crate::proto::device_plugin::registration_client::RegistrationClient;
use crate::serve::{Service, options};

/// The version of the API.
const VERSION: &str = "v1beta1";
/// The folder of all plugins' sockets, in the kubelet's folder. The kubelet empties it when it starts.
const FOLDER: &str = "device-plugins";
/// The socket of the kubelet, there.
const KUBELET_SOCKET: &str = "kubelet.sock";

const REGISTER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at whether the kubelet was started anew.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where a plugin is served.
#[derive(Debug, Clone)]
pub struct PluginSocket {
    /// The kubelet's folder.
    pub kubelet_dir: PathBuf,
    /// The resource, with its prefix: `openshift.io/sriovnic1`.
    pub resource: String,
}

impl PluginSocket {
    fn folder(&self) -> PathBuf {
        self.kubelet_dir.join(FOLDER)
    }

    /// Returns the name of the socket's file: that of the SR-IOV network device plugin, with `podbond-` before it,
    /// so that one can take the other's place without a gap.
    fn file_name(&self) -> String {
        format!("podbond-{}.sock", self.resource.replace('/', "_"))
    }

    fn path(&self) -> PathBuf {
        self.folder().join(self.file_name())
    }
}

/// Serves a plugin and keeps it registered until the future is dropped. What goes wrong is logged and tried
/// again each second.
pub async fn offer<P: DevicePlugin>(plugin: Arc<P>, socket: &PluginSocket) -> Infallible {
    let mut last = String::new();
    loop {
        match serve(&plugin, socket).await {
            Ok(()) => {
                last.clear();
                tracing::info!(resource = socket.resource, "the kubelet was started anew");
            }
            Err(error) => {
                let error = error.to_string();
                if error != last {
                    tracing::warn!(resource = socket.resource, error, "devices are not offered");
                }
                last = error;
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Serves and registers a plugin; returns when the kubelet must be told anew.
async fn serve<P: DevicePlugin>(plugin: &Arc<P>, socket: &PluginSocket) -> Result<(), Error> {
    let path = socket.path();
    let listener = bind(&path).map_err(|source| Error::Bind { socket: path.clone(), source })?;
    let kubelet = identity(&socket.folder().join(KUBELET_SOCKET));
    let service = DevicePluginServer::new(Service(plugin.clone()));
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming(UnixListenerStream::new(listener));
    tokio::select! {
        ended = server => ended.map_err(|source| Error::Serve { socket: path, source }),
        ended = registered(socket, kubelet) => ended,
    }
}

/// Registers, and returns when the kubelet was started anew: it makes its socket anew and removes ours.
async fn registered(socket: &PluginSocket, kubelet: Option<Identity>) -> Result<(), Error> {
    register(&socket.kubelet_dir, &socket.resource, &socket.file_name()).await?;
    tracing::info!(resource = socket.resource, "devices are offered to the kubelet");
    let ours = identity(&socket.path());
    let kubelet_socket = socket.folder().join(KUBELET_SOCKET);
    while identity(&kubelet_socket) == kubelet && identity(&socket.path()) == ours {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// Tells the kubelet of a plugin that listens at a socket in its folder of plugins. The kubelet calls it back
/// at once.
///
/// # Errors
/// [`Error::Register`] where it is not taken, or not within 5 s.
pub async fn register(kubelet_dir: &Path, resource: &str, file_name: &str) -> Result<(), Error> {
    let refused =
        |status| Error::Register { resource: resource.to_owned(), status: Box::new(status) };
    let endpoint = endpoint(&kubelet_dir.join(FOLDER).join(KUBELET_SOCKET))?;
    let request = RegisterRequest {
        version: VERSION.to_owned(),
        endpoint: file_name.to_owned(),
        resource_name: resource.to_owned(),
        options: Some(options()),
    };
    let call = async {
        let channel = endpoint.connect().await.map_err(|error| Status::from_error(error.into()))?;
        RegistrationClient::new(channel).register(Request::new(request)).await
    };
    match tokio::time::timeout(REGISTER_TIMEOUT, call).await {
        Ok(answer) => answer.map(drop).map_err(refused),
        Err(_) => Err(refused(Status::deadline_exceeded("no answer"))),
    }
}

/// Makes the socket anew: the file of a plugin that was killed is still there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Device, inode and time of change: a file that is made anew may get the inode of the one before.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> Option<Identity> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}
