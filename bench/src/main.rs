//! The stopwatch: measures what Covey promises of speed, on this machine, beside what the machine itself can do.
//!
//! `bench/run` builds the binary that is shipped and this one, and runs `bench run`. Start reading at [`items`], where each promise
//! has a file; [`cluster`] makes the clusters, [`crowd`] and [`nodes`] the simulated nodes, [`report`] the table.
//!
//! It judges no correctness, which is what tests do, and it takes no check and no flush away to be quick: all daemons are the
//! shipped binary with its defaults, but for the limits on how much one user may submit.

mod against;
mod bare;
mod client;
mod cluster;
mod crowd;
mod growth;
mod items;
mod machine;
mod nodes;
mod process;
mod report;
mod sample;
mod scope;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use against::Against;
use items::Item;
use report::Report;
use scope::Scope;

/// What this program can be told.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures, and prints a table
    Run(Run),
    /// Is a number of nodes that run no processes
    #[command(hide = true)]
    Nodes(nodes::Arguments),
    /// Prints what the machine's clock says
    #[command(hide = true)]
    Now,
}

/// What is measured.
#[derive(Debug, clap::Args)]
struct Run {
    /// The binary to measure, as it is shipped
    #[arg(long, value_name = "FILE")]
    covey: PathBuf,
    /// Only these items of the table
    #[arg(long, value_name = "ITEM")]
    only: Vec<Item>,
    /// A tenth of everything, in two rounds: to see that it works. The figures say little
    #[arg(long)]
    quick: bool,
    /// Rounds of each measurement
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Also the same work by this program, in the same run
    #[arg(long, value_name = "PROGRAM")]
    against: Vec<Against>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(run) => measure(run),
        Command::Nodes(arguments) => nodes::run(&arguments),
        Command::Now => {
            println!("{}", process::now_ns());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(run: Run) -> Result<()> {
    let covey = run.covey.canonicalize().with_context(|| format!("there is no binary {}", run.covey.display()))?;
    let folder = tempfile::Builder::new().prefix("covey-bench").tempdir().context("cannot make a temporary folder")?;
    let scope = Scope::new(covey, folder.path().to_owned(), run.quick, run.rounds);
    let wanted = |item: &Item| run.only.is_empty() || run.only.contains(item);
    let mut report = Report::default();
    println!("{}", machine::describe(&scope)?);
    for item in Item::ALL.iter().filter(|item| wanted(item)) {
        eprintln!("bench: {}", item.title());
        item.measure(&scope, &mut report).with_context(|| format!("item {}", item.name()))?;
    }
    for against in &run.against {
        eprintln!("bench: {}", against.title());
        against.measure(&scope, &mut report, wanted).with_context(|| against.title())?;
    }
    println!("{report}");
    Ok(())
}
