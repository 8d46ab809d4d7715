//! The first process of a container: starts the daemons, restarts each for itself, reaps what others have left behind, and stops
//! the daemons in good order.
//!
//! It knows processes, signals and time, and neither what a daemon does nor how it is configured: a service is a list of words
//! for this same binary. One thread, no runtime, nothing on disk. Start at [`Supervisor::run`](supervisor::Supervisor::run).

mod cli;
mod environment;
mod service;
mod supervisor;

pub use cli::{command, run};
pub use environment::EnvironmentError;
pub use supervisor::InitError;
