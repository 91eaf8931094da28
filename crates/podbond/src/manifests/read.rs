//! Reads manifests from files, directories and standard input.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use podbond_api::{Object, read_manifests};

use crate::error::Error;

/// The endings of the files of a directory that are read, as kubectl has them.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The longest manifest that is read, in bytes: room for ten thousand objects.
const MAX_BYTES: u64 = 8 << 20;

/// Returns the objects of these files in order, those of a directory in order of file name.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Object>, Error> {
    let mut objects = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let text = text(io::stdin().lock()).map_err(failed(path))?;
            objects.extend(read_manifests(&text, "standard input")?);
        } else if path.is_dir() {
            let files = manifests_in(path)?;
            if files.is_empty() {
                return Err(Error::NoManifests { dir: path.clone() });
            }
            for file in files {
                objects.extend(read_file(&file)?);
            }
        } else {
            objects.extend(read_file(path)?);
        }
    }
    Ok(objects)
}

fn read_file(path: &Path) -> Result<Vec<Object>, Error> {
    let text = File::open(path).and_then(text).map_err(failed(path))?;
    Ok(read_manifests(&text, &path.display().to_string())?)
}

/// Returns the whole text, if it has at most [`MAX_BYTES`].
fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        let problem = format!("it is longer than {MAX_BYTES} bytes: split it");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

fn manifests_in(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(failed(dir))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(dir))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ENDINGS.contains(&ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::Input { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_of_a_directory_are_read_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        let pod = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n");
        fs::write(dir.path().join("b.yaml"), pod("second")).unwrap();
        fs::write(
            dir.path().join("a.json"),
            r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first"}}"#,
        )
        .unwrap();
        fs::write(dir.path().join("README.md"), "not: [a manifest").unwrap();
        // As kubectl does without --recursive.
        fs::create_dir(dir.path().join("deeper")).unwrap();
        fs::write(dir.path().join("deeper/c.yaml"), pod("third")).unwrap();
        let objects = read(&[dir.path().to_owned()]).unwrap();
        let key = |object: &Object| match object {
            Object::Pod(pod) => pod.key.to_string(),
            other => panic!("{other:?}"),
        };
        let names: Vec<_> = objects.iter().map(key).collect();
        assert_eq!(names, ["default/first", "default/second"]);
    }

    #[test]
    fn manifest_that_is_too_long_is_refused() {
        let error = text(io::repeat(b' ')).unwrap_err().to_string();
        assert_eq!(error, "it is longer than 8388608 bytes: split it");
        assert!(text(io::repeat(b' ').take(MAX_BYTES)).is_ok());
    }

    #[test]
    fn missing_manifest_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(&[dir.path().to_owned()]), Err(Error::NoManifests { .. })));
        let error = read(&[dir.path().join("none.yaml")]).unwrap_err().to_string();
        assert!(error.contains("none.yaml"), "{error}");
    }
}
