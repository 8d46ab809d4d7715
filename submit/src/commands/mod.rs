//! The commands, one file each; every file's `run` takes the arguments and gives the exit code.

pub(crate) mod blob;
pub(crate) mod demo;
pub(crate) mod down;
pub(crate) mod env;
pub(crate) mod links;
pub(crate) mod map;
pub(crate) mod node;
pub(crate) mod sacct;
pub(crate) mod sbatch;
pub(crate) mod scancel;
pub(crate) mod scontrol;
pub(crate) mod sinfo;
pub(crate) mod squeue;
pub(crate) mod up;
pub(crate) mod why;
