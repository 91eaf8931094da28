//! Debian packages of any suite, without touching the machine's own: apt with its sources, lists
//! and package status in a directory of ours.
//!
//! apt itself checks each archive's signature against Debian's keyring and each package's hash
//! against the signed lists; nothing here is trusted that apt did not fetch.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Progress, error::FileContext};

/// Where Debian's public keys are, in the order of preference.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// A package as apt resolved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    version: String,
    bytes: u64,
}

/// A private apt for one suite (and the suite that it is the backports of).
pub(crate) struct Apt {
    dir: PathBuf,
    suite: &'static str,
}

impl Apt {
    /// Sets up a private apt in `dir` and fetches the lists of `suite`.
    pub(crate) fn open(
        dir: &Path,
        suite: &'static str,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let apt = Self { dir: dir.to_owned(), suite };
        for part in ["state/lists/partial", "cache/archives/partial", "no-lists/partial"] {
            fs::create_dir_all(dir.join(part)).file("make", dir.join(part))?;
        }
        // An empty status: nothing is installed, so dependencies are resolved to the last library.
        write(&dir.join("status"), "")?;
        let keyring = KEYRINGS.iter().find(|path| Path::new(path).is_file());
        let sources =
            sources(&mirror(&dir.join("no-lists"))?, suite, keyring.ok_or(Error::NoKeyring)?);
        write(&dir.join("lab.sources"), &sources)?;
        progress.begin(format_args!("fetching Debian's package lists of {suite}"));
        run(apt.command("apt-get").args(["update", "--quiet=2"]), "apt-get update")?;
        Ok(apt)
    }

    /// `wanted` and all that they depend on.
    pub(crate) fn closure(&self, wanted: &[&str]) -> Result<Vec<Package>, Error> {
        let mut command = self.command("apt-get");
        command.args(["install", "--yes", "--no-install-recommends", "--print-uris", "--quiet=2"]);
        command.args(["-t", self.suite]).args(wanted);
        let doing = format!("resolving {} in {}", wanted.join(", "), self.suite);
        let output = run(&mut command, &doing)?;
        Ok(output.lines().filter_map(parse_uri_line).collect())
    }

    /// Fetches the packages and unpacks them into `root`, running none of their scripts.
    pub(crate) fn unpack(
        &self,
        packages: &[Package],
        root: &Path,
        what: &str,
        progress: &Progress,
    ) -> Result<(), Error> {
        let debs = self.dir.join("debs");
        fs::create_dir_all(&debs).file("make", &debs)?;
        self.download(packages, &debs, what, progress)?;
        let files: Vec<_> = fs::read_dir(&debs).file("read", &debs)?.flatten().collect();
        for (i, deb) in files.iter().enumerate() {
            let name = deb.file_name();
            let i = i + 1;
            progress.advance(format_args!("unpacking {what}: {i} of {}", files.len()));
            run(
                Command::new("dpkg-deb").arg("--extract").arg(deb.path()).arg(root),
                &format!("unpacking {}", name.to_string_lossy()),
            )?;
        }
        fs::remove_dir_all(&debs).file("remove", &debs)
    }

    fn download(
        &self,
        packages: &[Package],
        into: &Path,
        what: &str,
        progress: &Progress,
    ) -> Result<(), Error> {
        let megabytes =
            |packages: &[Package]| packages.iter().map(|p| p.bytes).sum::<u64>() / 1_000_000;
        let (count, total) = (packages.len(), megabytes(packages));
        progress.begin(format_args!("fetching {what}: {count} packages, {total} MB"));
        let mut command = self.command("apt-get");
        command.arg("download").current_dir(into);
        command.args(packages.iter().map(|p| format!("{}={}", p.name, p.version)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(no_program("apt-get"))?;
        let stderr = child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut text = String::new();
                let _ = pipe.read_to_string(&mut text);
                text
            })
        });
        // apt announces each package as it begins: `Get:3 <archive> <suite>/main amd64 <name> …`.
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let line = line.unwrap_or_default();
            let Some(rest) = line.strip_prefix("Get:") else { continue };
            let words: Vec<_> = rest.split_whitespace().collect();
            if let [i, _, _, _, name, ..] = words[..] {
                let done = files_size(into) / 1_000_000;
                progress.advance(format_args!(
                    "fetching {what}: {i} of {count}, {done} of {total} MB: {name}"
                ));
            }
        }
        let status = child.wait().file("wait for apt-get in", into)?;
        let stderr = stderr.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        Err(Error::Program { doing: format!("fetching {what}"), status, stderr: tail(&stderr) })
    }

    /// `program` looking at our directory; the machine's apt.conf (a proxy, say) still counts.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
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
}

/// The Debian archive that this machine's own apt uses, so that a local mirror is used here too.
/// Asked of `update`, which knows before the first update; `lists` is an empty directory.
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
    choose_mirror(&uris, codename.unwrap_or("stable")).ok_or(Error::NoMirror)
}

/// Picks the archive that serves the machine's own release from lines that begin
/// `'<archive>/dists/<release>/InRelease'`.
fn choose_mirror(uris: &str, codename: &str) -> Option<String> {
    uris.lines().find_map(|line| {
        let uri = line.strip_prefix('\'')?.split('\'').next()?;
        let (archive, release) = uri.strip_suffix("/InRelease")?.rsplit_once("/dists/")?;
        let ours = [codename, "stable", "testing", "unstable", "sid"].contains(&release);
        ours.then(|| archive.to_owned())
    })
}

/// The deb822 source for `suite`; backports depend on packages of the suite that they extend.
fn sources(mirror: &str, suite: &str, keyring: &str) -> String {
    let suites = suite.strip_suffix("-backports").map(|base| format!("{base} {suite}"));
    let suites = suites.as_deref().unwrap_or(suite);
    format!(
        "Types: deb\nURIs: {mirror}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n"
    )
}

/// Parses a line of `--print-uris`: `'URI' name_version_arch.deb bytes hash`.
fn parse_uri_line(line: &str) -> Option<Package> {
    let mut words = line.split_whitespace();
    words.next()?.strip_prefix('\'')?;
    let mut file = words.next()?.split('_');
    let (name, version) = (file.next()?, file.next()?);
    let bytes = words.next()?.parse().ok()?;
    // In file names apt writes the epoch's colon as %3a.
    Some(Package { name: name.into(), version: version.replace("%3a", ":"), bytes })
}

/// Runs a program to its end and gives its standard output.
pub(crate) fn run(command: &mut Command, doing: &str) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(no_program(program))?;
    if !output.status.success() {
        let stderr = tail(&String::from_utf8_lossy(&output.stderr));
        return Err(Error::Program { doing: doing.into(), status: output.status, stderr });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn no_program(program: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::NoProgram { program: program.into(), source }
}

/// The last lines of a program's messages: the first ones of apt are rarely the reason.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

fn files_size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).file("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_archive_of_the_machines_own_release() {
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
    fn backports_bring_the_suite_they_extend() {
        let text = sources("http://mirror.example/debian", "trixie-backports", "/k.gpg");
        assert!(text.contains("\nSuites: trixie trixie-backports\n"), "{text}");
        assert!(sources("u", "trixie", "k").contains("\nSuites: trixie\n"));
    }

    #[test]
    fn a_package_line_gives_name_version_with_epoch_and_size() {
        let line =
            "'http://mirror.example/p.deb' iproute2_1%3a6.15.0-1_amd64.deb 1089184 MD5Sum:00";
        let package = parse_uri_line(line).unwrap();
        assert_eq!((package.name.as_str(), package.bytes), ("iproute2", 1_089_184));
        assert_eq!(package.version, "1:6.15.0-1");
        assert_eq!(parse_uri_line("Reading package lists..."), None);
    }
}
