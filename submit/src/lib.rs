//! The counter: one file per command, which reads arguments, makes one call and prints the answer as Slurm would.
//!
//! Nothing is decided here that the controller must know: the checks at this door only save a call that cannot succeed.
//! Start at [`run`]; then `commands/sbatch.rs`. What the commands share is in the modules beside them: `call` finds the
//! controller, `failure` ends a command, `getopt` reads options, `send` submits, `table` prints.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test says what it expects by failing"))]

mod ask;
mod bearer;
mod call;
mod commands;
mod export;
mod failure;
#[cfg(test)]
mod fake;
mod fields;
mod getopt;
mod hold;
mod json;
mod local;
mod mapping;
mod past;
mod row;
mod send;
mod shape;
mod show;
mod submitter;
mod table;
mod unbuilt;
mod users;
mod wait;
mod wishes;

use std::ffi::OsString;
use std::process::ExitCode;

pub use commands::backup::{Stopped, run as backup};

/// The names that [`run`], [`describe`] and [`backup`] know: Slurm's commands, which links may call this binary by, and Covey's own.
pub const COMMANDS: &[&str] = &[
    "sbatch",
    "srun",
    "salloc",
    "squeue",
    "scancel",
    "sinfo",
    "scontrol",
    "sacct",
    "sacctmgr",
    "sshare",
    "sreport",
    "sstat",
    "why",
    "logs",
    "map",
    "rerun",
    "blob",
    "op",
    "demo",
    "chaos",
    "up",
    "down",
    "env",
    "links",
    "node",
    "user",
    "audit",
    "backup",
    "sdiag",
    "sprio",
    "completions",
    "man",
];

/// What `covey` alone, `covey help` and a wrong word print.
const OVERVIEW: &str = "\
Usage: covey COMMAND [ARGUMENTS]      (covey COMMAND --help says more)

  sbatch      submit a batch script, an array, or a map over blobs
  srun        run a command on a job's nodes, or on nodes of its own
  salloc      hold nodes while a command or a shell runs here
  squeue      list jobs                    scancel   end jobs
  sinfo       list partitions and nodes    scontrol  show everything about a job, node or partition
  sacct       what became of jobs, also long after their end
  sreport     what was used, by cluster, account, user and size of job
  sshare      what accounts and users have used
  sstat       the steps that run now       sacctmgr  list users, accounts, qos, tres, ...
  sprio       what the priorities of waiting jobs are made of
  sdiag       what the controller has done, and how fast
  why         why a job waits: what is missing where, who has it, what is ahead, when it should start
  logs        print what a task has written, from its node
  map         run a command or an op on every blob of a store
  rerun       run again what of a map failed, is missing, or has changed
  blob        list, put, get and remove blobs
  op          run a built-in operation on a file

  demo        the whole road in one command: nine nodes turn colour pictures gray
  up, down    start and stop a cluster on this machine
  chaos       rehearse failures on it: kill controller and nodes under load, and see what became of it
  env         print the variables that a shell needs to talk to it
  links       put sbatch, squeue, ... into a folder as links to this binary
  node        let nodes in over the network with join tokens, and shut them out
  user        let users call from elsewhere with tokens
  audit       who did what, from where, allowed or refused
  backup      write jobs, nodes and history into one file      restore  make a cluster of it
  fsck        see whether a journal or a backup is whole

  completions what a shell needs to complete all these
  man         write their manual pages

  controller, noded                        the daemons, started by hand
  init        the first process of a container: keeps the daemons running
";

/// Runs `covey completions` or `covey man`, whose texts also tell of the daemons, which are defined elsewhere. `None` for any other
/// name.
#[must_use]
pub fn describe(name: &str, args: &[OsString], daemons: impl FnOnce() -> Vec<clap::Command>) -> Option<ExitCode> {
    match name {
        "completions" => Some(commands::completions::run(args, daemons())),
        "man" => Some(commands::man::run(args, daemons())),
        _ => None,
    }
}

/// Runs the command `name` with the arguments that follow it, and says how the process should end.
#[must_use]
pub fn run(name: &str, args: Vec<OsString>) -> ExitCode {
    match name {
        "sbatch" => commands::sbatch::run(&args),
        "srun" => commands::srun::run(&args),
        "salloc" => commands::salloc::run(&args),
        "squeue" => commands::squeue::run(&args),
        "scancel" => commands::scancel::run(&args),
        "sinfo" => commands::sinfo::run(&args),
        "scontrol" => commands::scontrol::run(&args),
        "sacct" => commands::sacct::run(&args),
        "sacctmgr" => commands::sacctmgr::run(&args),
        "sshare" => commands::sshare::run(&args),
        "sreport" => commands::sreport::run(&args),
        "sstat" => commands::sstat::run(&args),
        "sdiag" => commands::sdiag::run(&args),
        "sprio" => commands::sprio::run(&args),
        "why" => commands::why::run(&args),
        "logs" => commands::logs::run(&args),
        "map" => commands::map::run(&args),
        "blob" => commands::blob::run(&args),
        "op" => commands::op::run(&args),
        "chaos" => commands::chaos::run(&args),
        "rerun" => commands::rerun::run(&args),
        "demo" => commands::demo::run(&args),
        "up" => commands::up::run(&args),
        "down" => commands::down::run(&args),
        "env" => commands::env::run(&args),
        "links" => commands::links::run(&args),
        "node" => commands::node::run(&args),
        "user" => commands::user::run(&args),
        "audit" => commands::audit::run(&args),
        "help" | "--help" | "-h" => failure::ended(failure::print(OVERVIEW)),
        "version" | "--version" | "-V" => {
            failure::ended(failure::print(concat!("covey ", env!("CARGO_PKG_VERSION"), "\n")))
        }
        "" => {
            eprint!("{OVERVIEW}");
            ExitCode::from(2)
        }
        _ => {
            eprint!("covey: error: there is no command {name:?}\n\n{OVERVIEW}");
            ExitCode::from(2)
        }
    }
}
