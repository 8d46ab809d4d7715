//! The model railway: a controller, nodes, network and clients as values, under virtual time and injected faults.
//!
//! The real `sched` decides and the real roster of `noded` obeys; what stands around them (disk, driver, launcher, streams) is
//! modelled, because only a model can be killed at any moment and replayed to the letter. A witness beside it all checks
//! after every step that no promise is broken. Never shipped, no thread, no socket, no clock.
//! Start at [`run`] for seeds, [`script`] for stories, `world` for what happens, `witness` for what is promised.

mod agenda;
mod chance;
mod clients;
mod controller;
mod draft;
mod launcher;
mod ledger;
mod network;
mod node;
mod order;
mod pipeline;
mod post;
pub mod run;
pub mod sabotage;
pub mod script;
mod story;
mod task;
mod violation;
mod witness;
mod world;

pub use violation::Violation;
