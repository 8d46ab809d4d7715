//! The node's own socket: where commands find the controller on a node that has joined over TLS, in jobs and beside them.
//!
//! Calls are passed on as they are, over TLS, with a word on whose they are: the kernel's word on this machine. What the controller
//! makes of that word is decided there; nothing is kept or decided here, but which calls go on at all ([`pass`]). Each caller has a
//! connection to the controller to himself ([`lines`]), and all of this has a thread to itself, so that whoever does not read what
//! he asked for holds up nobody else, and no task. Start at [`open`].

mod lines;
mod pass;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::select_all;
use proto::listen::{ListenError, listen_unix};
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::{error, info, warn};

use crate::node::NodeSettings;
use crate::papers::Papers;
use lines::{Lines, Visitor};
use pass::Pass;

/// The socket's name in the node's folder.
const SOCKET: &str = "calls.sock";
/// Calls that one caller may have open at the same time; further ones wait.
const CALLS_OF_VISITOR_MAX: u32 = 64;
/// What a caller may send that nobody has read yet, in bytes.
const UNREAD_BYTES_MAX: u32 = 256 * 1024;
/// The pause after a connection that could not be taken, as when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why nobody can call.
#[derive(Debug, Error)]
pub enum CallsError {
    /// The socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Nor can its folder be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No thread or runtime.
    #[error("the operating system gives no thread for calls")]
    Thread(#[source] io::Error),
}

/// Where jobs on the node with this folder find the controller.
pub(crate) fn socket_in(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

fn sockets(settings: &NodeSettings) -> impl Iterator<Item = PathBuf> {
    std::iter::once(socket_in(&settings.folder)).chain(settings.socket.clone())
}

/// Listens at the node's own socket and where else it is told to, and passes calls on to the controller from then on. What an earlier
/// life left there is replaced.
///
/// # Errors
/// When somebody answers there already, or a socket cannot be made.
pub(crate) fn open(settings: &NodeSettings, papers: Arc<Papers>) -> Result<(), CallsError> {
    let Some(places) = settings.controller.secure() else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CallsError::Thread)?;
    let mut listeners = Vec::new();
    for socket in sockets(settings) {
        if let Some(folder) = socket.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
            made.map_err(|source| CallsError::Folder { path: folder.to_owned(), source })?;
        }
        listeners.push(runtime.block_on(listen_unix(&socket))?);
        info!(socket = %socket.display(), "commands find the controller here");
    }
    let lines = Arc::new(Lines::new(places, papers));
    let serve = move || serve(&runtime, listeners, &lines);
    std::thread::Builder::new().name("calls".into()).spawn(serve).map_err(CallsError::Thread)?;
    Ok(())
}

/// Takes the sockets away, where the node leaves for good. A node that is only started again leaves them: commands wait longer where
/// there is one.
pub(crate) fn close(settings: &NodeSettings) {
    for socket in sockets(settings) {
        fs::remove_file(socket).ok();
    }
}

/// Serves for ever: the thread ends with the process.
fn serve(runtime: &Runtime, listeners: Vec<UnixListener>, lines: &Arc<Lines>) {
    let routes = Routes::default().into_axum_router().fallback_service(Pass);
    let served = runtime.block_on(async {
        let connections = select_all(listeners.into_iter().map(UnixListenerStream::new));
        let visitors = connections.filter_map(|connection| async move {
            match connection {
                Ok(connection) => Visitor::welcome(connection, lines).await.map(io::Result::Ok),
                Err(error) => {
                    warn!(%error, "a caller cannot be heard");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    None
                }
            }
        });
        Server::builder()
            .max_concurrent_streams(CALLS_OF_VISITOR_MAX)
            .initial_stream_window_size(UNREAD_BYTES_MAX)
            .initial_connection_window_size(UNREAD_BYTES_MAX)
            .add_routes(Routes::from(routes))
            .serve_with_incoming(visitors)
            .await
    });
    if let Err(failed) = served {
        error!(error = &failed as &dyn std::error::Error, "no more calls are heard on this node");
    }
}
