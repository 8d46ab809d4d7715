//! The thinking: a pure, deterministic scheduler core.
//!
//! Facts ([`event::Event`]) are decided ([`step::decide`], [`plan::plan`]) and then applied ([`cluster::Cluster::apply`]); replaying
//! them decides nothing again. Time and randomness come in as values. This crate knows no wire, disk, clock or runtime.
//! Start with [`job`], then [`event`], then [`plan`].

pub mod allow;
pub mod apply;
mod backfill;
mod candidates;
pub mod changes;
pub mod check;
pub mod cluster;
pub mod depend;
pub mod devices;
pub mod done;
pub mod event;
pub mod failures;
mod finish;
pub mod hold;
pub mod ids;
mod index;
pub mod job;
pub mod lease;
mod line;
pub mod mark;
mod measure;
pub mod members;
pub mod near;
pub mod node;
pub mod partition;
mod pause;
mod place;
pub mod plan;
mod planner;
pub mod priority;
pub mod reason;
pub mod reconcile;
pub mod refusal;
pub mod rehearse;
pub mod requeue;
pub mod resources;
pub mod revise;
pub mod select;
pub mod settings;
pub mod shared;
pub mod signals;
pub mod spec;
mod spread;
pub mod step;
pub mod steps;
mod submit;
pub mod task;
pub mod terms;
pub mod wake;
mod walk;
pub mod why;
mod wishes;
