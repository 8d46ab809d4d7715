//! The hands: the link to the controller, the launcher of processes, blob staging and operations.
//!
//! It must not know how jobs are scheduled nor how the controller keeps its state. Start at [`node`] for the main loop,
//! [`roster`] for the decisions, [`launcher`] for the process that parents the tasks, [`calls`] for the commands on a node.

mod calls;
mod cli;
mod clock;
mod count;
pub mod environment;
mod hand;
pub mod launch;
pub mod launcher;
pub mod lease;
pub mod link;
pub mod login;
mod machine;
mod meters;
pub mod node;
mod output;
mod papers;
pub mod roster;
mod signals;
pub mod signatures;
pub mod stage;
mod step;
mod stepd;

pub use cli::{command, run_launcher, run_noded};
pub use stepd::run as run_stepd;
