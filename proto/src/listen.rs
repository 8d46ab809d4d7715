//! Listening for callers: a unix socket that takes the place of a dead one, and never that of a living one.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

use crate::short_path::ShortPath;

/// Why a socket could not be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Someone answers there.
    #[error("{} is in use: somebody answers there already", .0.display())]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("cannot listen on {}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Opens a unix socket that every local user may connect to; who may do what is decided by the peer's credentials.
///
/// # Errors
/// When someone answers there already, or the folder cannot be written.
pub async fn listen_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Bind { path: path.to_owned(), source };
    let short = ShortPath::of(path).map_err(failed)?;
    if UnixStream::connect(short.as_path()).await.is_ok() {
        return Err(ListenError::InUse(path.to_owned()));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(short.as_path()).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(failed)?;
    Ok(listener)
}
