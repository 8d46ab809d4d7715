//! A launcher's folder: its lock, pid file, socket and log, and who may use them.
//!
//! The lock says who is the launcher; the pid file is only there to find it. The records are not this file's business.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::umask;

use super::LauncherError;

const LOCK_FILE: &str = "launcher.lock";
const PID_FILE: &str = "launcher.pid";
const SOCKET_FILE: &str = "launcher.sock";
const LOG_FILE: &str = "launcher.log";

/// A log that is longer when a launcher starts is begun anew. A launcher writes a line when it starts, leaves, changes
/// its client or cannot write, not for each task.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// The folder of a launcher.
pub(super) struct Place {
    dir: PathBuf,
    /// Keeps `/proc/self/fd/N` a short name for `dir`, whatever its length: the path of a socket has 108 bytes.
    handle: OwnedFd,
}

impl Place {
    /// Opens the folder; makes it, for its owner alone, if it is not there.
    pub(super) fn create(dir: &Path) -> Result<Self, LauncherError> {
        let failed = |source| LauncherError::Folder { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = open(dir, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        Ok(Self { dir: fs::canonicalize(dir).map_err(failed)?, handle })
    }

    /// The folder's absolute path.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Becomes the launcher of this folder, for as long as the file is held.
    pub(super) fn lock(&self) -> Result<File, LauncherError> {
        let lock = self.try_lock()?.ok_or_else(|| LauncherError::AlreadyRunning { dir: self.dir.clone() })?;
        let path = self.dir.join(PID_FILE);
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        opened
            .and_then(|mut file| writeln!(file, "{}", std::process::id()))
            .map_err(|source| LauncherError::PidFile { path, source })?;
        Ok(lock)
    }

    /// The lock, if no launcher holds it.
    pub(super) fn try_lock(&self) -> Result<Option<File>, LauncherError> {
        let path = self.dir.join(LOCK_FILE);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let locked = opened.and_then(|file| match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        });
        locked.map_err(|source| LauncherError::Lock { path, source })
    }

    /// The process number of whoever held the lock last.
    pub(super) fn pid(&self) -> Result<i32, LauncherError> {
        let path = self.dir.join(PID_FILE);
        let read = fs::read_to_string(&path);
        let parsed = read.and_then(|text| text.trim().parse().map_err(io::Error::other));
        parsed.map_err(|source| LauncherError::PidFile { path, source })
    }

    /// Listens on the socket, which only the owner may connect to. For whoever holds the lock.
    pub(super) fn listen(&self) -> Result<UnixListener, LauncherError> {
        self.remove_socket();
        let mask = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let listener = UnixListener::bind(self.socket());
        umask(mask);
        let listening = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        listening.map_err(|source| LauncherError::Listen { path: self.dir.join(SOCKET_FILE), source })
    }

    /// Connects to the launcher, if one listens.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.socket())
    }

    /// Takes the socket away; it need not be there.
    pub(super) fn remove_socket(&self) {
        // What stands in the way for another reason is named by the bind that follows.
        let _ = fs::remove_file(self.dir.join(SOCKET_FILE));
    }

    /// Where a launcher's messages go.
    pub(super) fn log_path(&self) -> PathBuf {
        self.dir.join(LOG_FILE)
    }

    /// Opens the log for a new launcher.
    pub(super) fn open_log(&self) -> Result<File, LauncherError> {
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(self.log_path()).and_then(|file| {
            if file.metadata()?.len() > LOG_BYTES_MAX {
                file.set_len(0)?;
            }
            Ok(file)
        });
        opened.map_err(|source| LauncherError::Log { path: self.log_path(), source })
    }

    fn socket(&self) -> String {
        format!("/proc/self/fd/{}/{SOCKET_FILE}", self.handle.as_raw_fd())
    }
}
