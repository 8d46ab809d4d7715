//! What the pipeline keeps on disk: a claim for each operation, and a work folder for each mapped command.
//!
//! `ops/KEY` is an empty file that is made before an operation begins. `work/KEY/` holds `in/FILE`, `out/FILE`, `attempt`,
//! from which a noded that was restarted learns what to publish, and `before`, what was at the output's name at the beginning.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blobs::Before;
use proto::link::{keep, read_kept};
use sched::ids::{AttemptKey, JobId};

use crate::roster::Job;

/// The private folder of one attempt of a mapped command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkFolder {
    folder: PathBuf,
    input: String,
    output: String,
}

/// What an earlier life of noded left.
#[derive(Debug, Default)]
pub struct LeftBehind {
    /// Operations that were begun.
    pub operations: Vec<AttemptKey>,
    /// Mapped commands whose output is still to be published.
    pub commands: Vec<Job>,
}

impl WorkFolder {
    pub(super) fn of(folder: &Path, key: AttemptKey, input: &str, output: &str) -> WorkFolder {
        WorkFolder { folder: folder.join("work").join(key.to_string()), input: plain(input), output: plain(output) }
    }

    /// Where the blob lies.
    #[must_use]
    pub fn input(&self) -> PathBuf {
        self.folder.join("in").join(&self.input)
    }

    /// Where the command is to write.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.folder.join("out").join(&self.output)
    }

    pub(super) fn input_bytes(&self) -> u64 {
        fs::metadata(self.input()).map_or(0, |found| found.len())
    }

    /// What was at the output's name when the attempt began. Where nothing is kept of it anything may have been.
    pub(super) fn before(&self) -> Before {
        let kept = fs::read_to_string(self.folder.join("before")).ok();
        kept.and_then(|text| text.parse().ok()).unwrap_or(Before::Anything)
    }

    /// Makes the folder anew, for the blob to be put into it.
    pub(super) fn make(&self, job: &Job, before: &Before) -> Result<(), (PathBuf, io::Error)> {
        let at = |path: PathBuf| move |error| (path, error);
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((self.folder.clone(), error)),
            _ => {}
        }
        let parent = self.folder.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(at(parent.to_owned()))?;
        DirBuilder::new().mode(0o700).create(&self.folder).map_err(at(self.folder.clone()))?;
        for part in ["in", "out"] {
            let path = self.folder.join(part);
            fs::create_dir_all(&path).map_err(at(path))?;
        }
        let path = self.folder.join("attempt");
        fs::write(&path, keep(&job.brief, &job.task)).map_err(at(path))?;
        let path = self.folder.join("before");
        fs::write(&path, before.to_string()).map_err(at(path))
    }
}

/// The longest name of a staged file, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// A file name for the last part of a blob's name. Whatever a shell would take for more than a letter becomes `_`, because commands such as
/// `sh -c 'sort {in}'` are given the path as it is; the end is kept, by which programs tell what a file is.
fn plain(blob: &str) -> String {
    let last = blob.rsplit('/').next().unwrap_or(blob);
    let harmless = |c: char| if c.is_alphanumeric() || "._-+=@%,:".contains(c) { c } else { '_' };
    let name: String = last.chars().map(harmless).collect();
    name[name.ceil_char_boundary(name.len().saturating_sub(NAME_BYTES_MAX))..].to_owned()
}

/// Makes the claim of an operation. One that is there already means that it was begun before.
pub(super) fn claim(folder: &Path, key: AttemptKey) -> Result<(), (PathBuf, io::Error)> {
    let claims = folder.join("ops");
    fs::create_dir_all(&claims).map_err(|error| (claims.clone(), error))?;
    let path = claims.join(key.to_string());
    fs::File::create_new(&path).map(drop).map_err(|error| (path, error))
}

/// Removes whatever an attempt left.
pub(super) fn drop_attempt(folder: &Path, key: AttemptKey) {
    let name = key.to_string();
    // Each attempt has at most one of the two, and plain ones have neither.
    fs::remove_file(folder.join("ops").join(&name)).ok();
    fs::remove_dir_all(folder.join("work").join(&name)).ok();
}

/// Reads what is there.
pub(super) fn left_behind(folder: &Path) -> LeftBehind {
    let names = |part: &str| {
        let entries = fs::read_dir(folder.join(part)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    };
    let kept = |name: String| {
        let bytes = fs::read(folder.join("work").join(name).join("attempt")).ok()?;
        let (brief, task) = read_kept(&bytes)?;
        Some(Job { brief: Arc::new(brief), task: Arc::new(task) })
    };
    LeftBehind {
        operations: names("ops").filter_map(|name| read_key(&name)).collect(),
        commands: names("work").filter_map(kept).collect(),
    }
}

fn read_key(name: &str) -> Option<AttemptKey> {
    let mut numbers = name.split('_').map(|number| number.parse::<u32>().ok());
    let key = AttemptKey { job: JobId(numbers.next()??), index: numbers.next()??, attempt: numbers.next()?? };
    numbers.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_file_is_named_so_that_no_shell_is_misled() {
        for (blob, file) in [
            ("deep/photo 1.jpg", "photo_1.jpg"),
            ("$(touch x);`y`&|<>'\"*?[~!#\\{}.png", "__touch_x___y________________.png"),
            ("größe-2.tiff", "größe-2.tiff"),
            ("a=b,c:d@e%20+.gz", "a=b,c:d@e%20+.gz"),
        ] {
            assert_eq!(plain(blob), file);
        }
        let long = plain(&format!("{}é.jpg", "é".repeat(500)));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with("é.jpg"), "{long}");
    }
}
