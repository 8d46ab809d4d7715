//! Puts a blob into a folder: a temporary file next to it, then a rename, or a link where nothing may be there yet.
//!
//! A version is told by a file's number, length and time. It is looked at just before the rename and not with it, so the fence
//! has a gap of some microseconds there. Reading and listing folders is left to the common client. Its put is not used, because it tries for ever where a
//! folder exists but takes no files, as in `/proc`. The temporary names are those that its listing leaves out.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Before, Content};

/// Most temporary names to try for one put; each left over by a killed process takes one. Beyond, the put fails.
const STAGED_NAMES_MAX: usize = 1000;

static NEXT_STAGED: AtomicU64 = AtomicU64::new(1);

/// Writes `content` to `path`, whole or not at all, and makes missing folders above it. Nothing is synced to disk. With
/// [`ErrorKind::AlreadyExists`] somebody else has put something there since `before`.
pub(crate) fn put(path: &Path, content: &Content, before: &Before) -> io::Result<()> {
    if is_staged(path) {
        let fault = "a name that ends in # and digits is kept for unfinished puts: choose another";
        return Err(io::Error::new(ErrorKind::InvalidInput, fault));
    }
    let (file, staged) = stage_in_folder(path)?;
    let written = fill(file, content).and_then(|()| publish(&staged, path, before));
    if written.is_err() {
        // The first failure is the one to tell; what stays behind is left out of listings.
        let _ = fs::remove_file(&staged);
    }
    written
}

/// An empty file next to `path` for what is to become it, in a folder that is made where it is missing.
pub(crate) fn make_room(path: &Path) -> io::Result<PathBuf> {
    stage_in_folder(path).map(|(_, staged)| staged)
}

fn stage_in_folder(path: &Path) -> io::Result<(File, PathBuf)> {
    match stage(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            stage(path)
        }
        outcome => outcome,
    }
}

fn fill(mut file: File, content: &Content) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => file.write_all(bytes),
        Content::File { path, .. } => io::copy(&mut File::open(path)?, &mut file).map(drop),
    }
}

fn publish(staged: &Path, path: &Path, before: &Before) -> io::Result<()> {
    match before {
        Before::Anything => {}
        Before::Nothing => match fs::hard_link(staged, path) {
            // What cannot be linked here can be renamed.
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                if path.exists() {
                    return Err(ErrorKind::AlreadyExists.into());
                }
            }
            linked => return linked.and_then(|()| fs::remove_file(staged)),
        },
        Before::Version(_) => {
            if version(path)? != *before {
                return Err(ErrorKind::AlreadyExists.into());
            }
        }
    }
    fs::rename(staged, path)
}

/// What is at `path`.
pub(crate) fn version(path: &Path) -> io::Result<Before> {
    match fs::metadata(path) {
        Ok(found) => {
            let (number, bytes, s, ns) = (found.ino(), found.len(), found.mtime(), found.mtime_nsec());
            Ok(Before::Version(format!("{number:x}-{bytes:x}-{s:x}.{ns:x}")))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Before::Nothing),
        Err(e) => Err(e),
    }
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
    // No kind of its own: it must not be taken for a blob that somebody else has put.
    Err(io::Error::other("too many temporary files are left over: delete NAME#DIGITS in the folder"))
}

/// True when the text after the first `#` of the file name is all digits: the rule by which listings leave it out.
fn is_staged(path: &Path) -> bool {
    let digits = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('#'));
    digits.is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
