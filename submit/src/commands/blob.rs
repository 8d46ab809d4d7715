//! `covey blob ls|put|get|rm`: blobs in and out of any store, from a shell.
//!
//! Start at [`Command`]. Which blobs a word means is in [`select`], how many move at a time in [`transfer`].

mod get;
mod ls;
mod put;
mod rm;
pub(super) mod select;
pub(super) mod transfer;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use blobs::BlobError;
use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::call::block_on;
use crate::failure::{Failure, Outcome, ended};
use crate::local::arguments::parsed;

/// Lists, puts, gets and removes blobs in folders and stores.
///
/// A URL is a prefix (file:///dir/, az://container/dir/, s3://bucket/, gs://, http(s):// to read), perhaps with a glob as
/// its last part, or a single blob; a plain folder does, too. Credentials come from the usual variables of the store.
#[derive(Debug, Parser)]
#[command(
    name = "covey blob",
    after_help = "Examples:\n  covey blob put pictures/*.jpg az://input/\n  covey blob ls -l 'az://input/*.jpg'\n  \
                  covey blob get az://output/ results\n  covey blob rm 'az://input/*.jpg'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List blobs by name
    Ls(ls::Args),
    /// Put files into a store, under their own names
    Put(put::Args),
    /// Get blobs into a folder, or print them
    Get(get::Args),
    /// Remove blobs
    Rm(rm::Args),
}

/// Why blobs do not move.
#[derive(Debug, Error)]
enum BlobCommandError {
    #[error(transparent)]
    Store(#[from] BlobError),
    #[error("cannot tell the current folder")]
    CurrentFolder(#[source] io::Error),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is a folder: name its files, as in {}/*", .0.display(), .0.display())]
    Folder(PathBuf),
    #[error("{} has no name that a blob can have", .0.display())]
    Unnamed(PathBuf),
    #[error("two of the files are called {0}: put them one after the other, to different prefixes")]
    SameName(String),
    #[error("{file} has {bytes} bytes, more than the {bytes_max} that one blob may have here")]
    TooLarge { file: String, bytes: u64, bytes_max: u64 },
    #[error("{0} is no folder: the last word says where the blobs go, a folder or - to print them")]
    NoFolder(String),
    #[error("{url} is a prefix of {}: to remove all below it give -r, or a glob", counted(*blobs))]
    Prefix { url: String, blobs: usize },
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl BlobCommandError {
    fn failure(&self) -> Failure {
        match self {
            // A reader that has seen enough, as in `covey blob ls URL | head`, is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Failure::silent(0),
            Self::Store(error) => Failure::chain("covey blob: error: ", self).hint(error.hint()),
            _ => Failure::chain("covey blob: error: ", self),
        }
    }
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| blob(&args.command)))
}

fn blob(command: &Command) -> Outcome<ExitCode> {
    let mut out = io::stdout();
    let done = block_on(async {
        let cwd = std::env::current_dir().map_err(BlobCommandError::CurrentFolder)?;
        match command {
            Command::Ls(args) => ls::run(args, &cwd, &mut out).await,
            Command::Put(args) => put::run(args, &cwd, &mut out).await,
            Command::Get(args) => get::run(args, &cwd, &mut out).await,
            Command::Rm(args) => rm::run(args, &cwd, &mut out).await,
        }
    });
    done.map(|()| ExitCode::SUCCESS).map_err(|error| error.failure())
}

/// `1 blob`, `49 blobs`.
fn counted(blobs: usize) -> String {
    if blobs == 1 { "1 blob".into() } else { format!("{blobs} blobs") }
}

#[cfg(test)]
#[path = "blob/tests.rs"]
mod tests;
