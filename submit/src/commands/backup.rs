//! `covey backup`: everything that the controller keeps, in one file.
//!
//! The controller makes the file and sends it; of one that does not run, the journal is read by whoever knows how ([`Stopped`]).

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use proto::v1;
use proto::v1::controller_client::ControllerClient;
use serde_json::json;

use crate::call::{CallError, block_on, connect};
use crate::failure::{Failure, Outcome, ended};
use crate::local::arguments::parsed;

/// Writes the backup of the stopped controller in a folder, packed or not.
pub type Stopped = fn(&Path, bool, &mut dyn Write) -> Result<v1::BackupSummary, Box<dyn Error>>;

/// Writes a backup: jobs, nodes, scripts and history as they are at one moment, while everything goes on.
///
/// For administrators. The file holds scripts and environments of jobs, and only its owner may read it. TLS keys (DIR/tls) and settings
/// (DIR/covey.toml) are not in it: keep copies of those files, too. covey fsck FILE checks a backup, covey restore makes a cluster of it.
#[derive(Debug, Parser)]
#[command(
    name = "covey backup",
    after_help = "Examples:\n  covey backup monday.bak\n  covey backup - | ssh vault 'cat > monday.bak'\n  covey backup --dir /var/lib/covey last.bak"
)]
pub(crate) struct Args {
    /// Where to; - is stdout. An existing file is not overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Of the stopped controller in this folder [default: of the running controller]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How the content is packed
    #[arg(long, value_name = "HOW", default_value = "zstd")]
    compress: Compress,
    /// For programs: one JSON object with sequence, jobs, nodes, blobs and history_rows, on stderr where FILE is -
    #[arg(long)]
    json: bool,
    /// Seconds to look for the controller
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Compress {
    Zstd,
    None,
}

/// Runs `covey backup`.
#[must_use]
pub fn run(args: &[OsString], stopped: Stopped) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| save(&args, stopped)))
}

fn save(args: &Args, stopped: Stopped) -> Outcome<ExitCode> {
    let to_stdout = args.file == Path::new("-");
    let summary = if to_stdout {
        fill(args, stopped, &mut io::stdout().lock())?
    } else {
        let (mut file, making) = begin(&args.file)?;
        let filled = fill(args, stopped, &mut file).and_then(|summary| {
            let kept = file.sync_all().and_then(|()| fs::rename(&making, &args.file));
            kept.map_err(|error| at_file(&args.file, &error))?;
            Ok(summary)
        });
        if filled.is_err() {
            // Half a file is of no use to anybody; where it cannot be removed, its name says what it is.
            fs::remove_file(&making).ok();
        }
        filled?
    };
    let line = said(&summary, args);
    if to_stdout {
        eprintln!("{line}");
        return Ok(ExitCode::SUCCESS);
    }
    crate::failure::print(line + "\n")
}

/// The file that is written until it is whole.
fn begin(path: &Path) -> Outcome<(File, PathBuf)> {
    if path.exists() {
        let text = format!("covey backup: error: {} exists, and is not overwritten: name another file", path.display());
        return Err(Failure::new(text));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let making = path.with_file_name(name);
    let file = File::options().write(true).create_new(true).mode(0o600).open(&making);
    file.map(|file| (file, making)).map_err(|error| at_file(path, &error))
}

fn fill(args: &Args, stopped: Stopped, out: &mut dyn Write) -> Outcome<v1::BackupSummary> {
    let pack = args.compress == Compress::Zstd;
    if let Some(dir) = &args.dir {
        let dir = std::path::absolute(dir).map_err(|error| at_file(dir, &error))?;
        return stopped(&dir, pack, out).map_err(|error| Failure::chain("covey backup: error: ", &*error));
    }
    block_on(receive(args, pack, out))
}

async fn receive(args: &Args, pack: bool, out: &mut dyn Write) -> Outcome<v1::BackupSummary> {
    let failed = |error: CallError| Failure::call("covey backup", "covey backup: error: ", &error);
    let mut client = ControllerClient::new(connect(args.connect_timeout).await.map_err(failed)?);
    let asked = client.backup(v1::BackupRequest { plain: !pack }).await;
    let mut parts = asked.map_err(|status| failed(status.into()))?.into_inner();
    while let Some(part) = parts.message().await.map_err(|status| failed(status.into()))? {
        out.write_all(&part.piece).map_err(|error| at_file(&args.file, &error))?;
        if let Some(summary) = part.summary {
            out.flush().map_err(|error| at_file(&args.file, &error))?;
            return Ok(summary);
        }
    }
    Err(Failure::new("covey backup: error: the controller stopped before the backup was whole; try again"))
}

fn said(summary: &v1::BackupSummary, args: &Args) -> String {
    let v1::BackupSummary { sequence, jobs, nodes, blobs, history_rows } = summary;
    if args.json {
        return json!({ "sequence": sequence, "jobs": jobs, "nodes": nodes, "blobs": blobs, "history_rows": history_rows })
            .to_string();
    }
    format!(
        "{jobs} jobs, {nodes} nodes, {blobs} blobs and {history_rows} rows of history are in {}: all before record {sequence}",
        args.file.display()
    )
}

fn at_file(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("covey backup: error: cannot write {}: {error}", path.display()))
}
