//! What the daemons tell of themselves: `/metrics` ([`scrape`]), and a log of what they do, one structured line per fact, filtered
//! by `COVEY_LOG`, in a file that is rotated by size, so that a log never fills a disk.
//!
//! Start at [`start`]; everything else in the house only uses the `tracing` macros.

pub mod clock;
pub mod scrape;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A log file is put aside when it has this many bytes.
pub const LOG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// So many old files stay beside the one that is written; the oldest goes.
pub const OLD_LOGS_MAX: usize = 3;
/// Lines that wait for others ([`together`]) are written when they have this many bytes.
const TOGETHER_BYTES_MAX: usize = 256 * 1024;
/// The variable that filters, in the syntax of tracing's `EnvFilter`: `info`, `debug`, `controller::driver=trace`.
pub const FILTER_VARIABLE: &str = "COVEY_LOG";

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// A format that is none.
#[derive(Debug, Error)]
#[error("{0:?} is no log format: text or json")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Format, FormatError> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            other => Err(FormatError(other.to_owned())),
        }
    }
}

/// Why nothing can be logged.
#[derive(Debug, Error)]
pub enum StartError {
    /// The log's folder cannot be made.
    #[error("cannot make the log folder {}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `COVEY_LOG` is no filter.
    #[error("{FILTER_VARIABLE} is no filter: write info, debug or target=level")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
}

/// Sends this process's traces into `file` from now on, at level `info` unless `filter` (the text of `COVEY_LOG`) says
/// otherwise.
///
/// # Errors
/// When the file's folder cannot be made, or the filter means nothing.
pub fn start(file: &Path, format: Format, filter: Option<&str>) -> Result<(), StartError> {
    let filter = filter.unwrap_or("info").parse::<EnvFilter>()?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let failed = |source| StartError::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let rotated = FileRotate::new(
        file,
        AppendCount::new(OLD_LOGS_MAX),
        ContentLimit::BytesSurpassed(LOG_BYTES_MAX),
        Compression::None,
        None,
    );
    let shared = Shared(Arc::new(Mutex::new(Lines { file: rotated, waiting: Vec::new(), holders: 0 })));
    // A process has one log; who starts it twice is told so by tracing.
    LINES.set(shared.clone()).ok();
    let lines = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(shared);
    match format {
        Format::Text => lines.init(),
        Format::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The log of this process.
static LINES: OnceLock<Shared> = OnceLock::new();

/// Lets lines wait for one another until this is dropped, and then writes them by one call: for who has thousands to say at a time.
/// What is killed meanwhile loses them.
#[must_use]
pub fn together() -> Together {
    if let Some(lines) = LINES.get() {
        lines.lock().holders += 1;
    }
    Together(())
}

/// Lines wait as long as it lives.
pub struct Together(());

impl Drop for Together {
    fn drop(&mut self) {
        if let Some(lines) = LINES.get() {
            let mut lines = lines.lock();
            lines.holders = lines.holders.saturating_sub(1);
            lines.let_out();
        }
    }
}

/// One file for all threads.
#[derive(Clone)]
struct Shared(Arc<Mutex<Lines>>);

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, and lines that wait for others.
struct Lines {
    file: FileRotate<AppendCount>,
    waiting: Vec<u8>,
    holders: usize,
}

impl Lines {
    /// Writes what waits, unless there may be more soon.
    fn let_out(&mut self) {
        if !self.waiting.is_empty() && (self.holders == 0 || self.waiting.len() >= TOGETHER_BYTES_MAX) {
            // A line that the disk refuses is lost; saying so on the same disk would only fail again.
            self.file.write_all(&self.waiting).ok();
            self.waiting.clear();
        }
    }
}

impl Write for Shared {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.lock();
        lines.waiting.extend_from_slice(line);
        lines.let_out();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().file.flush().ok();
        Ok(())
    }
}

impl MakeWriter<'_> for Shared {
    type Writer = Shared;

    fn make_writer(&self) -> Shared {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_file_and_old_files_are_few() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("log/controller.log");
        start(&file, Format::Json, None).expect("it starts");
        let line = "x".repeat(4096);
        for _ in 0..(LOG_BYTES_MAX / 4096) * (OLD_LOGS_MAX + 3) {
            tracing::info!(job = 5, "{line}");
        }
        let read = || std::fs::read_to_string(&file).expect("it is there");
        let held = together();
        tracing::info!("waits");
        assert!(!read().contains("waits"));
        drop(held);
        assert!(read().contains("waits"), "it is written when nobody holds it");
        tracing::debug!("below the level");
        let files: Vec<_> = std::fs::read_dir(folder.path().join("log")).expect("the folder").flatten().collect();
        assert_eq!(files.len(), OLD_LOGS_MAX + 1);
        let text = std::fs::read_to_string(file).expect("the log");
        assert!(text.contains("\"job\":5") && !text.contains("below"));
    }
}
