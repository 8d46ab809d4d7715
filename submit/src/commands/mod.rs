//! The commands, one file each; every file's `run` takes the arguments and gives the exit code.

pub(crate) mod blob;
pub(crate) mod completions;
mod definitions;
pub(crate) mod demo;
pub(crate) mod down;
pub(crate) mod env;
pub(crate) mod links;
pub(crate) mod man;
pub(crate) mod map;
pub(crate) mod node;
pub(crate) mod sacct;
pub(crate) mod sacctmgr;
pub(crate) mod salloc;
pub(crate) mod sbatch;
pub(crate) mod scancel;
pub(crate) mod scontrol;
pub(crate) mod sdiag;
pub(crate) mod sinfo;
pub(crate) mod sprio;
pub(crate) mod squeue;
pub(crate) mod sreport;
pub(crate) mod srun;
pub(crate) mod sshare;
pub(crate) mod sstat;
pub(crate) mod up;
pub(crate) mod user;
pub(crate) mod why;
