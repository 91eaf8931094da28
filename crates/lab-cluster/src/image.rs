//! Container images as a docker-archive: a tar file that `ctr images import` takes, made of files of this
//! machine without any container tool.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use ring::digest::{SHA256, digest};
use serde_json::json;
use tar::{EntryType, Header};

/// An image of one layer.
#[derive(Debug, Default)]
pub struct Image {
    /// By path, so that a directory stands before what is in it.
    entries: BTreeMap<String, Entry>,
    entrypoint: Vec<String>,
    command: Vec<String>,
}

#[derive(Debug)]
enum Entry {
    Directory,
    File { mode: u32, content: Vec<u8> },
    Link(String),
}

impl Image {
    /// Adds a file. Paths are relative to the image's root.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: Vec<u8>) -> Self {
        self.parents(path);
        self.entries.insert(path.into(), Entry::File { mode, content });
        self
    }

    /// Adds a file of this machine, executable; links to it are followed.
    pub fn executable(self, path: &str, host: &Path) -> io::Result<Self> {
        Ok(self.file(path, 0o755, fs::read(host)?))
    }

    /// Adds an empty directory.
    #[must_use]
    pub fn directory(mut self, path: &str) -> Self {
        self.parents(path);
        self.entries.insert(path.into(), Entry::Directory);
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.parents(path);
        self.entries.insert(path.into(), Entry::Link(target.into()));
        self
    }

    /// Sets what a container runs whose pod names no command.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets the program that a container runs; the words of its pod's `args` follow it.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(ToString::to_string).collect();
        self
    }

    fn parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.entries.entry(path[..at].into()).or_insert(Entry::Directory);
        }
    }

    /// Writes the archive of the image under these names, each with its tag. Equal images are equal files.
    pub fn write(&self, names: &[&str], path: &Path) -> io::Result<()> {
        let layer = self.layer()?;
        let digest_of_layer = hexadecimal(&layer);
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest_of_layer}")] },
        })
        .to_string();
        let config_name = format!("{}.json", hexadecimal(config.as_bytes()));
        let layer_name = format!("{digest_of_layer}/layer.tar");
        let manifest =
            json!([{ "Config": config_name, "RepoTags": names, "Layers": [layer_name] }]);
        let mut archive = tar::Builder::new(BufWriter::new(File::create(path)?));
        append(&mut archive, &config_name, 0o644, config.as_bytes())?;
        append(&mut archive, &layer_name, 0o644, &layer)?;
        append(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
        archive.into_inner()?.flush()
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let mut layer = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            match entry {
                Entry::File { mode, content } => append(&mut layer, path, *mode, content)?,
                Entry::Directory => {
                    let mut header = header(EntryType::Directory, 0o755, 0);
                    layer.append_data(&mut header, path, io::empty())?;
                }
                Entry::Link(target) => {
                    let mut header = header(EntryType::Symlink, 0o777, 0);
                    layer.append_link(&mut header, path, target)?;
                }
            }
        }
        layer.into_inner()
    }
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, content.len() as u64);
    archive.append_data(&mut header, path, content)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn hexadecimal(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // to a string: does not fail
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::Value;

    use super::*;

    fn entries(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mode = entry.header().mode().unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, mode, content)
        });
        entries.collect()
    }

    #[test]
    fn archive_names_config_and_layer_by_their_digests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        let image = Image::default()
            .file("usr/bin/it", 0o755, b"program".to_vec())
            .link("bin", "usr/bin")
            .entrypoint(&["/bin/it"])
            .command(&["run"]);
        image.write(&["quay.example/it:1"], &path).unwrap();
        let written = fs::read(&path).unwrap();
        let archive = entries(&written);
        let manifest = &archive.iter().find(|(path, ..)| path == "manifest.json").unwrap().2;
        let manifest: Value = serde_json::from_slice(manifest).unwrap();
        assert_eq!(manifest[0]["RepoTags"], json!(["quay.example/it:1"]));
        let part = |name: &Value| -> &[u8] {
            &archive.iter().find(|(path, ..)| name == path.as_str()).unwrap().2
        };
        let layer = part(&manifest[0]["Layers"][0]);
        let config: Value = serde_json::from_slice(part(&manifest[0]["Config"])).unwrap();
        let digest = format!("sha256:{}", hexadecimal(layer));
        assert_eq!(config["config"]["Entrypoint"], json!(["/bin/it"]));
        assert_eq!(config["config"]["Cmd"], json!(["run"]));
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest]));
        let names: Vec<_> =
            entries(layer).into_iter().map(|(path, mode, _)| (path, mode)).collect();
        let wanted = [("bin", 0o777), ("usr", 0o755), ("usr/bin", 0o755), ("usr/bin/it", 0o755)];
        assert_eq!(names, wanted.map(|(path, mode)| (path.to_owned(), mode)));
        image.write(&["quay.example/it:1"], &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), written);
    }

    #[test]
    fn digest_is_sha_256() {
        // FIPS 180-4, example of one block: "abc".
        assert_eq!(
            hexadecimal(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
