//! A device plugin as the gRPC service that the kubelet calls (v1beta1).

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use crate::device_plugin::{Allocation, Device, DevicePlugin, Health, Preference};
use crate::proto::device_plugin as proto;
use crate::proto::device_plugin::device_plugin_server;

/// The service of a plugin.
#[derive(Debug)]
pub(crate) struct Service<P>(pub(crate) Arc<P>);

/// Returns what the plugin can do, which it tells at registration and when it is asked.
pub(crate) fn options() -> proto::DevicePluginOptions {
    proto::DevicePluginOptions {
        pre_start_required: false,
        get_preferred_allocation_available: true,
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<P: DevicePlugin> device_plugin_server::DevicePlugin for Service<P> {
    type ListAndWatchStream =
        Pin<Box<dyn Stream<Item = Result<proto::ListAndWatchResponse, Status>> + Send>>;

    async fn get_device_plugin_options(
        &self,
        _: Request<proto::Empty>,
    ) -> Answer<proto::DevicePluginOptions> {
        Ok(Response::new(options()))
    }

    async fn list_and_watch(&self, _: Request<proto::Empty>) -> Answer<Self::ListAndWatchStream> {
        let lists = WatchStream::new(self.0.devices()).map(|devices| {
            let devices = devices.into_iter().map(device).collect();
            Ok(proto::ListAndWatchResponse { devices })
        });
        Ok(Response::new(Box::pin(lists)))
    }

    async fn get_preferred_allocation(
        &self,
        request: Request<proto::PreferredAllocationRequest>,
    ) -> Answer<proto::PreferredAllocationResponse> {
        let containers = request.into_inner().container_requests.into_iter();
        let preferred = |container: proto::ContainerPreferredAllocationRequest| {
            let preference = Preference {
                available: container.available_device_i_ds,
                required: container.must_include_device_i_ds,
                count: usize::try_from(container.allocation_size).unwrap_or_default(),
            };
            let device_i_ds = self.0.preferred(&preference);
            proto::ContainerPreferredAllocationResponse { device_i_ds }
        };
        let container_responses = containers.map(preferred).collect();
        Ok(Response::new(proto::PreferredAllocationResponse { container_responses }))
    }

    async fn allocate(
        &self,
        request: Request<proto::AllocateRequest>,
    ) -> Answer<proto::AllocateResponse> {
        let mut container_responses = Vec::new();
        for container in request.into_inner().container_requests {
            let allocation = self.0.allocate(&container.devices_ids);
            let allocation =
                allocation.map_err(|error| Status::failed_precondition(error.to_string()))?;
            container_responses.push(container_response(allocation));
        }
        Ok(Response::new(proto::AllocateResponse { container_responses }))
    }

    async fn pre_start_container(
        &self,
        _: Request<proto::PreStartContainerRequest>,
    ) -> Answer<proto::PreStartContainerResponse> {
        // The options do not ask for it.
        Ok(Response::new(proto::PreStartContainerResponse {}))
    }
}

fn device(device: Device) -> proto::Device {
    let nodes = device.numa_node.map(|node| vec![proto::NumaNode { id: node.into() }]);
    let health = match device.health {
        Health::Healthy => "Healthy",
        Health::Unhealthy => "Unhealthy",
    };
    proto::Device {
        id: device.id,
        health: health.to_owned(),
        topology: nodes.map(|nodes| proto::TopologyInfo { nodes }),
    }
}

fn container_response(allocation: Allocation) -> proto::ContainerAllocateResponse {
    let mounts = allocation.mounts.into_iter().map(|mount| proto::Mount {
        container_path: mount.container_path,
        host_path: mount.host_path,
        read_only: mount.read_only,
    });
    let devices = allocation.device_nodes.into_iter().map(|node| proto::DeviceSpec {
        container_path: node.container_path,
        host_path: node.host_path,
        permissions: node.permissions,
    });
    proto::ContainerAllocateResponse {
        envs: allocation.environment,
        mounts: mounts.collect(),
        devices: devices.collect(),
        annotations: allocation.annotations,
    }
}
