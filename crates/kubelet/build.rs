//! Turns the .proto files of the kubelet's interfaces into code.

use std::error::Error;

const PROTOS: [&str; 2] = ["proto/podresources.proto", "proto/deviceplugin.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for proto in PROTOS {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    // Maps in one order, so that what a test says is what is sent.
    tonic_prost_build::configure().btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
