//! Listing of links that a pod has made difficult to list.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use podbond_kernel::Netns;

use crate::pod::Pod;

/// Promise: del-despite-altnames
#[test]
fn link_with_as_many_altnames_as_the_kernel_takes_is_listed() {
    let mut pod = Pod::new("many-altnames");
    pod.ip("link add net1 type dummy");
    let mut batch = String::new();
    for number in 0..600 {
        writeln!(batch, "link property add dev net1 altname a{number:0>120}").unwrap();
    }
    let file = std::env::temp_dir().join("many-altnames");
    fs::write(&file, batch).unwrap();
    // The kernel refuses more than 64 KiB of them.
    let ip =
        Command::new("ip").args(["-n", "many-altnames", "-force", "-batch"]).arg(file).output();
    assert!(!ip.unwrap().status.success());
    let links = pod.links(Netns::Pod).unwrap();
    let net1 = links.iter().find(|link| link.name.as_str() == "net1").unwrap();
    assert!(net1.altnames.len() > 400, "{}", net1.altnames.len());
    // And once more on the same socket.
    assert_eq!(pod.links(Netns::Pod).unwrap(), links);
}
