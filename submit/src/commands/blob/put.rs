//! `covey blob put`: files into a store, each whole or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use blobs::{Before, BlobName, BlobStore, Content, StoreUrl};
use indicatif::DecimalBytes;

use super::select::open;
use super::transfer::{PARTS_BYTES_MAX, each};
use super::{BlobCommandError, counted};

/// The largest file; the parts of a larger one would take more memory than is set aside for them.
const FILE_BYTES_MAX: u64 = 128 << 30;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, and last the prefix to put them under
    #[arg(value_name = "FILE... URL", required = true, num_args = 2..)]
    words: Vec<String>,
}

/// A file that is to become a blob.
struct Source {
    path: PathBuf,
    name: BlobName,
    size_bytes: u64,
}

pub(super) async fn run(args: &Args, cwd: &Path, out: &mut impl Write) -> Result<(), BlobCommandError> {
    let (url, files) = args.words.split_last().expect("clap asks for two words");
    let url = StoreUrl::from_user(url, cwd)?.without_pattern();
    let sources = files.iter().map(|file| source(&cwd.join(file))).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = sources.iter().find(|source| !names.insert(&source.name)) {
        return Err(BlobCommandError::SameName(twice.name.to_string()));
    }
    let (count, bytes) = (sources.len(), sources.iter().map(|source| source.size_bytes).sum());
    let store = open(&url)?;
    each(sources, |source| source.size_bytes.min(PARTS_BYTES_MAX), |source| put(&store, source)).await?;
    writeln!(out, "put {}, {}, to {url}", counted(count), DecimalBytes(bytes)).map_err(BlobCommandError::Output)
}

fn source(path: &Path) -> Result<Source, BlobCommandError> {
    let found = fs::metadata(path).map_err(|source| BlobCommandError::Read { path: path.to_owned(), source })?;
    if found.is_dir() {
        return Err(BlobCommandError::Folder(path.to_owned()));
    }
    if found.len() > FILE_BYTES_MAX {
        let file = path.display().to_string();
        return Err(BlobCommandError::TooLarge { file, bytes: found.len(), bytes_max: FILE_BYTES_MAX });
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let name = BlobName::new(name.ok_or_else(|| BlobCommandError::Unnamed(path.to_owned()))?)?;
    Ok(Source { path: path.to_owned(), name, size_bytes: found.len() })
}

async fn put(store: &BlobStore, source: Source) -> Result<(), BlobCommandError> {
    let Source { path, name, size_bytes } = source;
    Ok(store.put_if(&name, &Content::File { path, size_bytes }, &Before::Anything).await?)
}
