//! A cluster on this machine: one controller and its nodes as processes, with everything they keep under one folder.
//!
//! `covey up`, `down` and `demo` are thin covers over this. Nothing here knows a job, a picture or a store, and nothing
//! keeps running to watch over the processes: what lives is found again by its pid file and its command line.
//!
//! Start at [`layout`] for what is where, then [`daemon`] for who lives, then [`cluster`] for starting and stopping.

pub(crate) mod arguments;
pub(crate) mod cluster;
pub(crate) mod daemon;
pub(crate) mod interrupt;
pub(crate) mod layout;
pub(crate) mod options;
pub(crate) mod process;
pub(crate) mod shell;
pub(crate) mod started;
