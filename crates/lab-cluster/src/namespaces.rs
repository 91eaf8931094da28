//! The namespaces that a cluster runs in: network, processes and mounts of its own, so that whatever ends
//! the process that asked for it ends all of it.

use std::{ffi::OsStr, process::Command};

use rustix::process::geteuid;

/// Returns a command that runs `program` as the first process of new namespaces, with a `/proc` to match.
///
/// When this process ends, whatever way, so does `unshare` (by setpriv's death signal), so does the first
/// process (by its own), and the kernel then kills every process of the namespace and takes network and
/// mounts away. Who is not root becomes root of a user namespace.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]);
    if !geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args([
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
        "--",
    ]);
    command.arg(program);
    command
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        path::Path,
        process::Stdio,
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn killing_the_outer_process_ends_all_of_it() {
        let mut command = command("sh");
        // A process that has left its parent and session, as those of a cluster might.
        command.args(["-c", "setsid sleep 1234 & readlink /proc/self/ns/pid; wait"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let namespace = line.trim();
        let is_there = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            processes.map(|process| process.path().join("ns/pid")).any(|link| {
                std::fs::read_link(link).is_ok_and(|target| target == Path::new(namespace))
            })
        };
        assert!(is_there(), "{namespace}");
        child.kill().unwrap();
        child.wait().unwrap();
        let ended = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(50));
            !is_there()
        });
        assert!(ended, "processes of {namespace} are left");
    }
}
