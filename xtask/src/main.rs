//! `cargo xtask`: lints, tests, the lab's virtual machine and cluster, the demo, measuring, comparing, the executable for
//! distribution, and the pages that are made from code.

mod bench;
mod build;
mod cluster;
mod compare;
mod crash;
mod demo;
mod dist;
mod docs;
mod error;
mod fuzz;
mod lab;
mod line_writer;
mod lines;
mod lint;
mod metadata;
mod process;
mod source;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// podbond's own tasks
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Demo(demo::Arguments),
    Lab(lab::Arguments),
    Cluster(cluster::Arguments),
    Test(test::Arguments),
    Crash(crash::Arguments),
    Fuzz(fuzz::Arguments),
    Bench(bench::Arguments),
    Compare(compare::Arguments),
    Dist(dist::Arguments),
    Docs(docs::Arguments),
    Lint(lint::Arguments),
    Tidy(tidy::Arguments),
    Lines(lines::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Lab(arguments) => lab::run(&arguments),
        Task::Cluster(arguments) => cluster::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Crash(arguments) => crash::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Compare(arguments) => compare::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Docs(arguments) => docs::run(&arguments),
        Task::Lint(arguments) => lint::run(&arguments),
        Task::Tidy(arguments) => tidy::run(&arguments),
        Task::Lines(arguments) => lines::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        // 125 as docker run has it: the task itself failed, not the command it was to run.
        ExitCode::from(125)
    })
}
