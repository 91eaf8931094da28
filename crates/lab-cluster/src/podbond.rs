//! podbond in a cluster: the agent's image, its manifests, and whether it runs on every node.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    error::{Error, FileContext},
    image::Image,
    state::State,
};

/// What of podbond a cluster gets.
#[derive(Debug, Clone)]
pub struct Podbond {
    /// The static executable, for people on the nodes and for the agent's image.
    pub executable: PathBuf,
    /// The agent's static executable; none: no pod gets networks.
    pub agent: Option<PathBuf>,
    /// What a user applies to have it, in this order.
    pub manifests: Vec<PathBuf>,
    /// Who applies them.
    pub applied: Applied,
}

/// When podbond's manifests are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// As the cluster starts: it is up when the agent runs on each node.
    AtStart,
    /// By the command in the cluster, which has something to do before. The image is on the nodes.
    ByCommand,
}

/// The agent's manifest begins the name of its image so.
const IMAGE_KEY: &str = "image: ";

impl Podbond {
    /// Writes the agent's image under the name that the manifests have, and returns its file.
    pub(crate) fn write_image(&self, state: &State) -> Result<Option<PathBuf>, Error> {
        let Some(agent) = &self.agent else { return Ok(None) };
        let name = image_name(&self.manifests)?;
        let path = state.path("podbond-agent.tar");
        let image = agent_image(&self.executable, agent)?;
        image.write(&[&name], &path).file("write", &path)?;
        Ok(Some(path))
    }
}

/// Returns the name of the image that manifests want.
pub fn image_name(manifests: &[PathBuf]) -> Result<String, Error> {
    for manifest in manifests {
        let text = fs::read_to_string(manifest).file("read", manifest)?;
        if let Some(name) = image_in(&text) {
            return Ok(name.to_owned());
        }
    }
    Err(Error::NoImage { manifests: manifests.to_vec() })
}

/// Returns the image of two static executables, without a shell or anything else.
pub fn agent_image(podbond: &Path, agent: &Path) -> Result<Image, Error> {
    let image = Image::default().entrypoint(&["/podbond-agent"]);
    let image = image.executable("podbond-agent", agent).file("read", agent)?;
    image.executable("podbond", podbond).file("read", podbond)
}

/// Returns the first image that a manifest names.
fn image_in(manifest: &str) -> Option<&str> {
    let values = manifest
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(IMAGE_KEY));
    let mut values = values.map(|value| value.trim().trim_matches(|c| c == '"' || c == '\''));
    values.find(|value| !value.is_empty())
}

/// Returns how many pods of the `DaemonSet`s in a list of objects are ready, and how many are to be.
pub(crate) fn ready_pods(list: &str, nodes: u64) -> (u64, u64) {
    let list: Value = serde_json::from_str(list).unwrap_or_default();
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let sets = items.iter().filter(|item| item["kind"] == "DaemonSet");
    sets.fold((0, 0), |(ready, all), set| {
        let current = set["status"]["observedGeneration"] == set["metadata"]["generation"];
        let of_set = if current { set["status"]["numberReady"].as_u64() } else { None };
        (ready + of_set.unwrap_or(0), all + nodes)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn image_is_named_by_the_manifest() {
        let manifest = "containers:\n- name: agent\n  image: \"quay.example/agent:1\"\n";
        assert_eq!(image_in(manifest), Some("quay.example/agent:1"));
        assert_eq!(image_in("- image: a/b\n"), Some("a/b"));
        assert_eq!(image_in("kind: Namespace\n"), None);
    }

    #[test]
    fn daemon_set_is_ready_when_it_is_on_each_node() {
        let list = |observed: u64, ready: u64| {
            json!({ "items": [
                { "kind": "Namespace" },
                { "kind": "DaemonSet", "metadata": { "generation": 2 },
                  "status": { "observedGeneration": observed, "numberReady": ready } },
            ]})
            .to_string()
        };
        assert_eq!(ready_pods(&list(2, 2), 2), (2, 2));
        assert_eq!(ready_pods(&list(2, 1), 2), (1, 2));
        assert_eq!(ready_pods(&list(1, 2), 2), (0, 2));
    }
}
