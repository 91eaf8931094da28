//! The Kubernetes executables and etcd: those of a folder that holds them, or built by Go into the cache.
//!
//! What is built, of which version, is in `tools/kubernetes/go.mod`; the sources come from Go's module
//! proxy, which go.sum checks.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use podbond_lab::{Cache, Progress};

use crate::{
    error::{Error, FileContext},
    go::Go,
    process,
};

const MODULE: &str = include_str!("../../../tools/kubernetes/go.mod");
const SUMS: &str = include_str!("../../../tools/kubernetes/go.sum");

/// Each executable and the package that it is built from; the one that takes longest first.
const EXECUTABLES: [(&str, &str); 6] = [
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ("etcd", "go.etcd.io/etcd/server/v3"),
];

/// A folder with all of them.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    dir: PathBuf,
}

impl Kubernetes {
    /// Takes them from `named`, or from the folder in `KUBEBUILDER_ASSETS` if it holds all of them (the
    /// usual ones lack the kubelet), or else from the cache, where they are built: some nine minutes on
    /// two cores.
    pub(crate) fn prepare(
        named: Option<&Path>,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Self, Error> {
        if let Some(dir) = named {
            let dir = fs::canonicalize(dir).file("find", dir)?;
            return match missing(&dir) {
                None => Ok(Self { dir }),
                Some(missing) => Err(Error::NoExecutable { dir, missing }),
            };
        }
        if let Some(dir) = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
            let dir = PathBuf::from(dir);
            match missing(&dir) {
                None => return Ok(Self { dir: fs::canonicalize(&dir).file("find", dir)? }),
                Some(missing) => progress.begin(format_args!(
                    "the folder in KUBEBUILDER_ASSETS has no {missing}: not taking any from there"
                )),
            }
        }
        let recipe = (MODULE, SUMS, EXECUTABLES, linker_flags());
        let dir =
            cache.entry("kubernetes", &recipe, progress, |dir| build(dir, cache, progress))?;
        Ok(Self { dir })
    }

    /// Returns the path of an executable.
    pub(crate) fn executable(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Returns the name of the first executable that a folder lacks.
fn missing(dir: &Path) -> Option<&'static str> {
    EXECUTABLES.map(|(name, _)| name).into_iter().find(|name| !dir.join(name).is_file())
}

fn build(dir: &Path, cache: &Cache, progress: &Progress) -> Result<(), Error> {
    let go = Go::prepare(MODULE, cache, progress)?;
    let module = dir.join("module");
    fs::create_dir(&module).file("make", &module)?;
    for (name, text) in [("go.mod", MODULE), ("go.sum", SUMS)] {
        fs::write(module.join(name), text).file("write", module.join(name))?;
    }
    for (name, package) in EXECUTABLES {
        let mut command = go.command();
        command.current_dir(&module).env("CGO_ENABLED", "0");
        command.args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &linker_flags(), "-o"]);
        command.arg(dir.join(name)).arg(package);
        let doing = format!("building {name} {}, minutes at first", version());
        process::run_long(&mut command, &doing, progress)?;
    }
    fs::remove_dir_all(&module).file("remove", &module)
}

/// Returns the version of Kubernetes that go.mod requires.
fn version() -> &'static str {
    let required = MODULE.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    required.and_then(|rest| rest.split_whitespace().next()).unwrap_or("(of unknown version)")
}

/// Returns flags that leave out symbols and put the version in, which is not in the sources.
fn linker_flags() -> String {
    let version = version();
    format!(
        "-s -w -X k8s.io/component-base/version.gitVersion={version} \
         -X k8s.io/client-go/pkg/version.gitVersion={version}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names_version_and_every_executable() {
        assert!(version().starts_with("v1."), "{}", version());
        for (name, package) in EXECUTABLES {
            assert!(MODULE.contains(&format!("\t{package}\n")), "{name}");
        }
    }

    #[test]
    fn named_folder_must_hold_all_of_them() {
        let dir = tempfile::tempdir().unwrap();
        for (name, _) in EXECUTABLES.into_iter().filter(|(name, _)| *name != "kubelet") {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(missing(dir.path()), Some("kubelet"));
        fs::write(dir.path().join("kubelet"), "").unwrap();
        assert_eq!(missing(dir.path()), None);
    }
}
