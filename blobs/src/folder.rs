//! Puts a blob into a folder: a temporary file next to it, then a rename.
//!
//! Reading and listing folders is left to the common client. Its put is not used, because it tries for ever where a
//! folder exists but takes no files, as in `/proc`. The temporary names are those that its listing leaves out.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most temporary names to try for one put; each left over by a killed process takes one. Beyond, the put fails.
const STAGED_NAMES_MAX: usize = 1000;

static NEXT_STAGED: AtomicU64 = AtomicU64::new(1);

/// Writes `bytes` to `path`, whole or not at all, and makes missing folders above it. Nothing is synced to disk.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_staged(path) {
        let fault = "a name that ends in # and digits is kept for unfinished puts: choose another";
        return Err(io::Error::new(ErrorKind::InvalidInput, fault));
    }
    let (mut file, staged) = match stage(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            stage(path)?
        }
        outcome => outcome?,
    };
    let written = file.write_all(bytes).and_then(|()| fs::rename(&staged, path));
    if written.is_err() {
        // The first failure is the one to tell; what stays behind is left out of listings.
        let _ = fs::remove_file(&staged);
    }
    written
}

/// A new file next to `path` that nobody else writes to.
fn stage(path: &Path) -> io::Result<(File, PathBuf)> {
    for _ in 0..STAGED_NAMES_MAX {
        let mut staged = path.as_os_str().to_owned();
        staged.push(format!("#{}{:06}", std::process::id(), NEXT_STAGED.fetch_add(1, Ordering::Relaxed)));
        match File::create_new(&staged) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            outcome => return outcome.map(|file| (file, staged.into())),
        }
    }
    Err(io::Error::new(
        ErrorKind::AlreadyExists,
        "too many temporary files are left over: delete NAME#DIGITS in the folder",
    ))
}

/// True when the text after the first `#` of the file name is all digits: the rule by which listings leave it out.
fn is_staged(path: &Path) -> bool {
    let digits = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('#'));
    digits.is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
