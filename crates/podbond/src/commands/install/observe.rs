//! Whether a file is podbond.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::plan::{Found, Kept};

/// A text in every executable of podbond, of any version, by which `install` knows one.
#[used]
static MARK: [u8; 52] = *b"podbond-executable: this file is podbond, any of it\n";

/// The mode of an installed executable.
pub(super) const MODE: u32 = 0o755;

/// The largest file that is looked through, in bytes: an executable of ours has a tenth of it.
const MAX_SIZE: u64 = 1 << 28;

/// Returns what is at the place of the executable itself.
pub(super) fn executable(path: &Path, own: &Path) -> io::Result<Found> {
    let Some(metadata) = present(path)? else { return Ok(Found::Nothing) };
    let is_whole = metadata.is_file() && metadata.permissions().mode() & 0o7777 == MODE;
    if is_whole && is_same_content(File::open(own)?, open(path)?)? {
        return Ok(Found::Current);
    }
    Ok(if is_podbond(path, &metadata)? { Found::Earlier } else { Found::Other })
}

/// Returns what is at the place of a plugin; `executable` is what is at that of the executable.
pub(super) fn plugin(path: &Path, (executable, found): (&Path, Found)) -> io::Result<Found> {
    let Some(metadata) = present(path)? else { return Ok(Found::Nothing) };
    let is_link = is_same_file(present(executable)?.as_ref(), &metadata);
    if is_link && found == Found::Current {
        Ok(Found::Current)
    } else if is_link || is_podbond(path, &metadata)? {
        Ok(Found::Earlier)
    } else {
        Ok(Found::Other)
    }
}

/// Returns what is kept at a path of what was at a plugin's.
pub(super) fn kept(path: &Path, plugin: &Path) -> io::Result<Kept> {
    let Some(metadata) = present(path)? else { return Ok(Kept::Nothing) };
    let is_same = is_same_file(present(plugin)?.as_ref(), &metadata);
    Ok(if is_same { Kept::SameFile } else { Kept::Another })
}

/// Returns the metadata of a file or symbolic link; none where there is nothing. A directory is an error.
fn present(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Ok(metadata) if metadata.is_dir() => {
            let text = "it is a directory: move it away";
            Err(io::Error::new(ErrorKind::IsADirectory, text))
        }
        metadata => metadata.map(Some),
    }
}

fn is_same_file(one: Option<&Metadata>, other: &Metadata) -> bool {
    one.is_some_and(|one| (one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Returns whether a regular file holds the mark of podbond's executables. A symbolic link is the node's,
/// wherever it leads: podbond makes none.
fn is_podbond(path: &Path, metadata: &Metadata) -> io::Result<bool> {
    if !metadata.is_file() || metadata.len() > MAX_SIZE {
        return Ok(false);
    }
    let mut file = open(path)?.take(MAX_SIZE);
    let mut window = Vec::new();
    loop {
        if (&mut file).take(1 << 16).read_to_end(&mut window)? == 0 {
            return Ok(false);
        }
        if window.windows(MARK.len()).any(|part| part == MARK) {
            return Ok(true);
        }
        // A mark may begin in one part and end in the next.
        let keep = (MARK.len() - 1).min(window.len());
        window.drain(..window.len() - keep);
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn is_same_content(mut one: File, mut other: File) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let [mut left, mut right] = [Vec::new(), Vec::new()];
    loop {
        for (file, part) in [(&mut one, &mut left), (&mut other, &mut right)] {
            part.clear();
            file.take(1 << 16).read_to_end(part)?;
        }
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}
