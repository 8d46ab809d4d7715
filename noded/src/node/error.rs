//! What keeps a noded from starting or going on.

use std::io;
use std::path::PathBuf;

use blobs::Cause;
use thiserror::Error;

use crate::calls::CallsError;
use crate::launcher::{LauncherError, LinkError};
use crate::papers::PapersError;

/// Why a noded cannot start or go on.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The launcher cannot be started or reached.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// The launcher's socket cannot be used.
    #[error(transparent)]
    LauncherLink(#[from] LinkError),
    /// The launcher did not say who it is.
    #[error("the launcher in {} did not say hello as it should", .0.display())]
    NoHello(PathBuf),
    /// It may not join, or not prove who it is.
    #[error(transparent)]
    Papers(#[from] PapersError),
    /// Commands on this node would not find the controller.
    #[error(transparent)]
    Calls(#[from] CallsError),
    /// The threads for operations cannot be started.
    #[error("no threads for operations")]
    Pool(#[from] rayon::ThreadPoolBuildError),
    /// Nothing can be read by signed URLs.
    #[error("no client for signed URLs")]
    Courier(#[source] Cause),
    /// The port for metrics cannot be had.
    #[error(transparent)]
    Metrics(io::Error),
    /// No runtime, or no signals.
    #[error("the operating system gives no runtime")]
    Runtime(#[source] io::Error),
}
