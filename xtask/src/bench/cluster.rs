//! `cargo xtask bench --cluster`: what podbond costs in a Kubernetes cluster, beside Multus and beside a bare
//! client of the API.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use podbond_bench::{Figure, Peer};
use podbond_lab::Progress;
use podbond_lab_cluster::{Applied, Cluster, Description, NodeFile, Podbond, namespaces};

use super::{Arguments, Output, Part, report};
use crate::{
    build,
    error::{Error, FileContext},
    workspace::{root, target},
};

/// The program that measures in the cluster.
const PROGRAM: &str = "podbond-cluster-bench";

/// Set for the first process of a cluster's namespaces: which part it measures.
const INSIDE: &str = "PODBOND_BENCH_INSIDE";

/// The executables that it measures, and the program that measures them.
const BUILT: [&str; 4] = [
    "PODBOND_BENCH_PODBOND",
    "PODBOND_BENCH_AGENT",
    "PODBOND_BENCH_PROGRAM",
    "PODBOND_BENCH_DEVICE_PLUGIN",
];

/// How many pods each program attaches, and how often the API is measured, unless it is said.
const PODS: u32 = 5;
const ADDS: u32 = 21;

/// What a peer needs to be measured, and where its files are on the node.
const THIN: &[(&str, &str)] = &[("multus", "/opt/cni/bin/multus")];
const THICK: &[(&str, &str)] = &[
    ("multus-daemon", "/opt/cni/peer/multus-daemon"),
    ("multus-shim", "/opt/cni/bin/multus-shim"),
];
const PLUGINS: &[(&str, &str)] =
    &[("bond", "/opt/cni/peer/bond"), ("sriov", "/opt/cni/peer/sriov")];

/// The executables.
struct Programs {
    podbond: PathBuf,
    agent: PathBuf,
    program: PathBuf,
    device_plugin: PathBuf,
}

/// Measures and prints; inside of a cluster's namespaces, one part.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let progress = Progress::on_stderr();
    let programs = Programs::built()?;
    if let Some(part) = env::var_os(INSIDE) {
        return inside(arguments, &programs, &part, &progress);
    }
    let mut figures = Vec::new();
    if arguments.wants(Part::Agent) {
        for (name, path) in [("podbond", &programs.podbond), ("podbond-agent", &programs.agent)] {
            let size = fs::metadata(path).file("read", path)?.len();
            let what = format!("size of {name}");
            #[expect(clippy::cast_precision_loss, reason = "it is shown in MB")]
            figures.push(Figure::of_podbond(&what, size as f64 / 1e6, "MB"));
        }
        figures.extend(part(arguments, &programs, Part::Agent, &progress)?);
    }
    if arguments.wants(Part::Pods) {
        figures.extend(part(arguments, &programs, Part::Pods, &progress)?);
    }
    let table = report::figures_table(&figures);
    if arguments.write {
        report::write_part("cluster", &table)?;
    }
    match arguments.output {
        Output::Table => println!("{table}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&figures)?),
    }
    Ok(ExitCode::SUCCESS)
}

impl Programs {
    fn built() -> Result<Self, Error> {
        let named: Option<Vec<PathBuf>> =
            BUILT.map(|variable| env::var_os(variable).map(PathBuf::from)).into_iter().collect();
        if let Some([podbond, agent, program, device_plugin]) = named.as_deref() {
            let [podbond, agent, program, device_plugin] =
                [podbond, agent, program, device_plugin].map(Clone::clone);
            return Ok(Self { podbond, agent, program, device_plugin });
        }
        Ok(Self {
            podbond: build::for_dist("podbond")?,
            agent: build::for_dist("podbond-agent")?,
            program: build::for_lab(PROGRAM)?,
            device_plugin: build::for_lab("podbond-lab-device-plugin")?,
        })
    }

    fn paths(&self) -> [&Path; 4] {
        [&self.podbond, &self.agent, &self.program, &self.device_plugin].map(PathBuf::as_path)
    }
}

/// Measures a part in namespaces of its own, by this executable with the same arguments.
fn part(
    arguments: &Arguments,
    programs: &Programs,
    part: Part,
    progress: &Progress,
) -> Result<Vec<Figure>, Error> {
    let name = match part {
        Part::Agent => "agent",
        _ => "pods",
    };
    description(arguments, programs)?.prepare(progress)?;
    let mut command = namespaces::command(env::current_exe().file("find", "this executable")?);
    command.args(env::args_os().skip(1)).env(INSIDE, name);
    command.envs(BUILT.into_iter().zip(programs.paths()));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Start { program: PROGRAM.into(), source })?;
    if !output.status.success() {
        return Err(Error::Program { what: "measuring".into(), status: output.status });
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What the first process of the namespaces does: its standard output is that of the program that measures.
fn inside(
    arguments: &Arguments,
    programs: &Programs,
    part: &OsString,
    progress: &Progress,
) -> Result<ExitCode, Error> {
    let description = description(arguments, programs)?;
    let runs = |usual: u32| arguments.runs.unwrap_or(usual).to_string().into();
    let deploy = ["--deploy".into(), root().join("deploy").into()];
    let mut command: Vec<OsString>;
    let mut cluster: Cluster;
    if part == "agent" {
        cluster = description.start_api(progress)?;
        // It lays folders over the machine's.
        command = ["unshare", "--mount", "--"].map(OsString::from).into();
        command.extend([programs.program.clone().into(), "native".into()]);
        command.extend(["--podbond".into(), programs.podbond.clone().into()]);
        command.extend(["--agent".into(), programs.agent.clone().into()]);
        command.extend(["--runs".into(), runs(ADDS), "--idle".into()]);
        command.push(arguments.idle.to_string().into());
    } else {
        cluster = description.start(progress)?;
        command = vec![programs.program.clone().into(), "node".into()];
        command.extend(["--runs".into(), runs(PODS), "--examples".into()]);
        command.push(root().join("examples").into());
        for (peer, option) in [(THIN, "--thin"), (THICK, "--thick")] {
            if is_there(arguments, peer) && is_there(arguments, PLUGINS) {
                command.push(option.into());
            }
        }
    }
    command.extend(deploy);
    let hidden: Vec<&str> = BUILT.into_iter().chain([INSIDE]).collect();
    Ok(ExitCode::from(cluster.run(&command, &hidden)?))
}

/// Whether all that a peer needs was named.
fn is_there(arguments: &Arguments, files: &[(&str, &str)]) -> bool {
    files.iter().all(|(name, _)| arguments.peer.iter().any(|peer| peer.plugin == *name))
}

fn description(arguments: &Arguments, programs: &Programs) -> Result<Description, Error> {
    let mut files = Vec::new();
    for Peer { plugin, path } in &arguments.peer {
        let places = THIN.iter().chain(THICK).chain(PLUGINS);
        for (_, node) in places.filter(|(name, _)| name == plugin) {
            let host = path.canonicalize().file("find", path)?;
            files.push(NodeFile { host, node: node.into() });
        }
    }
    let deploy = root().join("deploy");
    Ok(Description {
        nodes: 1,
        kernels: vec![arguments.kernel],
        vfs: 4,
        accel: arguments.accel,
        device_plugin: programs.device_plugin.clone(),
        podbond: Some(Podbond {
            executable: programs.podbond.clone(),
            agent: Some(programs.agent.clone()),
            manifests: vec![deploy.join("crd.yaml"), deploy.join("agent.yaml")],
            applied: Applied::ByCommand,
        }),
        files,
        kubernetes: None,
        state: target().join("cluster"),
    })
}
