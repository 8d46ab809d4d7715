//! `covey blob rm`: removes blobs; a whole prefix only when asked twice.

use std::io::Write;
use std::path::Path;

use super::select::select;
use super::transfer::each;
use super::{BlobCommandError, counted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Globs or blobs, or prefixes with -r
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Also everything below a prefix
    #[arg(short, long)]
    recursive: bool,
}

pub(super) async fn run(args: &Args, cwd: &Path, out: &mut impl Write) -> Result<(), BlobCommandError> {
    let mut unwanted = Vec::new();
    for url in &args.urls {
        let selection = select(url, cwd).await?;
        if selection.is_prefix && !args.recursive {
            let (url, blobs) = (selection.store.url().to_string(), selection.blobs.len());
            return Err(BlobCommandError::Prefix { url, blobs });
        }
        unwanted.extend(selection.blobs.into_iter().map(|blob| (selection.store.clone(), blob.name)));
    }
    let count = unwanted.len();
    each(unwanted, |_| 0, |(store, name)| async move { store.delete(&name).await }).await?;
    writeln!(out, "removed {}", counted(count)).map_err(BlobCommandError::Output)
}
