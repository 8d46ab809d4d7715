//! What the daemons tell of themselves: `/metrics` ([`scrape`]), and a log of what they do, one structured line per fact, filtered
//! by `COVEY_LOG`, in a file that is rotated by size, so that a log never fills a disk.
//!
//! Start at [`start`]; everything else in the house only uses the `tracing` macros.

pub mod clock;
pub mod scrape;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

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
    let lines = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Shared(Arc::new(Mutex::new(rotated))));
    match format {
        Format::Text => lines.init(),
        Format::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// One file for all threads; a line is written by one call.
#[derive(Clone)]
struct Shared(Arc<Mutex<FileRotate<AppendCount>>>);

impl Write for Shared {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A line that the disk refuses is lost; saying so on the same disk would only fail again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line).ok();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush().ok();
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
        tracing::debug!("below the level");
        let files: Vec<_> = std::fs::read_dir(folder.path().join("log")).expect("the folder").flatten().collect();
        assert_eq!(files.len(), OLD_LOGS_MAX + 1);
        let text = std::fs::read_to_string(file).expect("the log");
        assert!(text.contains("\"job\":5") && !text.contains("below"));
    }
}
