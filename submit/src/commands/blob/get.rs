//! `covey blob get`: blobs into a folder, under their names, or one after the other to stdout.

use std::io::Write;
use std::path::Path;

use blobs::{Blob, BlobStore, Scheme, StoreUrl};
use indicatif::DecimalBytes;

use super::select::{open, select};
use super::transfer::{BLOB_BYTES_MAX, PARTS_BYTES_MAX, each};
use super::{BlobCommandError, counted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prefixes, globs or blobs, and last the folder for them [default: the current one], or - to print them
    #[arg(value_name = "URL... [DIR|-]", required = true, num_args = 1..)]
    words: Vec<String>,
}

pub(super) async fn run(args: &Args, cwd: &Path, out: &mut impl Write) -> Result<(), BlobCommandError> {
    let (dir, urls) = match args.words.split_last().expect("clap asks for a word") {
        (dir, urls @ [_, ..]) => (dir.as_str(), urls),
        (_, []) => (".", &args.words[..]),
    };
    let mut wanted = Vec::new();
    for url in urls {
        let selection = select(url, cwd).await?;
        wanted.extend(selection.blobs.into_iter().map(|blob| (selection.store.clone(), blob)));
    }
    if dir == "-" {
        return print(wanted, out).await;
    }
    let folder = StoreUrl::from_user(dir, cwd)?;
    if folder.scheme() != Scheme::File || folder.pattern().is_some() {
        return Err(BlobCommandError::NoFolder(dir.to_owned()));
    }
    let (count, bytes) = (wanted.len(), wanted.iter().map(|(_, blob)| blob.size_bytes).sum());
    let target = open(&folder)?;
    each(wanted, |(_, blob)| blob.size_bytes.min(PARTS_BYTES_MAX), |(store, blob)| copy(store, blob, &target)).await?;
    writeln!(out, "got {}, {}, into {folder}", counted(count), DecimalBytes(bytes)).map_err(BlobCommandError::Output)
}

/// A folder is a store too: a file appears whole or not at all.
async fn copy(store: BlobStore, blob: Blob, target: &BlobStore) -> Result<(), BlobCommandError> {
    let path = target.local_path(&blob.name).expect("the target is a folder");
    Ok(store.save(&blob.name, path).await.map(drop)?)
}

async fn print(wanted: Vec<(BlobStore, Blob)>, out: &mut impl Write) -> Result<(), BlobCommandError> {
    for (store, blob) in wanted {
        let bytes = store.get(&blob.name, BLOB_BYTES_MAX).await?;
        out.write_all(&bytes).map_err(BlobCommandError::Output)?;
    }
    out.flush().map_err(BlobCommandError::Output)
}
