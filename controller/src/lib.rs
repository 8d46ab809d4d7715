//! The desk: the driver that decides and commits, the journal on sled, and the gRPC services.
//!
//! It must not know how a task is run (that is noded's) nor how an answer is printed (that is submit's). Start at
//! [`serve`], then `driver`.

pub mod audit;
pub mod backup;
mod briefs;
mod budget;
mod cli;
mod clock;
pub mod config;
mod door;
mod driver;
mod error_chain;
mod history;
mod inflow;
pub mod journal;
mod links;
mod memory;
pub mod pack;
mod prompt;
pub mod recover;
mod reflection;
mod rpc;
pub mod serve;
mod statistics;
pub mod tls;

pub use cli::run;

/// The definitions of `covey controller`, `covey restore` and `covey fsck`.
#[must_use]
pub fn commands() -> Vec<clap::Command> {
    vec![cli::command(), backup::restore_command(), backup::fsck_command()]
}
