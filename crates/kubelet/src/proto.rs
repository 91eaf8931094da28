//! The messages and services of the kubelet, made from the files in `proto/`, where they are described.

/// PodResources, version 1.
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "described in proto/podresources.proto"
)]
pub mod pod_resources {
    tonic::include_proto!("v1");
}

/// The device plugin API, version v1beta1.
#[allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "described in proto/deviceplugin.proto"
)]
pub mod device_plugin {
    tonic::include_proto!("v1beta1");
}
