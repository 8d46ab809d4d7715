//! The desk: the driver that decides and commits, the journal on sled, and the gRPC services.
//!
//! It must not know how a task is run (that is noded's) nor how an answer is printed (that is submit's). Start at
//! [`serve`], then `driver`.

mod briefs;
mod cli;
mod clock;
pub mod config;
mod door;
mod driver;
mod history;
pub mod journal;
mod links;
pub mod pack;
pub mod recover;
mod rpc;
pub mod serve;
mod statistics;
pub mod tls;

pub use cli::{command, run};
