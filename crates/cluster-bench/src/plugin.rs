//! podbond's meta-plugin as a runtime calls it, with a primary network that does nothing.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{error::Error, objects::NAMESPACE};

/// The type of the primary network.
const NOTHING: &str = "nothing";

/// A shell script that is a network plugin: it answers with an interface and an address, and makes neither.
const NOTHING_SCRIPT: &str = r#"#!/bin/sh
read -r line
case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"10.244.1.2/24","interface":0}]}' ;;
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}' ;;
esac
"#;

/// Writes the primary network's plugin into a folder of plugins.
pub(crate) fn write_nothing(bin_dir: &Path) -> Result<(), Error> {
    let path = bin_dir.join(NOTHING);
    fs::write(&path, NOTHING_SCRIPT).map_err(Error::file("write", &path))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, mode).map_err(Error::file("set the mode of", &path))
}

/// Returns the primary network.
pub(crate) fn primary() -> Value {
    json!({ "cniVersion": "1.0.0", "name": "primary", "plugins": [{ "type": NOTHING }] })
}

/// Returns a configuration of the meta-plugin that asks no cluster: all else that it does is the same.
pub(crate) fn without_cluster() -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "podbond", "type": "multus", "delegates": [primary()],
    })
}

/// Returns the configuration that the runtime makes of a list with one plugin.
pub(crate) fn of_list(list: &str) -> Result<Value, Error> {
    let list: Value = serde_json::from_str(list)?;
    let mut config = list["plugins"][0].clone();
    config["cniVersion"] = list["cniVersion"].clone();
    config["name"] = list["name"].clone();
    Ok(config)
}

/// A network namespace, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Netns(Child);

impl Netns {
    /// Makes one.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-c", "echo; exec sleep infinity"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Error::start("unshare"))?;
        if let Some(stdout) = &mut child.stdout {
            let mut line = [0];
            let read = std::io::Read::read_exact(stdout, &mut line);
            read.map_err(Error::file("read from", "unshare"))?;
        }
        Ok(Self(child))
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A pod as the runtime names it.
#[derive(Debug)]
pub(crate) struct Sandbox<'a> {
    pub(crate) pod: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) netns: &'a Netns,
    pub(crate) bin_dir: &'a Path,
}

impl Sandbox<'_> {
    /// Calls the meta-plugin, and returns how long it ran.
    pub(crate) fn call(&self, command: &str, config: &Value) -> Result<Duration, Error> {
        let program: PathBuf = self.bin_dir.join("podbond");
        let Self { pod, uid, .. } = self;
        let arguments = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={NAMESPACE};K8S_POD_NAME={pod};K8S_POD_UID={uid};\
             K8S_POD_INFRA_CONTAINER_ID={pod}"
        );
        let mut called = Command::new(&program);
        called.env("CNI_COMMAND", command).env("CNI_CONTAINERID", pod).env("CNI_IFNAME", "eth0");
        called.env("CNI_NETNS", self.netns.path()).env("CNI_PATH", self.bin_dir);
        called.env("CNI_ARGS", arguments);
        called.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = called.spawn().map_err(Error::start("podbond"))?;
        if let Some(mut stdin) = child.stdin.take() {
            let written = stdin.write_all(config.to_string().as_bytes());
            written.map_err(Error::file("write to", &program))?;
        }
        let output = child.wait_with_output().map_err(Error::file("wait for", &program))?;
        let time = began.elapsed();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            return Err(Error::Program { doing: format!("{command} of pod {pod}"), said });
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_one_plugin_is_its_configuration() {
        let list =
            r#"{"cniVersion": "1.0.0", "name": "podbond", "plugins": [{"type": "podbond"}]}"#;
        let wanted = json!({"type": "podbond", "cniVersion": "1.0.0", "name": "podbond"});
        assert_eq!(of_list(list).unwrap(), wanted);
    }
}
