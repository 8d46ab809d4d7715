//! `covey blob ls`: names, one a line, with sizes or as JSON on demand.

use std::io::Write;
use std::path::Path;

use blobs::Blob;
use serde::Serialize;

use super::select::select;
use super::{BlobCommandError, counted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A prefix, a glob or a blob
    #[arg(value_name = "URL")]
    url: String,
    /// Sizes in bytes before the names, and the sum at the end
    #[arg(short, long)]
    long: bool,
    /// A JSON array of objects with name and `size_bytes`
    #[arg(long, conflicts_with = "long")]
    json: bool,
}

pub(super) async fn run(args: &Args, cwd: &Path, out: &mut impl Write) -> Result<(), BlobCommandError> {
    let blobs = select(&args.url, cwd).await?.blobs;
    let text = match (args.json, args.long) {
        (true, _) => json(&blobs),
        (false, true) => long(&blobs),
        (false, false) => blobs.iter().map(|blob| format!("{}\n", blob.name)).collect(),
    };
    out.write_all(text.as_bytes()).map_err(BlobCommandError::Output)
}

fn long(blobs: &[Blob]) -> String {
    let sum = blobs.iter().map(|blob| blob.size_bytes).sum::<u64>();
    let width = sum.to_string().len();
    let lines = blobs.iter().map(|blob| format!("{:>width$}  {}\n", blob.size_bytes, blob.name));
    lines.chain([format!("{sum:>width$}  in {}\n", counted(blobs.len()))]).collect()
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    size_bytes: u64,
}

fn json(blobs: &[Blob]) -> String {
    let entries = blobs.iter().map(|blob| Entry { name: blob.name.as_str(), size_bytes: blob.size_bytes });
    let lines = entries.map(|entry| serde_json::to_string(&entry).expect("text and a number are JSON"));
    format!("[{}]\n", lines.collect::<Vec<_>>().join(",\n "))
}
