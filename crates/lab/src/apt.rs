//! Fetches Debian packages of any suite with apt, without touching the machine's own: apt's sources,
//! lists and package status are in a directory of ours.
//!
//! apt itself checks each archive's signature against Debian's keyring and each package's hash
//! against the signed lists; nothing here is trusted that apt did not fetch.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Progress, error::FileContext};

/// Where Debian's public keys are, in the order of preference.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// Fetches `wanted` and all that they depend on from a suite, and unpacks into `root` the packages
/// whose names begin with one of `kept`. None of their scripts is run.
pub fn unpack(
    suite: &str,
    wanted: &[&str],
    kept: &[&str],
    root: &Path,
    progress: &Progress,
) -> Result<(), Error> {
    let above = root.parent().unwrap_or(root);
    let dir = tempfile::tempdir_in(above).file("make a directory in", above)?;
    let dir = dir.path();
    for part in ["state/lists/partial", "cache/archives/partial", "no-lists/partial"] {
        fs::create_dir_all(dir.join(part)).file("make", dir.join(part))?;
    }
    // An empty status: nothing is installed, so dependencies are resolved to the last library.
    write(&dir.join("status"), "")?;
    let keyring = KEYRINGS.iter().find(|path| Path::new(path).is_file());
    let keyring = keyring.ok_or_else(|| {
        Error::Other(
            "there is no keyring to check Debian's packages with; install debian-archive-keyring"
                .into(),
        )
    })?;
    write(&dir.join("lab.sources"), &sources(&mirror(&dir.join("no-lists"))?, suite, keyring))?;
    progress.begin(format_args!("fetching Debian's package lists of {suite}"));
    let mut update = apt_get(dir);
    if suite == "sid" {
        // Its lists are valid for a week, and a mirror may have kept older ones: what such a mirror could
        // do with that is to withhold new versions, and the packages are run in a machine of the lab alone.
        update.args(["-o", "Acquire::Check-Valid-Until=false"]);
    }
    run(update.args(["update", "--quiet=2"]), "apt-get update")?;
    download(dir, suite, wanted, progress)?;

    progress.begin(format_args!("unpacking {} of {suite}", wanted[0]));
    let archives = dir.join("cache/archives");
    let mut found = false;
    for entry in fs::read_dir(&archives).file("read", &archives)?.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let is_package = path.extension().is_some_and(|extension| extension == "deb");
        if is_package && kept.iter().any(|kept| name.starts_with(kept)) {
            let mut unpack = Command::new("dpkg-deb");
            run(unpack.arg("--extract").arg(&path).arg(root), &format!("unpacking {name}"))?;
            found = true;
        }
    }
    let missing = || Error::Other(format!("the suite {suite} has no package {}", wanted[0]));
    if found { Ok(()) } else { Err(missing()) }
}

fn download(dir: &Path, suite: &str, wanted: &[&str], progress: &Progress) -> Result<(), Error> {
    let mut command = apt_get(dir);
    command.args(["install", "--download-only", "--yes", "--no-install-recommends", "--quiet=1"]);
    command.args(["-t", suite]).args(wanted);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(no_program("apt-get"))?;
    // apt announces each package as it begins: `Get:3 <archive> <suite>/main amd64 <name> …`.
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.unwrap_or_default();
        if line.starts_with("Get:") {
            let name = line.split_whitespace().nth(4).unwrap_or_default();
            progress.advance(format_args!("fetching {} and what it needs: {name}", wanted[0]));
        }
    }
    let status = child.wait().file("wait for apt-get in", dir)?;
    let doing = || format!("fetching {} of {suite}", wanted.join(", "));
    if status.success() {
        Ok(())
    } else {
        Err(Error::Program { doing: doing(), status, stderr: String::new() })
    }
}

/// Returns apt-get on our directory; the machine's apt.conf (a proxy, say) still counts.
fn apt_get(dir: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let dir = dir.display();
    for option in [
        format!("Dir::State={dir}/state"),
        format!("Dir::State::status={dir}/status"),
        format!("Dir::Cache={dir}/cache"),
        format!("Dir::Etc::sourcelist={dir}/lab.sources"),
        "Dir::Etc::sourceparts=/dev/null".into(),
        "Dir::Etc::preferences=/dev/null".into(),
        "Dir::Etc::preferencesparts=/dev/null".into(),
        "APT::Architecture=amd64".into(),
        "APT::Architectures=amd64".into(),
        "Acquire::Languages=none".into(),
        // Our cache is below a home that the user _apt cannot enter.
        "APT::Sandbox::User=".into(),
    ] {
        command.arg("-o").arg(option);
    }
    // apt's messages are read here.
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Returns the Debian archive that this machine's own apt uses, so that a local mirror is used here
/// too. Asked of `update`, which knows before the first update; `lists` is an empty directory.
fn mirror(lists: &Path) -> Result<String, Error> {
    if let Some(url) = env::var_os("PODBOND_LAB_MIRROR") {
        return Ok(url.to_string_lossy().into_owned());
    }
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let mut command = Command::new("apt-get");
    command.args(["update", "--print-uris"]);
    command.arg("-o").arg(format!("Dir::State::lists={}", lists.display()));
    let uris = run(&mut command, "reading this machine's apt sources")?;
    choose_mirror(&uris, codename.unwrap_or("stable")).ok_or_else(|| {
        Error::Other(
            "this machine's apt sources name no Debian archive to fetch the lab from; \
             set PODBOND_LAB_MIRROR to the URL of one"
                .into(),
        )
    })
}

/// Returns the archive that serves the machine's own release, from lines that begin
/// `'<archive>/dists/<release>/InRelease'`.
fn choose_mirror(uris: &str, codename: &str) -> Option<String> {
    uris.lines().find_map(|line| {
        let uri = line.strip_prefix('\'')?.split('\'').next()?;
        let (archive, release) = uri.strip_suffix("/InRelease")?.rsplit_once("/dists/")?;
        let ours = [codename, "stable", "testing", "unstable", "sid"].contains(&release);
        ours.then(|| archive.to_owned())
    })
}

/// Returns the deb822 source for `suite`; backports depend on packages of the suite that they extend.
fn sources(mirror: &str, suite: &str, keyring: &str) -> String {
    let suites = suite.strip_suffix("-backports").map(|base| format!("{base} {suite}"));
    let suites = suites.as_deref().unwrap_or(suite);
    format!(
        "Types: deb\nURIs: {mirror}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n"
    )
}

/// Returns a program of unpacked packages, run with their own loader and libraries: this machine may have
/// none, or older ones. `program` is relative to `root`; its name is what it is called by.
pub fn unpacked(root: &Path, program: &str) -> Command {
    let name = program.rsplit('/').next().unwrap_or(program);
    let mut command = loader(root);
    command.args(["--argv0", name]).arg(root.join(program));
    command
}

/// Returns the loader of unpacked packages, to be given a program of theirs.
fn loader(root: &Path) -> Command {
    let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu"));
    command
}

/// Returns the libraries that a program of unpacked packages is linked with, as paths below `root`.
pub fn libraries(root: &Path, program: &str) -> Result<Vec<PathBuf>, Error> {
    let mut command = loader(root);
    command.arg("--list").arg(root.join(program));
    let listed = run(&mut command, &format!("looking for the libraries of {program}"))?;
    Ok(parse_libraries(&listed))
}

/// Returns the paths in lines like `libc.so.6 => /root/usr/lib/libc.so.6 (0x00007f…)`.
fn parse_libraries(listed: &str) -> Vec<PathBuf> {
    let paths =
        listed.lines().filter_map(|line| line.split_once(" => ")?.1.split_whitespace().next());
    paths.map(PathBuf::from).collect()
}

/// Runs a program to its end and returns its standard output.
pub(crate) fn run(command: &mut Command, doing: &str) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(no_program(program))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Program { doing: doing.into(), status: output.status, stderr });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn no_program(program: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::NoProgram { program: program.into(), source }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).file("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_is_the_archive_of_the_machines_own_release() {
        let uris = "\
'https://other.example/node/dists/nodistro/InRelease' other_InRelease 0
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' s_InRelease 0
'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' p 0
'http://mirror.example/debian/dists/bookworm/InRelease' b_InRelease 0
";
        let mirror = choose_mirror(uris, "bookworm");
        assert_eq!(mirror.as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(choose_mirror(uris, "noble"), None);
    }

    #[test]
    fn libraries_are_read_from_the_loaders_list() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibc.so.6 => /r/usr/lib/x86_64-linux-gnu/libc.so.6 (0x00007f12)\n\
                      \t/lib64/ld-linux-x86-64.so.2 => /r/ld.so (0x00007f13)\n\tstatically linked\n";
        let wanted = ["/r/usr/lib/x86_64-linux-gnu/libc.so.6", "/r/ld.so"].map(PathBuf::from);
        assert_eq!(parse_libraries(listed), wanted);
    }

    #[test]
    fn backports_bring_the_suite_they_extend() {
        let text = sources("http://mirror.example/debian", "trixie-backports", "/k.gpg");
        assert!(text.contains("\nSuites: trixie trixie-backports\n"), "{text}");
        assert!(sources("u", "trixie", "k").contains("\nSuites: trixie\n"));
    }
}
