//! Reading the pod annotation `k8s.v1.cni.cncf.io/networks`: network selection elements in the comma
//! form and in JSON.

mod annotation;
mod selection;

pub use annotation::parse_networks;
pub use selection::{DefaultRoute, Selection};

#[cfg(test)]
mod tests;
